import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIpv4 } from '../../src/core/address.ts';
import { DEFAULT_NETWORK, type EndpointId, type NetworkId } from '../../src/core/ids.ts';
import { SpaceError, type SpaceErrorCode } from '../../src/mesh/space.ts';
import { createSpaceWorld, type SpaceWorld } from './support/space-world.ts';

async function refusal(world: SpaceWorld, promise: Promise<unknown>): Promise<SpaceError> {
  const outcome = await world.settled(
    promise.then(
      () => undefined,
      (error: unknown) => error,
    ),
  );
  assert.ok(outcome instanceof SpaceError, `expected a SpaceError, got ${outcome}`);
  return outcome;
}

async function twoHosts(): Promise<SpaceWorld> {
  const world = createSpaceWorld();
  await world.start('anna');
  await world.run(50);
  await world.join('bert', 'anna');
  return world;
}

async function threeHosts(): Promise<SpaceWorld> {
  const world = await twoHosts();
  await world.run(500);
  await world.join('cleo', 'anna');
  await world.run(500);
  return world;
}

test('the creator owns the whole range and hands out its first addresses alone', async () => {
  const world = createSpaceWorld();
  await world.start('anna');
  await world.run(50);
  assert.equal(world.space('anna').free(), 2 ** 20 - 2);
  const first = await world.settled(world.allocate('anna', 'web'));
  assert.deepEqual(first, { endpoint: 'web', network: 'weft', address: '10.32.0.1', prefix: 12 });
  assert.equal((await world.settled(world.allocate('anna', 'db'))).address, '10.32.0.2');
  assert.equal((await world.settled(world.allocate('anna', 'web'))).address, '10.32.0.1');
});

test('each host that joins receives about half of the largest free space, and all agree about the ring', async () => {
  const world = await threeHosts();
  const sizes = ['anna', 'bert', 'cleo'].map((name) => world.space(name).free());
  assert.ok(
    sizes.every((size) => size >= 2 ** 18 - 2),
    `${sizes}`,
  );
  assert.deepEqual(world.space('anna').ring(), world.space('bert').ring());
  assert.deepEqual(world.space('anna').ring(), world.space('cleo').ring());
  assert.deepEqual(world.space('bert').quarantine(), []);
  assert.equal((await world.settled(world.allocate('bert', 'b'))).address, '10.40.0.0');
});

test('requests of one moment receive different addresses, and one endpoint receives one', async () => {
  const world = await twoHosts();
  const names = ['a', 'b', 'c', 'a', 'b', 'a'];
  const got = await world.settled(Promise.all(names.map((name) => world.allocate('bert', name))));
  assert.equal(new Set(got.map(({ address }) => address)).size, 3);
  assert.equal(world.space('bert').allocations().length, 3);
});

test('what was released is free, on disk too', async () => {
  const world = await twoHosts();
  const before = world.space('bert').free();
  const space = world.space('bert');
  await world.settled(space.allocate({ endpoint: 'x' as EndpointId, network: DEFAULT_NETWORK }));
  assert.equal(space.free(), before - 1);
  await world.settled(space.release('x' as EndpointId));
  await world.settled(space.release('never' as EndpointId));
  world.host('bert').crash();
  await world.settled(world.start('bert'));
  assert.equal(world.space('bert').free(), before);
});

test('a host that restarts while nobody else is there has its addresses and goes on giving new ones', async () => {
  const world = await threeHosts();
  const address = (await world.settled(world.allocate('cleo', 'web'))).address;
  for (const name of ['anna', 'bert', 'cleo']) world.host(name).crash();
  await world.settled(world.start('cleo'));
  assert.equal((await world.settled(world.allocate('cleo', 'web'))).address, address);
  assert.notEqual((await world.settled(world.allocate('cleo', 'new'))).address, address);
  await world.settled(world.start('anna'));
  await world.settled(world.start('bert'));
  await world.run(2_000);
  assert.deepEqual(world.space('cleo').ring(), world.space('anna').ring());
  assert.deepEqual(world.space('cleo').quarantine(), []);
});

test('an address of another host is given up by its owner when it is free, and only that one', async () => {
  const world = await threeHosts();
  const wanted = '10.40.0.77';
  const got = await world.settled(world.allocate('anna', 'web', wanted));
  assert.equal(got.address, wanted);
  await world.run(1_000);
  const part = world
    .space('cleo')
    .ring()
    .filter(({ start, last }) => start === last);
  assert.deepEqual(
    part.map(({ owner }) => owner),
    [world.host('anna').peer],
  );
  assert.equal((await world.settled(world.allocate('anna', 'web'))).address, wanted);
});

test('an address in use is refused with the name of its owner', async () => {
  const world = await threeHosts();
  const used = (await world.settled(world.allocate('bert', 'web'))).address;
  const error = await refusal(world, world.allocate('anna', 'mine', used));
  assert.equal(error.code, 'in-use');
  assert.match(error.message, /bert \(…\w{8}\)/);
  const here = await refusal(world, world.allocate('bert', 'other', used));
  assert.equal(here.code, 'in-use');
  assert.match(here.message, /web/);
});

test('an address moves between hosts again and again', async () => {
  const world = await threeHosts();
  const wanted = '10.32.5.5';
  for (const name of ['bert', 'anna', 'cleo', 'bert', 'cleo', 'anna']) {
    const space = world.space(name);
    const request = { endpoint: 'roaming' as EndpointId, network: DEFAULT_NETWORK, wanted };
    assert.equal((await world.settled(space.allocate(request))).address, wanted, name);
    await world.settled(space.release('roaming' as EndpointId));
  }
  await world.run(1_000);
  assert.deepEqual(world.space('anna').ring(), world.space('bert').ring());
  assert.deepEqual(world.space('anna').quarantine(), []);
});

test('of two hosts that want one free address of a third exactly one receives it', async () => {
  const world = await threeHosts();
  const wanted = '10.32.9.9';
  const outcomes = await world.settled(
    Promise.allSettled([world.allocate('bert', 'b', wanted), world.allocate('cleo', 'c', wanted)]),
  );
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  const loser = outcomes.find((outcome) => outcome.status === 'rejected');
  assert.ok(loser?.reason instanceof SpaceError);
  assert.equal(loser.reason.code, 'in-use');
});

test('bad requests are refused at once, each with what to do', async () => {
  const world = await twoHosts();
  const cases: readonly (readonly [string, SpaceErrorCode])[] = [
    ['10.32.0', 'bad-address'],
    ['010.32.0.5', 'bad-address'],
    ['192.168.0.1', 'outside-range'],
    ['10.32.0.0', 'reserved'],
    ['10.47.255.255', 'reserved'],
  ];
  for (const [wanted, code] of cases) {
    assert.equal((await refusal(world, world.allocate('anna', 'x', wanted))).code, code, wanted);
  }
  const elsewhere = { endpoint: 'x' as EndpointId, network: 'nowhere' as NetworkId };
  assert.equal((await refusal(world, world.space('anna').allocate(elsewhere))).code, 'unknown-network');
  assert.deepEqual(world.space('anna').allocations(), []);
});

test('a wait for an owner that is away ends in time and names it', async () => {
  const world = await threeHosts();
  world.mesh.partition([world.host('anna'), world.host('bert')], [world.host('cleo')]);
  const owned = world
    .space('anna')
    .ring()
    .find(({ owner }) => owner === world.host('cleo').peer);
  assert.ok(owned);

  const began = world.mesh.clock.now();
  const error = await refusal(world, world.allocate('anna', 'x', formatIpv4(owned.start + 5), 3_000));
  assert.equal(error.code, 'owner-unreachable');
  assert.match(error.message, /cleo \(…\w{8}\), which cannot be reached/);
  assert.ok(world.mesh.clock.now() - began <= 3_100);
});

test('a first joiner that never came back costs no addresses once another is the heir', async () => {
  const world = createSpaceWorld();
  await world.start('anna');
  await world.run(50);
  const [anna, ghost] = [world.host('anna'), world.host('ghost')];
  const first = await world.settled(world.space('anna').grant(ghost.peer, { firstHeir: true }));
  const again = await world.settled(world.space('anna').grant(ghost.peer, { firstHeir: true }));
  assert.deepEqual(again, first, 'the same when it asks again');
  anna.crash();
  await world.start('anna');
  assert.deepEqual(await world.settled(world.space('anna').grant(ghost.peer, { firstHeir: true })), first);
  const left = world.space('anna').free();
  assert.ok(left < 2 ** 19);

  await world.join('bert', 'anna');
  await world.join('cleo', 'anna');
  await world.run(1_000);
  assert.deepEqual(world.space('anna').ring(), world.space('cleo').ring());
  const all = () => ['anna', 'bert', 'cleo'].reduce((sum, name) => sum + world.space(name).free(), 0);
  assert.equal(all(), 2 ** 20 - 2, 'what the ghost was given is free again');
  anna.crash();
  await world.start('anna');
  await world.run(1_000);
  assert.equal(all(), 2 ** 20 - 2, 'also after a restart');
  for (const name of ['anna', 'bert', 'cleo']) assert.deepEqual(world.space(name).quarantine(), []);

  const { entries } = await world.settled(world.space('anna').grantFromBest(ghost.peer));
  assert.notDeepEqual(entries, first, 'should it come after all, it is given addresses that count');
});

test('a host cut off from the others goes on giving addresses of its own space', async () => {
  const world = await threeHosts();
  world.mesh.partition([world.host('anna'), world.host('bert')], [world.host('cleo')]);
  for (let i = 0; i < 20; i += 1) await world.settled(world.allocate('cleo', `e${i}`, undefined, 100));
  assert.equal(world.space('cleo').allocations().length, 20);
});
