import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createArrivals } from '../../src/mesh/libp2p/arrivals.ts';

test('a full room loses the oldest of the source that has most, and never who is alone', () => {
  const gone: number[] = [];
  const arrivals = createArrivals<number>(4);
  const enter = (id: number, remoteAddress: string) =>
    arrivals.enter(id, { remoteAddress, abort: () => gone.push(id) });
  enter(1, '192.0.2.1:1');
  for (const id of [2, 3, 4]) enter(id, '[2001:db8::1]:1');
  assert.deepEqual(gone, []);
  // One /64 is one source.
  enter(5, '[2001:db8::2]:1');
  enter(6, '192.0.2.3:1');
  assert.deepEqual(gone, [2, 3]);
  arrivals.leave(4);
  arrivals.leave(2);
  enter(7, '192.0.2.4:1');
  assert.deepEqual(gone, [2, 3]);
  enter(8, '192.0.2.4:1');
  assert.equal(gone.length, 3);
});
