import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCidr } from '../../src/core/address.ts';
import type { EndpointId, NetworkId } from '../../src/core/ids.ts';
import type { NetworkInfo } from '../../src/core/network.ts';
import { type CreateNetwork, NetworkError } from '../../src/mesh/networks.ts';
import { SpaceError } from '../../src/mesh/space.ts';
import { createSpaceWorld, numberOf, type SpaceWorld } from './support/space-world.ts';

const HOSTS = ['anna', 'bert', 'cleo'];

async function threeHosts(options: Parameters<typeof createSpaceWorld>[0] = {}): Promise<SpaceWorld> {
  const world = createSpaceWorld(options);
  await world.start('anna');
  await world.run(50);
  for (const name of ['bert', 'cleo']) {
    await world.join(name, 'anna');
    await world.run(1_000);
  }
  return world;
}

const create = (world: SpaceWorld, host: string, request: CreateNetwork | string): Promise<NetworkInfo> =>
  world.settled(world.networks(host).create(typeof request === 'string' ? { name: request } : request));

async function refusal(promise: Promise<unknown>): Promise<NetworkError> {
  const error = await promise.then(
    () => undefined,
    (problem: unknown) => problem,
  );
  assert.ok(error instanceof NetworkError, String(error));
  return error;
}

const allocate = (world: SpaceWorld, host: string, endpoint: string, network: NetworkId, wanted?: string) =>
  world.settled(world.allocate(host, endpoint, wanted, undefined, network));

function assertAgreement(world: SpaceWorld): void {
  for (const name of HOSTS) {
    assert.deepEqual(world.space(name).ring(), world.space('anna').ring(), name);
    assert.deepEqual(world.space(name).quarantine(), [], name);
    assert.deepEqual(world.networks(name).list(), world.networks('anna').list(), name);
  }
}

/** Addresses that the ring has in networks other than `weft`. */
function labelled(world: SpaceWorld, host = 'anna'): number {
  const made = world
    .space(host)
    .ring()
    .filter(({ network }) => network !== 'weft');
  return made.reduce((sum, { start, last }) => sum + last - start + 1, 0);
}

test('a network made on one host is known on all, and each has addresses of it', async () => {
  const world = await threeHosts();
  const web = await create(world, 'bert', 'web');
  assert.match(web.subnet, /^10\.\d+\.\d+\.0\/24$/);
  await world.run(1_000);
  for (const name of HOSTS) assert.deepEqual(world.networks(name).get('web'), web, name);
  const subnet = parseCidr(web.subnet);
  assert.ok(subnet.ok);
  const addresses = [];
  for (const [index, name] of [...HOSTS, ...HOSTS].entries()) {
    const { address, prefix } = await allocate(world, name, `e${index}`, web.id);
    assert.equal(prefix, 24);
    assert.ok(subnet.value.start < numberOf(address) && numberOf(address) < subnet.value.last, address);
    addresses.push(address);
  }
  assert.equal(new Set(addresses).size, addresses.length);
  const other = await allocate(world, 'bert', 'x', 'weft' as NetworkId);
  assert.equal(other.prefix, 12);
  assert.ok(numberOf(other.address) < subnet.value.start || numberOf(other.address) > subnet.value.last);
  await world.run(1_000);
  assertAgreement(world);
});

test('a small network is used up to its last address by all hosts together, and says so then', async () => {
  const world = await threeHosts();
  const { id } = await create(world, 'anna', {
    name: 'small',
    subnet: '10.32.5.0/28',
    gateway: '10.32.5.1',
    reserved: ['10.32.5.9'],
  });
  await world.run(1_000);
  const addresses = [];
  for (let index = 0; index < 12; index += 1) {
    addresses.push((await allocate(world, HOSTS[index % 3] as string, `e${index}`, id)).address);
  }
  const usable = [2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14].map((last) => `10.32.5.${last}`);
  assert.deepEqual(addresses.sort(), usable.sort());
  const error = await allocate(world, 'cleo', 'last', id).catch((problem: unknown) => problem);
  assert.ok(error instanceof SpaceError && error.code === 'no-space', String(error));
  assert.equal((await allocate(world, 'anna', 'asked', id, '10.32.5.9')).address, '10.32.5.9');
});

test('automatic addresses come from the part that was asked for', async () => {
  const world = await threeHosts();
  const request = { name: 'part', subnet: '10.32.5.0/24', ipRange: '10.32.5.64/30' };
  const { id } = await create(world, 'anna', request);
  const given = [];
  for (let index = 0; index < 4; index += 1) {
    given.push((await allocate(world, 'anna', `e${index}`, id)).address);
  }
  assert.deepEqual(given.sort(), ['10.32.5.64', '10.32.5.65', '10.32.5.66', '10.32.5.67']);
  await assert.rejects(allocate(world, 'anna', 'more', id), /no free addresses/);
  assert.equal((await allocate(world, 'anna', 'asked', id, '10.32.5.200')).address, '10.32.5.200');
});

test('a subnet that three hosts own is claimed from all of them, and each then has its part', async () => {
  const world = await threeHosts();
  const { id, subnet } = await create(world, 'cleo', { name: 'wide', subnet: '10.32.0.0/13' });
  assert.equal(subnet, '10.32.0.0/13');
  await world.run(1_000);
  assert.equal(labelled(world), 2 ** 19);
  const owners = new Set(
    world
      .space('anna')
      .ring()
      .flatMap((part) => (part.network === id ? [part.owner] : [])),
  );
  assert.ok(owners.size > 1);
  for (const name of HOSTS) await allocate(world, name, name, id);
  await world.run(1_000);
  assertAgreement(world);
});

test('a subnet with an address in use is refused with its host, and nothing has changed', async () => {
  const world = await threeHosts();
  await world.settled(world.allocate('bert', 'busy', '10.40.7.7'));
  await world.run(500);
  const before = world.space('anna').ring();
  const error = await refusal(create(world, 'anna', { name: 'no', subnet: '10.40.0.0/13' }));
  assert.equal(error.code, 'subnet-in-use');
  assert.match(error.message, /10\.40\.7\.7 on bert/);
  await world.run(1_000);
  assert.deepEqual(world.space('anna').ring(), before);
  for (const name of HOSTS) await world.settled(world.allocate(name, `after-${name}`));
});

test('a subnet whose owner is away is refused with its name, in bounded time', async () => {
  const world = await threeHosts();
  world.mesh.partition([world.host('anna'), world.host('cleo')], [world.host('bert')]);
  const began = world.mesh.clock.now();
  const error = await refusal(create(world, 'anna', { name: 'no', subnet: '10.40.0.0/13' }));
  assert.equal(error.code, 'subnet-unreachable');
  assert.match(error.message, /bert/);
  assert.ok(world.mesh.clock.now() - began < 10_000);
  assert.equal(labelled(world), 0);
});

test('what cannot be a network is refused, each with its reason', async () => {
  const world = await threeHosts();
  await create(world, 'anna', { name: 'web', subnet: '10.32.5.0/24' });
  const cases: readonly (readonly [CreateNetwork, string, RegExp])[] = [
    [{ name: 'web' }, 'network-name-taken', /web/],
    [{ name: '-x' }, 'bad-network', /name/],
    [{ name: 'weft' }, 'bad-network', /first/],
    [{ name: '0123456789abcdef' }, 'bad-network', /id/],
    [{ name: 'a', subnet: '192.168.0.0/24' }, 'subnet-outside', /10\.32\.0\.0\/12/],
    [{ name: 'a', subnet: '10.0.0.0/8' }, 'subnet-outside', /10\.32\.0\.0\/12/],
    [{ name: 'a', subnet: '10.32.0.0/12' }, 'subnet-taken', /weft/],
    [{ name: 'a', subnet: '10.32.5.1/24' }, 'bad-network', /bits/],
    [{ name: 'a', subnet: '10.32.4.0/31' }, 'bad-network', /small/],
    [{ name: 'a', subnet: '10.32.5.128/25' }, 'subnet-taken', /web/],
    [{ name: 'a', subnet: '10.32.5.0/24' }, 'subnet-taken', /web/],
    [{ name: 'a', subnet: '10.32.6.0/24', gateway: '10.32.7.1' }, 'bad-network', /10\.32\.6\.0\/24/],
    [{ name: 'a', subnet: '10.32.6.0/24', gateway: '10.32.6.0' }, 'bad-network', /first and last/],
    [{ name: 'a', gateway: '10.32.6.1' }, 'bad-network', /needs a subnet/],
    [{ name: 'a', options: JSON.parse('{"__proto__": "x"}') }, 'bad-network', /options/],
    [{ name: 'a', subnet: '10.32.6.0/24', ipRange: '10.32.7.0/30' }, 'bad-network', /IP range/],
  ];
  for (const [request, code, words] of cases) {
    const error = await refusal(create(world, 'anna', request));
    assert.equal(error.code, code, JSON.stringify(request));
    assert.match(error.message, words);
  }
  assert.equal(labelled(world), 256);
});

test('a request for the subnet of a network that is there means that network', async () => {
  const world = await threeHosts();
  const first = await create(world, 'anna', { name: null, subnet: '10.32.5.0/24' });
  await world.run(1_000);
  assert.deepEqual(await create(world, 'bert', { name: null, subnet: '10.32.5.0/24' }), first);
  const named = await create(world, 'bert', { name: 'web', subnet: '10.32.5.0/24' });
  assert.deepEqual(named, { ...first, name: 'web' });
  await world.run(1_000);
  assert.equal(world.networks('anna').get(first.id)?.name, 'web');
  assert.equal(world.networks('anna').list().length, 2);
});

test('gateway and reserved addresses that are told of later are set aside from then on', async () => {
  const world = await threeHosts();
  const { id } = await create(world, 'anna', { name: null, subnet: '10.32.5.0/29' });
  const change = { internal: true, gateway: '10.32.5.1', reserved: ['10.32.5.2', '10.32.5.3'] };
  const changed = await world.settled(world.networks('anna').change(id, change));
  assert.deepEqual({ ...changed, ...change }, changed);
  assert.equal((await allocate(world, 'anna', 'e', id)).address, '10.32.5.4');
  const wrong = { gateway: '10.32.6.1' };
  assert.equal((await refusal(world.networks('anna').change(id, wrong))).code, 'bad-network');
  const weft = 'weft' as NetworkId;
  assert.equal((await refusal(world.networks('anna').change(weft, change))).code, 'network-permanent');
});

test('a network in use is not removed, here or elsewhere; when it is free its addresses go back', async () => {
  const world = await threeHosts();
  const { id } = await create(world, 'anna', 'web');
  await world.run(1_000);
  await allocate(world, 'bert', 'e', id);
  await world.run(1_000);
  const elsewhere = await refusal(world.settled(world.networks('cleo').remove(id)));
  assert.equal(elsewhere.code, 'network-in-use');
  assert.match(elsewhere.message, /web has endpoints on bert/);
  const here = await refusal(world.settled(world.networks('bert').remove(id)));
  assert.match(here.message, /on this host: 10\./);

  world.mesh.partition([world.host('anna'), world.host('cleo')], [world.host('bert')]);
  const away = await refusal(world.settled(world.networks('anna').remove(id)));
  assert.match(away.message, /endpoints on bert/, 'known from what it told before');
  world.mesh.partition();

  await world.settled(world.release('bert', 'e'));
  await world.run(1_000);
  await world.settled(world.networks('cleo').remove(id));
  await world.run(2_000);
  assertAgreement(world);
  assert.equal(labelled(world), 0);
  assert.equal(world.networks('anna').get('web'), undefined);
  assert.equal((await refusal(world.settled(world.networks('anna').remove(id)))).code, 'unknown-network');
  const again = await create(world, 'anna', 'web');
  assert.notEqual(again.id, id);
});

test('an allocation and a removal at the same moment: one of them wins', async () => {
  for (let delay = 0; delay < 240; delay += 20) {
    const world = await threeHosts({ seed: delay + 1 });
    const { id } = await create(world, 'anna', 'web');
    await world.run(1_000);
    await allocate(world, 'bert', 'early', id);
    await world.settled(world.release('bert', 'early'));
    await world.run(1_000);
    const removing = world.networks('cleo').remove(id);
    removing.catch(() => {});
    await world.run(delay);
    const allocating = world.allocate('bert', 'e', undefined, 3_000, id);
    const [removed, allocated] = await world.settled(Promise.allSettled([removing, allocating]));
    await world.run(3_000);
    assert.notEqual(removed.status, allocated.status, `after ${delay} ms`);
    assert.equal(world.networks('anna').get(id) === undefined, removed.status === 'fulfilled');
    assertAgreement(world);
  }
});

test('a network removed while a host that uses it was away is there again when the host is back', async () => {
  const world = await threeHosts();
  const { id, subnet } = await create(world, 'anna', 'web');
  await world.run(1_000);
  await allocate(world, 'bert', 'early', id);
  await world.settled(world.release('bert', 'early'));
  await world.run(1_000);
  world.mesh.partition([world.host('anna'), world.host('cleo')], [world.host('bert')]);
  await allocate(world, 'bert', 'e', id);
  await world.settled(world.networks('anna').remove(id));
  world.mesh.partition();
  for (let passed = 0; passed < 3_000; passed += 20) {
    await world.run(20);
    assert.ok(world.networks('bert').isolated().includes(subnet), 'kept apart all the time');
  }
  assert.equal(world.networks('anna').get('web')?.id, id);
  assertAgreement(world);
});

test('of two networks of one name made apart the older keeps it, and a new name heals the other', async () => {
  const world = await threeHosts();
  world.mesh.partition([world.host('anna'), world.host('bert')], [world.host('cleo')]);
  const older = await create(world, 'anna', 'web');
  await world.run(1_000);
  const younger = await create(world, 'cleo', 'web');
  assert.equal(world.networks('cleo').get('web')?.id, younger.id);
  world.mesh.partition();
  await world.run(2_000);
  assertAgreement(world);
  for (const name of HOSTS) {
    assert.equal(world.networks(name).get('web')?.id, older.id);
    assert.deepEqual(
      [younger.id, null, 'web'],
      [
        world.networks(name).get(younger.id)?.id,
        world.networks(name).get(younger.id)?.name,
        world.networks(name).get(younger.id)?.clash,
      ],
    );
    assert.match(world.networks(name).faults()[0]?.remedy ?? '', new RegExp(`rename ${younger.id}`));
  }
  await world.settled(world.networks('bert').rename(younger.id, 'other'));
  await world.run(2_000);
  assertAgreement(world);
  assert.deepEqual(world.networks('anna').faults(), []);
  assert.equal(world.networks('anna').get('other')?.id, younger.id);
});

test('a host that has no room of its own for a network asks the others', async () => {
  const world = await threeHosts({ range: { start: 0x0a200000, last: 0x0a2003ff } });
  const names = [];
  for (let index = 0; index < 10; index += 1) names.push(await create(world, 'cleo', `n${index}`));
  await world.run(1_000);
  const parsed = names.map(({ subnet }) => parseCidr(subnet));
  assert.ok(parsed.every((subnet) => subnet.ok && subnet.value.prefix === 26));
  assert.equal(new Set(names.map(({ subnet }) => subnet)).size, 10);
  assertAgreement(world);
});

test('ten years ahead or behind on one host, everybody goes on naming and removing', async () => {
  for (const years of [-10, 10]) {
    const world = await threeHosts();
    world.host('bert').setWallOffset(years * 365 * 86_400_000);
    const { id } = await create(world, 'bert', 'first');
    await world.run(1_000);
    for (const [index, name] of [...HOSTS, ...HOSTS].entries()) {
      await world.settled(world.networks(name).rename(id, `name${index}`));
      await world.run(1_000);
      for (const other of HOSTS) assert.equal(world.networks(other).get(id)?.name, `name${index}`);
    }
    await world.settled(world.networks('anna').remove(id));
    await world.run(2_000);
    for (const name of HOSTS) assert.equal(world.networks(name).get(id), undefined);
    assert.equal((await create(world, 'cleo', 'name5')).name, 'name5');
  }
});

test('a host that starts again alone knows the networks that it uses', async () => {
  const world = await threeHosts();
  const web = await create(world, 'anna', 'web');
  await world.run(500);
  const { address } = await allocate(world, 'cleo', 'e', web.id);
  world.host('cleo').crash();
  world.mesh.partition([world.host('anna'), world.host('bert')], [world.host('cleo')]);
  await world.start('cleo');
  assert.deepEqual(world.networks('cleo').get('web'), web);
  const again = world.space('cleo').allocate({ endpoint: 'e' as EndpointId, network: web.id });
  assert.deepEqual(await world.settled(again), { endpoint: 'e', network: web.id, address, prefix: 24 });
});

test('what is learned of a network after it was made holds on every host', async () => {
  const world = await threeHosts();
  const made = await create(world, 'bert', { name: null, subnet: '10.40.0.0/24' });
  const { change } = world.networks('bert');
  await world.settled(change(made.id, { internal: true, gateway: '10.40.0.1', reserved: ['10.40.0.9'] }));
  await world.run(1_000);
  for (const name of HOSTS) {
    const { internal, gateway, reserved } = world.networks(name).get(made.id) as NetworkInfo;
    assert.deepEqual([internal, gateway, reserved], [true, '10.40.0.1', ['10.40.0.9']], name);
  }
  assert.equal((await allocate(world, 'bert', 'web', made.id)).address, '10.40.0.2');
  const weft = 'weft' as NetworkId;
  assert.equal((await refusal(change(weft, { internal: true }))).code, 'network-permanent');
  assert.equal((await refusal(change(made.id, { gateway: '10.41.0.1' }))).code, 'bad-network');
});
