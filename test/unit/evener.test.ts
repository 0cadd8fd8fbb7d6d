import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkId, PeerId } from '../../src/core/ids.ts';
import { createEvener } from '../../src/mesh/evener.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';

const [SELF, OTHER] = ['self', 'other'] as [PeerId, PeerId];
const WEFT = 'weft' as NetworkId;
const HOUR = 3_600_000;

interface Story {
  /** Addresses of this host and of the other one, and how many of them are free. */
  readonly own: number;
  readonly free: number;
  readonly others: number;
  readonly othersFree: number;
  readonly isRemoved?: boolean;
  readonly isRefused?: boolean;
}

/** When, in ms, a host has asked for addresses within so many hours. */
async function asks(story: Story, hours: number): Promise<readonly number[]> {
  const { own, free, others, othersFree, isRemoved = false, isRefused = false } = story;
  const clock = createVirtualClock();
  const asked: number[] = [];
  const evener = createEvener({
    self: SELF,
    clock,
    random: { fraction: () => 0.5, bytes: (length) => new Uint8Array(length) },
    membership: { isRemoved: () => isRemoved },
    liveness: { up: () => [SELF, OTHER] },
    records: { get: () => ({ free: othersFree }) } as never,
    space: {
      ring: () => [
        { start: 0, last: own - 1, owner: SELF, network: WEFT },
        { start: own, last: own + others - 1, owner: OTHER, network: WEFT },
      ],
      free: () => free,
      async refill() {
        asked.push(clock.now());
        if (isRefused) throw new Error('nobody gives any');
      },
    },
  });
  evener.start();
  await clock.advance(hours * HOUR);
  evener.close();
  const before = asked.length;
  await clock.advance(HOUR);
  assert.equal(asked.length, before, 'nothing after the end');
  return asked;
}

const POOR = { own: 1_000, free: 400, others: 9_000, othersFree: 9_000 };

test('a host with far fewer free addresses than most asks for some, when it has been up for a while', async () => {
  const [first] = await asks(POOR, 1);
  assert.equal(first, 90_000);
});

test('a host asks for nothing that has enough, that uses more than others have, where there is little, or that was removed', async () => {
  assert.deepEqual(await asks({ ...POOR, othersFree: 700 }, 1), []);
  assert.deepEqual(await asks({ ...POOR, own: 20_000 }, 1), []);
  assert.deepEqual(await asks({ own: 10, free: 1, others: 100, othersFree: 100 }, 1), []);
  assert.deepEqual(await asks({ ...POOR, isRemoved: true }, 1), []);
});

test('a host whom nobody gives any asks ever more seldom', async () => {
  const asked = await asks({ ...POOR, isRefused: true }, 24);
  assert.equal(asked[1], 90_000 + 180_000);
  assert.ok(asked.length <= 24, `${asked.length} times in a day`);
});
