import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FLOODED_FROM } from '../../src/core/floods.ts';
import { createDatagramBatches, SECOND_LOOK_AFTER } from '../../src/host/datagram-batches.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';

/** Packets in a second. */
const FLOOD = 2 * FLOODED_FROM;
const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** A host whose containers have sent what `counts` says, and links that tell how they are set. */
function createWorld() {
  const clock = createVirtualClock();
  const world = {
    sent: 0,
    looks: 0,
    able: true,
    /** What `a` sends from one look at the links to the next. */
    meanwhile: 0,
    counts: new Map([
      ['a', 0],
      ['b', 0],
    ]),
  };
  const collecting = new Set<string>();
  const links = {
    async counts() {
      world.looks++;
      world.counts.set('a', (world.counts.get('a') ?? 0) + world.meanwhile);
      return new Map([...world.counts].map(([link, packets]) => [link, { packets, bytes: packets * 64 }]));
    },
    collects: async (link: string) => collecting.has(link),
    async collect(link: string, on: boolean) {
      if (!world.able) throw new Error('not supported');
      if (on) collecting.add(link);
      else collecting.delete(link);
    },
  };
  const batches = createDatagramBatches({ links, clock, log: silent, sent: async () => world.sent });
  /** A second in which container `a` sends so many packets, all for other hosts. */
  async function second(packets: number): Promise<readonly string[]> {
    await clock.advance(1_000);
    world.sent += packets;
    world.counts.set('a', (world.counts.get('a') ?? 0) + packets);
    let looking = true;
    const looked = batches.look().finally(() => {
      looking = false;
    });
    while (looking) await clock.advance(SECOND_LOOK_AFTER);
    await looked;
    return [...collecting];
  }
  return { world, collecting, batches, second };
}

describe('batches of datagrams', () => {
  test('the link of a container that floods collects, no other does, and it ends with the flood', async () => {
    const { second } = createWorld();
    assert.deepEqual(await second(0), []);
    await second(FLOOD);
    assert.deepEqual(await second(FLOOD), ['a']);
    assert.deepEqual(await second(FLOOD), ['a']);
    for (let calm = 0; calm < 3; calm++) await second(0);
    assert.deepEqual(await second(0), []);
  });

  test('a flood that begins is seen in the same call, and is looked at once in each that follows', async () => {
    const { world, second } = createWorld();
    await second(0);
    world.meanwhile = FLOODED_FROM;
    assert.deepEqual(await second(FLOOD), ['a']);
    const { looks } = world;
    await second(FLOOD);
    assert.equal(world.looks, looks + 1);
  });

  test('links are not looked at while little leaves for other hosts', async () => {
    const { world, second } = createWorld();
    await second(0);
    const { looks } = world;
    for (let count = 0; count < 5; count++) await second(FLOODED_FROM / 2);
    assert.equal(world.looks, looks);
  });

  test('what an earlier life has left is put back at the first look, and what this one has set at the end', async () => {
    const { collecting, batches, second } = createWorld();
    collecting.add('b');
    assert.deepEqual(await second(0), []);
    for (let count = 0; count < 2; count++) await second(FLOOD);
    assert.deepEqual([...collecting], ['a']);
    await batches.end();
    assert.deepEqual([...collecting], []);
  });

  test('where the kernel cannot, datagrams pass singly and nothing fails', async () => {
    const { world, second } = createWorld();
    world.able = false;
    await second(0);
    for (let count = 0; count < 4; count++) assert.deepEqual(await second(FLOOD), []);
  });
});
