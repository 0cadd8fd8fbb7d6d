import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCidr } from '../../src/core/address.ts';
import { NetworkError } from '../../src/mesh/networks.ts';
import { createSpaceWorld, type SpaceWorld } from './support/space-world.ts';

const HOSTS = ['anna', 'bert', 'cleo'];

async function threeHosts(seed: number): Promise<SpaceWorld> {
  const world = createSpaceWorld({ restart: true, seed });
  await world.start('anna');
  await world.run(50);
  for (const name of ['bert', 'cleo']) {
    await world.join(name, 'anna');
    await world.run(500);
  }
  return world;
}

/** Every host knows the same networks, and exactly their addresses are in other networks than `weft`. */
function assertWhole(world: SpaceWorld, story: string): void {
  for (const name of HOSTS) {
    assert.deepEqual(world.space(name).ring(), world.space('anna').ring(), `${story}: ring of ${name}`);
    assert.deepEqual(world.space(name).quarantine(), [], story);
    assert.deepEqual(world.space(name).pendingDonations(), [], story);
    assert.deepEqual(world.networks(name).list(), world.networks('anna').list(), story);
  }
  const labels = new Map<string, number>();
  for (const { start, last, network } of world.space('anna').ring()) {
    labels.set(network, (labels.get(network) ?? 0) + last - start + 1);
  }
  const sizes = world
    .networks('anna')
    .list()
    .flatMap(({ id, subnet }) => {
      const parsed = parseCidr(subnet);
      assert.ok(parsed.ok);
      return id === 'weft' ? [] : [[id, parsed.value.last - parsed.value.start + 1] as const];
    });
  labels.delete('weft');
  assert.deepEqual(Object.fromEntries(labels), Object.fromEntries(sizes), story);
}

/** Lets the task run while hosts crash and come back; what becomes of it does not matter here. */
async function attempt(world: SpaceWorld, task: () => Promise<unknown>): Promise<void> {
  let over = false;
  const end = () => {
    over = true;
  };
  task().then(end, end);
  for (let passed = 0; passed < 14_000 && !over; passed += 100) await world.run(100);
  await world.run(1_000);
}

/** Tells the story for each victim and each of its first writes, before and after it is on disk; resolves to how often it died. */
async function everyCrash<T>(
  title: string,
  prepare: (world: SpaceWorld) => Promise<T>,
  tell: (world: SpaceWorld, prepared: T) => Promise<unknown>,
): Promise<number> {
  let crashes = 0;
  for (const victim of HOSTS) {
    for (const when of ['before', 'after'] as const) {
      for (let write = 1; write <= WRITES; write += 1) {
        const world = await threeHosts(write);
        const prepared = await prepare(world);
        world.host(victim).crash();
        world.host(victim).crashAt = { write, when };
        await world.settled(world.start(victim));
        await attempt(world, () => tell(world, prepared));
        await world.run(16_000);
        if (world.host(victim).crashAt === undefined) crashes += 1;
        world.host(victim).crashAt = undefined;
        assertWhole(world, `${title}, ${victim} dies ${when} write ${write}`);
      }
    }
  }
  return crashes;
}

const WRITES = 6;
const nothing = async () => undefined;

test('whichever write a host dies at while a network is made, it is there whole or not at all', async () => {
  const crashes = await everyCrash('create', nothing, async (world) =>
    world.networks('bert').create({ name: 'web' }),
  );
  assert.ok(crashes >= 8, `only ${crashes} of the crashes happened`);
});

test('the same while a subnet is claimed from all hosts', async () => {
  const crashes = await everyCrash('claim', nothing, async (world) =>
    world.networks('bert').create({ name: 'wide', subnet: '10.32.0.0/13' }),
  );
  assert.ok(crashes >= 8, `only ${crashes} of the crashes happened`);
});

test('the same while a network is removed', async () => {
  const make = async (world: SpaceWorld) => {
    const making = world.networks('bert').create({ name: 'web', subnet: '10.32.0.0/13' });
    const { id } = await world.settled(making);
    await world.run(1_000);
    return id;
  };
  const crashes = await everyCrash('remove', make, async (world, id) => world.networks('anna').remove(id));
  assert.ok(crashes >= 8, `only ${crashes} of the crashes happened`);
});

test('a third of all messages lost: creations succeed or leave nothing, whoever they ask', async () => {
  let made = 0;
  for (let seed = 1; seed <= 6; seed += 1) {
    const world = await threeHosts(seed);
    world.mesh.loss = 0.33;
    for (const [index, name] of HOSTS.entries()) {
      const subnet = ['10.32.0.0/13', '10.40.0.0/14', '10.44.0.0/14'][index] as string;
      await attempt(world, async () => {
        await world.networks(name).create({ name: `n${index}`, subnet });
        made += 1;
      });
    }
    world.mesh.loss = 0;
    await world.run(16_000);
    assertWhole(world, `seed ${seed}`);
  }
  assert.ok(made > 0, 'some are made all the same');
});

test('of two hosts that claim overlapping subnets at once at most one receives it, and nothing is left of the other', async () => {
  for (let seed = 1; seed <= 8; seed += 1) {
    const world = await threeHosts(seed);
    const outcomes = await world.settled(
      Promise.allSettled([
        world.networks('bert').create({ name: 'one', subnet: '10.32.0.0/13' }),
        world.networks('cleo').create({ name: 'two', subnet: '10.36.0.0/14' }),
      ]),
    );
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected')
        assert.ok(outcome.reason instanceof NetworkError, String(outcome.reason));
    }
    assert.ok(outcomes.filter(({ status }) => status === 'fulfilled').length <= 1);
    await world.run(12_000);
    assertWhole(world, `seed ${seed}`);
  }
});

test('a disk that is full makes no network, and loses no address', async () => {
  const world = await threeHosts(1);
  const free = world.space('bert').free();
  world.host('bert').store.failWrites(new Error('no space left on device'));
  await attempt(world, async () => world.networks('bert').create({ name: 'web' }));
  assert.equal(world.networks('bert').get('web'), undefined);
  world.host('bert').store.failWrites(undefined);
  await world.run(45_000);
  assertWhole(world, 'after the disk was full');
  assert.equal(world.space('bert').free(), free);
  await world.settled(world.networks('bert').create({ name: 'web' }));
});
