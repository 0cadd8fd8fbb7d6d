import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PeerId } from '../../src/core/ids.ts';
import { BY_ROOT, depthOf, type Lineage, lineOf, successorOf, takerOf } from '../../src/core/succession.ts';

const ALL = ['A', 'B', 'C', 'D', 'E'] as PeerId[];
const [A, B, C, D] = ALL as [PeerId, PeerId, PeerId, PeerId];
const HEIRS = new Map<PeerId, PeerId>([
  [A, B],
  [B, A],
  [C, B],
  [D, C],
  ['E' as PeerId, D],
]);

function lineage(removed: readonly PeerId[], adopters: ReadonlyMap<PeerId, PeerId> = new Map()): Lineage {
  return {
    heirOf: (peer) => HEIRS.get(peer),
    adopterOf: (peer) => adopters.get(peer),
    isRemoved: (peer) => removed.includes(peer),
  };
}

test('the heir stands in for a removed peer, and behind a removed heir its own', () => {
  assert.equal(takerOf(D, lineage([])), undefined);
  assert.deepEqual(takerOf(D, lineage([D])), { peer: C, depth: 1 });
  assert.deepEqual(takerOf(D, lineage([D, C])), { peer: B, depth: 2 });
  assert.deepEqual(successorOf(D, lineage([C])), { peer: B, depth: 2 }, 'a living donor has a witness, too');
});

test('heirs of each other that are both gone have no successor but whom the root key names', () => {
  assert.equal(takerOf(A, lineage([A, B])), undefined);
  assert.deepEqual(takerOf(A, lineage([A, B], new Map([[A, C]]))), { peer: C, depth: BY_ROOT });
  assert.deepEqual(takerOf(B, lineage([A, B], new Map([[A, C]]))), { peer: C, depth: BY_ROOT + 1 });
});

test('one peer at most may act, and who may act once may act for ever', () => {
  const removals = fc.shuffledSubarray(ALL);
  fc.assert(
    fc.property(removals, fc.constantFrom(...ALL), (order, peer) => {
      let before: readonly { peer: PeerId; depth: number }[] = [];
      for (let count = 0; count <= order.length; count += 1) {
        const now = lineage(order.slice(0, count));
        const line = lineOf(peer, now);
        assert.ok(line.filter((one) => !now.isRemoved(one.peer)).length <= 1);
        for (const one of before) assert.equal(depthOf(peer, one.peer, now), one.depth);
        before = line;
      }
    }),
  );
});
