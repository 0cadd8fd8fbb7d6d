import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PeerId } from '../../src/core/ids.ts';
import {
  BY_NAME,
  BY_ROOT,
  depthsOf,
  isLater,
  type Lineage,
  lineOf,
  MAX_HANDED,
  mayAct,
  type Successor,
  successorOf,
  takerOf,
} from '../../src/core/succession.ts';
import { NEEDS_PROMISES } from '../../src/core/takeover.ts';

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
  handed: Names = {},
): Lineage {
  return {
    heirOf: (peer) => HEIRS.get(peer),
    adopterOf: (peer) => adopters.get(peer),
    isRemoved: (peer) => removed.includes(peer),
    namedBy: (peer) => names[peer] ?? [],
    handedFor: (peer) => handed[peer] ?? [],
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
        for (const one of before) assert.deepEqual(depthsOf(peer, one.peer, now), [one.depth]);
        before = line;
      }
    }),
  );
});

test('whom the last host names is its heir once everybody before it is removed', () => {
  const names = { [A]: [D, E] };
  assert.deepEqual(successorOf(A, lineage([], new Map(), names)), { peer: B, depth: 1 });
  assert.deepEqual(depthsOf(A, D, lineage([], new Map(), names)), []);
  assert.equal(successorOf(A, lineage([B])), undefined, 'its line comes back to itself');
  assert.deepEqual(successorOf(A, lineage([B], new Map(), names)), { peer: D, depth: BY_NAME });
  assert.deepEqual(depthsOf(A, E, lineage([B], new Map(), names)), []);
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
  assert.deepEqual(depthsOf(A, D, both), [BY_NAME]);
});

test('to whom its heir hands its role acts for a peer, and behind that one its own heirs, also who has acted before', () => {
  const handed = { [D]: [E] };
  assert.deepEqual(successorOf(D, lineage([], undefined, undefined, handed))?.peer, E);
  // E's heir is D itself: behind it nobody is left, whatever has become of the old heir.
  assert.equal(successorOf(D, lineage([E], undefined, undefined, handed)), undefined);
  const back = lineage([A, C], undefined, undefined, { [C]: [A] });
  const [first, second] = depthsOf(C, B, back) as [number, number];
  assert.equal(first, 1, 'the heir of C, which has handed its role to A');
  assert.ok(second > NEEDS_PROMISES, 'and the heir of A, which was removed');
  assert.deepEqual(successorOf(C, back), { peer: B, depth: second });
  assert.deepEqual(takerOf(C, back), { peer: B, depth: second });
});

test('a role may be handed on, and also for who is removed meanwhile', () => {
  const handed = { [D]: [A, B], [C]: [E] };
  const now = (...removed: readonly PeerId[]) => lineage(removed, undefined, undefined, handed);
  assert.equal(successorOf(D, now())?.peer, B);
  // D's heir was C; for C, E acts.
  assert.ok(mayAct(D, E, now(C)));
  const depths = [C, E, A, B].map((peer) => depthsOf(D, peer, now(C)).at(-1) as number);
  assert.deepEqual(
    [...depths].sort((a, b) => a - b),
    depths,
    'in this order',
  );
});

/** Heirs lead up to A and B, which are heirs of each other; who is gone and to whom roles were handed, any. */
const views = fc
  .record({
    heirs: fc.array(fc.nat(6), { minLength: 6, maxLength: 6 }),
    gone: fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7]),
    goneBefore: fc.nat(8),
    handed: fc.array(fc.tuple(fc.nat(7), fc.nat(7), fc.boolean()), { maxLength: 8 }),
  })
  .map(({ heirs, gone, goneBefore, handed }) => {
    const peers = Array.from({ length: 8 }, (_, at) => `P${at}` as PeerId);
    const heirOf = (peer: PeerId) => {
      const at = peers.indexOf(peer);
      return peers[at < 2 ? 1 - at : (heirs[at - 2] as number) % at] as PeerId;
    };
    const seen = (removed: readonly number[], hands: typeof handed): Lineage => ({
      heirOf,
      adopterOf: () => undefined,
      namedBy: () => [],
      isRemoved: (peer) => removed.includes(peers.indexOf(peer)),
      handedFor(peer) {
        const had = new Set([peer, heirOf(peer)]);
        const targets = hands.filter(([ward]) => peers[ward] === peer).map(([, to]) => peers[to] as PeerId);
        return targets.filter((to) => !had.has(to) && had.add(to)).slice(0, MAX_HANDED);
      },
    });
    // Of one peer an earlier handover is known wherever a later one is.
    const cut = handed.findIndex(([, , late]) => late);
    const before = seen(gone.slice(0, goneBefore), cut < 0 ? handed : handed.slice(0, cut));
    return { peers, before, after: seen(gone, handed) };
  });

test('whoever has heard of more removals and handovers finds the same places and further ones, and acts no earlier', () => {
  fc.assert(
    fc.property(views, ({ peers, before, after }) => {
      for (const peer of peers) {
        const [old, now] = [lineOf(peer, before), lineOf(peer, after)];
        assert.equal(
          new Set(now.map(({ depth }) => depth)).size,
          now.length,
          'each place has a number of its own',
        );
        for (const place of old)
          assert.ok(depthsOf(peer, place.peer, after).includes(place.depth), 'for ever');
        const last = now.at(-1) as Successor;
        assert.deepEqual(successorOf(peer, after), after.isRemoved(last.peer) ? undefined : last);
        assert.ok(!isLater((old.at(-1) as Successor).depth, last.depth));
      }
    }),
    { numRuns: 2_000 },
  );
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
  readonly handedFor = () => [];
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
          if (taker !== undefined) assert.ok(depthsOf(peer, taker.peer, history).includes(taker.depth));
        }
        for (const [names, depth] of before) {
          const [peer, by] = names.split(' ') as [PeerId, PeerId];
          assert.deepEqual(depthsOf(peer, by, history), [depth], 'for ever');
        }
      }
    }),
  );
});
