import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSharedCounters, WORDS_PER_THREAD } from '../../src/datapath/shared-counters.ts';

const [PACKETS, BYTES] = [0, 1];
const DROPS = 24;
const SENDER = 0;
const RECEIVER = 1;

/** Two threads that count in memory of their own. */
function createCounting() {
  const memory = new BigUint64Array(new SharedArrayBuffer(2 * WORDS_PER_THREAD * 8));
  const at = (thread: number, slot: number, word: number) =>
    thread * WORDS_PER_THREAD + DROPS + 4 * slot + word;
  return {
    counters: createSharedCounters(memory),
    count(thread: number, slot: number, packets: bigint, bytes: bigint) {
      Atomics.add(memory, at(thread, slot, PACKETS), packets);
      Atomics.add(memory, at(thread, slot, BYTES), bytes);
    },
  };
}

test('what the threads count is read of each slot and of all, whichever half of a number changes', () => {
  const { counters, count } = createCounting();
  counters.begin(3);
  counters.begin(4);
  count(SENDER, 3, 1n, 100n);
  count(RECEIVER, 3, 2n, 200n);
  count(RECEIVER, 4, 5n, 500n);
  const first = counters.read();
  const { sentPackets, sentBytes, receivedPackets, receivedBytes } = first.peers.get(3) ?? {};
  assert.deepEqual([sentPackets, sentBytes, receivedPackets, receivedBytes], [1n, 100n, 2n, 200n]);
  assert.deepEqual(first.total.receivedBytes, 700n);
  // The lower halves of both stay as they were.
  count(SENDER, 3, 1n << 32n, 3n << 32n);
  const second = counters.read();
  assert.equal(second.peers.get(3)?.sentPackets, 1n + (1n << 32n));
  assert.equal(second.total.sentBytes, 100n + (3n << 32n));
  assert.equal(
    second.peers.get(4),
    first.peers.get(4),
    'of a slot without traffic nothing is worked out again',
  );
});

test('a slot that is used again counts from there, the total goes on', () => {
  const { counters, count } = createCounting();
  counters.begin(3);
  count(SENDER, 3, 7n, 700n);
  counters.end(3);
  assert.equal(counters.read().peers.get(3), undefined);
  count(SENDER, 3, 1n, 100n);
  counters.begin(3);
  assert.equal(counters.read().peers.get(3)?.sentPackets, 0n);
  count(SENDER, 3, 2n, 200n);
  const { peers, total } = counters.read();
  assert.equal(peers.get(3)?.sentPackets, 2n);
  assert.equal(total.sentPackets, 10n);
});
