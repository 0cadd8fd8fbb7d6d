/* SECURITY.md 14: every member may write of every network, and none of it ends isolation on hosts that use the networks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCidr } from '../../src/core/address.ts';
import type { NetworkId } from '../../src/core/ids.ts';
import type { NetworkInfo } from '../../src/core/network.ts';
import { KEY } from '../../src/mesh/records.ts';
import { createMemoryHost, createMemoryMachine } from '../../src/ports/memory/host.ts';
import { createSpaceWorld, type SpaceWorld } from '../unit/support/space-world.ts';

/** Two hosts with endpoints in two networks; cleo is the bad one. */
async function twoNetworks() {
  const world = createSpaceWorld();
  await world.start('anna');
  await world.run(50);
  for (const name of ['bert', 'cleo']) {
    await world.join(name, 'anna');
    await world.run(1_000);
  }
  const create = (name: string) => world.settled(world.networks('anna').create({ name }));
  const [red, blue] = [await create('red'), await create('blue')];
  await world.run(1_000);
  for (const host of ['anna', 'bert']) {
    for (const { id, name } of [red, blue])
      await world.settled(world.allocate(host, `${host}-${name}`, undefined, undefined, id));
  }
  await world.run(1_000);
  return { world, red, blue };
}

/** cleo writes that later than all of it. */
async function write(
  world: SpaceWorld,
  id: string,
  of: NetworkInfo,
  change: object | null,
  removed = false,
  at = { time: Date.UTC(2300), count: 0 },
): Promise<void> {
  const { records } = world.host('cleo').life ?? assert.fail('cleo is down');
  const honest = [...records.entries(KEY.network + of.id)][0]?.value as { value: object };
  const value = change === null ? null : { ...honest.value, ...change };
  await world.settled(records.put(KEY.network + id, { at, removed, value }));
  await world.run(2_000);
}

async function assertApart(world: SpaceWorld, ...networks: readonly NetworkInfo[]): Promise<void> {
  for (const host of ['anna', 'bert']) {
    const subnets = world.networks(host).isolated();
    for (const { subnet } of networks) assert.ok(subnets.includes(subnet), `${host}: ${subnets.join(' ')}`);
    await createMemoryHost(createMemoryMachine()).setNetworks(subnets);
  }
}

test('a network that claims to be older than all, over all addresses, does not open the others', async () => {
  const { world, red, blue } = await twoNetworks();
  await write(world, 'f'.repeat(16), red, {
    ...rangeOf('10.32.0.0/12'),
    name: 'all',
    born: { time: 0, count: 0 },
  });
  await assertApart(world, red, blue);
});

test('networks said to be elsewhere, or everywhere, stay where their endpoints are', async () => {
  const { world, red, blue } = await twoNetworks();
  await write(world, red.id, red, rangeOf('10.47.255.0/24'));
  await write(world, blue.id, blue, rangeOf('10.32.0.0/12'));
  await assertApart(world, red, blue);
});

test('a network in use that a member removes without a word of what it was is there again', async () => {
  const { world, red, blue } = await twoNetworks();
  await write(world, red.id, red, null, true);
  await assertApart(world, red, blue);
  assert.equal(world.networks('anna').get('red')?.subnet, red.subnet);
});

test('a record of the network that is always there changes nothing', async () => {
  const { world, red, blue } = await twoNetworks();
  await world.settled(world.allocate('anna', 'plain', undefined, undefined, 'weft' as NetworkId));
  await write(world, 'weft', red, rangeOf('10.32.0.0/12'), true);
  await assertApart(world, red, blue);
});

test('who takes the last of all stamps has the last word for as long as it is a member', async () => {
  const { world, red, blue } = await twoNetworks();
  const last = { time: 2 ** 48 - 1, count: 2 ** 32 - 1 };
  const all = 'f'.repeat(16) as NetworkId;
  const born = { time: 0, count: 0 };
  await write(world, all, red, { ...rangeOf('10.32.0.0/12'), name: 'all', born }, false, last);
  await write(world, red.id, red, { name: 'mine' }, false, last);
  await assertApart(world, red, blue);
  await world.settled(world.networks('bert').remove(all));
  await world.run(2_000);
  assert.notEqual(world.networks('anna').get(all), undefined);
  world.host('cleo').crash();
  world.mesh.remove(world.host('cleo'));
  await world.run(2_000);
  for (const host of ['anna', 'bert']) {
    assert.equal(world.networks(host).get(all), undefined);
    assert.equal(world.networks(host).get(red.id)?.name, 'red');
  }
  await world.settled(world.networks('bert').rename(red.id, 'scarlet'));
  await world.run(2_000);
  assert.equal(world.networks('anna').get('scarlet')?.id, red.id);
});

function rangeOf(cidr: string): { readonly start: number; readonly last: number } {
  const parsed = parseCidr(cidr);
  assert.ok(parsed.ok);
  const { start, last } = parsed.value;
  return { start, last };
}
