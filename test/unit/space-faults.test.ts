import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_NETWORK, type EndpointId, type PeerId } from '../../src/core/ids.ts';
import { type Space, SpaceError } from '../../src/mesh/space.ts';
import { createSpaceWorld, type SpaceWorld } from './support/space-world.ts';

const HOSTS = ['anna', 'bert', 'cleo'];

async function threeHosts(options: Parameters<typeof createSpaceWorld>[0] = {}): Promise<SpaceWorld> {
  const world = createSpaceWorld({ restart: true, ...options });
  await world.start('anna');
  await world.run(50);
  await world.join('bert', 'anna');
  await world.run(500);
  await world.join('cleo', 'anna');
  await world.run(500);
  return world;
}

/** Asks until it is granted, through crashes of the asking host too. */
async function insist(world: SpaceWorld, name: string, endpoint: string, wanted: string): Promise<void> {
  for (let tries = 0; tries < 40; tries += 1) {
    const granted =
      world.host(name).life === undefined ? undefined : world.allocate(name, endpoint, wanted, 2_000);
    const done = { yes: false };
    granted?.then(
      () => {
        done.yes = true;
      },
      () => {},
    );
    for (let passed = 0; passed < 2_100 && !done.yes; passed += 100) await world.run(100);
    if (done.yes) return;
  }
  assert.fail(`${name} never received ${wanted}`);
}

function assertAgreement(world: SpaceWorld): void {
  for (const name of HOSTS) {
    assert.deepEqual(world.space(name).ring(), world.space('anna').ring(), name);
    assert.deepEqual(world.space(name).quarantine(), [], name);
    assert.deepEqual(world.space(name).pendingDonations(), [], name);
  }
}

test('whichever write a host dies at, before or after it is on disk, no address is lost or held twice', async () => {
  let crashes = 0;
  for (const victim of HOSTS) {
    for (const when of ['before', 'after'] as const) {
      for (let write = 1; write <= 8; write += 1) {
        const world = await threeHosts({ seed: write });
        world.host(victim).crash();
        world.host(victim).crashAt = { write, when };
        await world.settled(world.start(victim));
        await insist(world, 'cleo', 'one', '10.40.0.9');
        await insist(world, 'bert', 'two', '10.32.0.9');
        await insist(world, 'anna', 'three', '10.40.0.10');
        await world.run(12_000);
        assertAgreement(world);
        if (world.host(victim).crashAt === undefined) crashes += 1;
      }
    }
  }
  assert.ok(crashes >= 20, `only ${crashes} of the crashes happened`);
});

test('a donation that its donor did not live to publish is completed when it is back', async () => {
  const world = await threeHosts();
  const asking = world.allocate('cleo', 'web', '10.40.0.9', 3_000);
  asking.catch(() => {});
  while (world.space('bert').pendingDonations().length === 0) await world.run(10);
  world.host('bert').crash();
  await world.run(3_000);
  await world.run(5_000);
  assert.deepEqual(world.space('bert').pendingDonations(), []);
  const owner = world
    .space('anna')
    .ring()
    .find(({ start, last }) => start === last)?.owner;
  assert.equal(owner, world.host('cleo').peer);
});

test('a third of all messages lost delays donations and breaks nothing', async () => {
  for (let seed = 1; seed <= 6; seed += 1) {
    const world = await threeHosts({ seed });
    world.mesh.loss = 0.33;
    const wishes = ['10.40.0.1', '10.32.0.1', '10.40.0.2', '10.32.0.2', '10.45.0.1', '10.36.0.1'];
    for (const [i, wanted] of wishes.entries()) await insist(world, HOSTS[i % 3] as string, `e${i}`, wanted);
    world.mesh.loss = 0;
    await world.run(12_000);
    assertAgreement(world);
  }
});

test('without its heir a donor promises nothing, so that nothing is out of use meanwhile', async () => {
  const world = await threeHosts({ restart: false });
  world.host('anna').crash();
  const before = world.space('bert').free();
  const outcome = await world.settled(
    world.allocate('cleo', 'x', '10.40.0.9', 3_000).catch((error: unknown) => error),
  );
  assert.ok(outcome instanceof SpaceError);
  assert.equal(outcome.code, 'owner-unreachable');
  assert.match(outcome.message, /bert .*cannot reach its witness/);
  assert.equal(world.space('bert').free(), before);
  assert.deepEqual(world.space('bert').pendingDonations(), []);
});

test('two halves of a mesh go on giving addresses apart, and agree when they meet again', async () => {
  const world = await threeHosts();
  world.mesh.partition([world.host('anna'), world.host('bert')], [world.host('cleo')]);
  const names = ['anna', 'bert', 'cleo'];
  for (let i = 0; i < 30; i += 1) await world.settled(world.allocate(names[i % 3] as string, `e${i}`));
  await insist(world, 'anna', 'claimed', '10.40.3.3');
  world.mesh.partition();
  await world.run(3_000);
  assertAgreement(world);
});

/** A mesh of 64 addresses, so that space runs out. */
async function smallMesh(): Promise<SpaceWorld> {
  return threeHosts({ range: { start: 0x0a200000, last: 0x0a20003f } });
}

test('who has used up its space receives more from the host with the most, until nobody has any', async () => {
  const world = await smallMesh();
  for (let i = 0; i < 62; i += 1) await world.settled(world.allocate('cleo', `e${i}`));
  assert.equal(world.space('cleo').allocations().length, 62);
  const outcome = await world.settled(world.allocate('cleo', 'last').catch((error: unknown) => error));
  assert.ok(outcome instanceof SpaceError);
  assert.equal(outcome.code, 'no-space');
  assert.match(outcome.message, /anna .* has nothing free.*bert|bert .* has nothing free.*anna/);
  await world.settled(world.release('cleo', 'e7'));
  await world.settled(world.allocate('anna', 'now', undefined, 5_000));
  await world.run(2_000);
  assertAgreement(world);
});

test('many hosts ask for space at once and each is served once', async () => {
  const world = await smallMesh();
  const all: Promise<unknown>[] = [];
  for (let i = 0; i < 20; i += 1) {
    for (const name of HOSTS) all.push(world.allocate(name, `e${i}`, undefined, 20_000));
  }
  await world.settled(Promise.all(all));
  await world.run(2_000);
  assertAgreement(world);
});

test('a joiner that asks again after a lost answer is given the same addresses', async () => {
  const world = await threeHosts();
  const dora = world.host('dora');
  const ask = (space: Space) => world.settled(space.grantFromBest(dora.peer));
  const first = await ask(world.space('anna'));
  await world.run(500);
  for (const name of HOSTS) assert.deepEqual((await ask(world.space(name))).entries, first.entries, name);
});

test('a disk that is full refuses the request and keeps the address free', async () => {
  const world = await threeHosts();
  const free = world.space('cleo').free();
  world.host('cleo').store.failWrites(new Error('no space left on device'));
  const request = { endpoint: 'x' as EndpointId, network: DEFAULT_NETWORK };
  await assert.rejects(world.settled(world.space('cleo').allocate(request)), /no space left/);
  assert.equal(world.space('cleo').free(), free);
  world.host('cleo').store.failWrites(undefined);
  await world.settled(world.allocate('cleo', 'x'));
});

/** Calls `seen` for each donation or probe that reaches the host as a witness. */
function watchWitness(world: SpaceWorld, name: string, seen: (body: object) => void): void {
  const { life } = world.host(name);
  assert.ok(life);
  const { answer } = life;
  Object.assign(life, {
    answer: (from: PeerId, kind: string, body: object) => {
      if (kind === 'space/witness') seen(body);
      return answer(from, kind, body);
    },
  });
}

test('nobody hears of a donation that its donor could not write down', async () => {
  const world = await threeHosts();
  const promised: object[] = [];
  watchWitness(world, 'anna', (body) => ('entry' in body ? promised.push(body) : undefined));
  world.host('bert').store.failWrites(new Error('no space left on device'));
  const asking = world.allocate('cleo', 'x', '10.40.0.9', 6_000);
  await world.run(2_000);
  assert.equal(world.space('bert').pendingDonations().length, 1);
  assert.deepEqual(promised, []);
  world.host('bert').store.failWrites(undefined);
  assert.equal((await world.settled(asking)).address, '10.40.0.9');
  assert.equal(promised.length, 1);
});

test('an address that its owner takes while it asks for its witness stays with the owner', async () => {
  const world = await threeHosts();
  const wanted = '10.40.0.9';
  let taken: Promise<unknown> | undefined;
  watchWitness(world, 'anna', () => {
    taken ??= world.allocate('bert', 'own', wanted);
  });
  const outcome = await world.settled(world.allocate('cleo', 'x', wanted).catch((error: unknown) => error));
  assert.ok(outcome instanceof SpaceError);
  assert.equal(outcome.code, 'in-use');
  await taken;
  assert.deepEqual(
    world
      .space('bert')
      .allocations()
      .map(({ address }) => address),
    [wanted],
  );
});

test('a space that closes lets nobody wait', async () => {
  const world = await threeHosts({ restart: false });
  world.mesh.partition([world.host('cleo')], [world.host('anna'), world.host('bert')]);
  const asking = world.allocate('cleo', 'x', '10.40.0.9', 10_000).catch((error: unknown) => error);
  await world.run(100);
  world.space('cleo').close();
  const began = world.mesh.clock.now();
  const outcome = await world.settled(asking);
  assert.ok(outcome instanceof SpaceError);
  assert.equal(outcome.code, 'closed');
  assert.ok(world.mesh.clock.now() - began < 100);
});
