import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PeerId } from '../../src/core/ids.ts';
import {
  BY_NAME,
  BY_ROOT,
  depthOf,
  type Lineage,
  lineOf,
  successorOf,
  takerOf,
} from '../../src/core/succession.ts';

const ALL = ['A', 'B', 'C', 'D', 'E'] as PeerId[];
const [A, B, C, D, E] = ALL as [PeerId, PeerId, PeerId, PeerId, PeerId];
const HEIRS = new Map<PeerId, PeerId>([
  [A, B],
  [B, A],
  [C, B],
  [D, C],
  [E, D],
]);

type Names = Readonly<Record<PeerId, readonly PeerId[]>>;

function lineage(
  removed: readonly PeerId[],
  adopters: ReadonlyMap<PeerId, PeerId> = new Map(),
  names: Names = {},
): Lineage {
  return {
    heirOf: (peer) => HEIRS.get(peer),
    adopterOf: (peer) => adopters.get(peer),
    isRemoved: (peer) => removed.includes(peer),
    namedBy: (peer) => names[peer] ?? [],
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

test('whom the last host names is its heir once everybody before it is removed', () => {
  const names = { [A]: [D, E] };
  assert.deepEqual(successorOf(A, lineage([], new Map(), names)), { peer: B, depth: 1 });
  assert.equal(depthOf(A, D, lineage([], new Map(), names)), undefined);
  assert.equal(successorOf(A, lineage([B])), undefined, 'its line comes back to itself');
  assert.deepEqual(successorOf(A, lineage([B], new Map(), names)), { peer: D, depth: BY_NAME });
  assert.equal(depthOf(A, E, lineage([B], new Map(), names)), undefined);
  // D's heirs are C, then B, whose heir is A itself.
  assert.deepEqual(successorOf(A, lineage([B, D], new Map(), names)), { peer: C, depth: BY_NAME + 1 });
  assert.deepEqual(successorOf(A, lineage([B, C, D], new Map(), names)), { peer: E, depth: 2 * BY_NAME });
  assert.deepEqual(takerOf(B, lineage([A, B], new Map(), names)), { peer: D, depth: 1 + BY_NAME });
});

test('nobody is named where it is not known who the heir was', () => {
  const unknown = { ...lineage([B], new Map(), { [A]: [D] }), heirOf: () => undefined };
  assert.equal(successorOf(A, unknown), undefined);
  assert.deepEqual(lineOf(A, unknown), []);
});

test('the root key overrules whom the last host has named, who may still act', () => {
  const both = lineage([A, B], new Map([[A, C]]), { [A]: [D] });
  assert.deepEqual(takerOf(A, both), { peer: C, depth: BY_ROOT });
  assert.equal(depthOf(A, D, both), BY_NAME);
});

/** What may happen to a mesh, one thing after the other: hosts join through others, are removed by who may, and the last names an heir. */
class History implements Lineage {
  readonly known: PeerId[] = [A, B];
  readonly heirs = new Map([
    [A, B],
    [B, A],
  ]);
  readonly gone = new Set<PeerId>();
  readonly named = new Map<PeerId, PeerId[]>();
  readonly heirOf = (peer: PeerId) => this.heirs.get(peer);
  readonly adopterOf = () => undefined;
  readonly isRemoved = (peer: PeerId) => this.gone.has(peer);
  readonly namedBy = (peer: PeerId) => this.named.get(peer) ?? [];
  readonly members = () => this.known.filter((peer) => !this.gone.has(peer));

  step(dice: number, remove: boolean): void {
    const members = this.members();
    const peer = members[dice % members.length] as PeerId;
    if (remove) {
      if (successorOf(peer, this) !== undefined) this.gone.add(peer);
      return;
    }
    const newcomer = `P${this.known.length}` as PeerId;
    if (successorOf(peer, this) === undefined) {
      if (members.length > 1) return;
      this.named.set(peer, [...this.namedBy(peer), newcomer]);
    }
    this.heirs.set(newcomer, peer);
    this.known.push(newcomer);
  }
}

test('a mesh goes on whoever is removed and in which order, and one peer at most may act for another, at one depth', () => {
  const steps = fc.array(fc.tuple(fc.nat(99), fc.boolean()), { maxLength: 40 });
  fc.assert(
    fc.property(steps, (all) => {
      const history = new History();
      const before = new Map<string, number>();
      for (const [dice, remove] of all) {
        history.step(dice, remove);
        assert.ok(history.members().length > 0, 'somebody is left, and can let others in');
        for (const peer of history.known) {
          const line = lineOf(peer, history);
          assert.equal(new Set(line.map(({ depth }) => depth)).size, line.length, 'each depth once');
          assert.ok(line.filter((one) => !history.isRemoved(one.peer)).length <= 1);
          for (const one of line) before.set(`${peer} ${one.peer}`, one.depth);
          const taker = takerOf(peer, history);
          if (history.isRemoved(peer)) assert.ok(taker !== undefined, 'what it had is not lost');
          if (taker !== undefined) assert.equal(depthOf(peer, taker.peer, history), taker.depth);
        }
        for (const [names, depth] of before) {
          const [peer, by] = names.split(' ') as [PeerId, PeerId];
          assert.equal(depthOf(peer, by, history), depth, 'for ever');
        }
      }
    }),
  );
});
