import type { PeerId } from './ids.ts';

/**
 * Who is linked with whom, and what follows: who can be reached from here, over whom, in how many hops.
 *
 * An edge between two other peers counts only when both say that they have it. That one rule is the failure detector: a peer that crashed
 * still lists its old neighbours in its last record, but they have all dropped it, so no way leads to it any more. This peer's own
 * links need no confirmation; they are open.
 */
export interface Topology {
  /** Links that `peer` says it has; undefined forgets it. False when that is what was known. */
  set(peer: PeerId, neighbours: readonly PeerId[] | undefined): boolean;
  /** This peer's own open links. False when that is what was known. */
  setOwn(neighbours: readonly PeerId[]): boolean;
  /** The neighbour on the shortest way to `to`; undefined when there is none, or for this peer itself. */
  nextHop(to: PeerId): PeerId | undefined;
  /** Links on the shortest way: 0 to this peer itself, undefined when there is no way. */
  hops(to: PeerId): number | undefined;
  /** All peers with a way to them, this one included, nearest first. */
  reachable(): readonly PeerId[];
  /** Links that a peer says it has. */
  neighboursOf(peer: PeerId): readonly PeerId[];
}

interface Way {
  /** Number of the neighbour; -1 for this peer itself. */
  readonly next: number;
  readonly hops: number;
}

const NONE: ReadonlySet<number> = new Set();
const SELF = 0;

/** Inside, peers are numbers: a search over a thousand peers with eight links each is made of look-ups, and those of long texts are slow. */
export function createTopology(self: PeerId): Topology {
  const numbers = new Map<PeerId, number>([[self, SELF]]);
  const names: PeerId[] = [self];
  /** By number, in the order of ids, so that all peers with the same knowledge choose the same ways. */
  const claims: (ReadonlySet<number> | undefined)[] = [NONE];
  /** Found by a search over the whole graph when first asked for after a change. */
  let ways: Map<number, Way> | undefined;

  function numberOf(peer: PeerId): number {
    let number = numbers.get(peer);
    if (number === undefined) {
      number = names.push(peer) - 1;
      numbers.set(peer, number);
    }
    return number;
  }

  function change(number: number, neighbours: readonly PeerId[] | undefined): boolean {
    const after = neighbours && new Set([...neighbours].sort().map(numberOf));
    after?.delete(number);
    if (sameSet(claims[number], after)) return false;
    claims[number] = after;
    ways = undefined;
    return true;
  }

  function search(): Map<number, Way> {
    const found = new Map<number, Way>([[SELF, { next: -1, hops: 0 }]]);
    for (const number of claims[SELF] ?? NONE) found.set(number, { next: number, hops: 1 });
    for (const [number, { next, hops }] of found) {
      if (number === SELF) continue;
      for (const neighbour of claims[number] ?? NONE) {
        if (found.has(neighbour) || !claims[neighbour]?.has(number)) continue;
        found.set(neighbour, { next, hops: hops + 1 });
      }
    }
    return found;
  }

  function wayTo(peer: PeerId): Way | undefined {
    const number = numbers.get(peer);
    ways ??= search();
    return number === undefined ? undefined : ways.get(number);
  }

  return {
    set: (peer, neighbours) => peer !== self && change(numberOf(peer), neighbours),
    setOwn: (neighbours) => change(SELF, neighbours),
    nextHop(to) {
      const way = wayTo(to);
      return way === undefined ? undefined : names[way.next];
    },
    hops: (to) => wayTo(to)?.hops,
    reachable() {
      ways ??= search();
      return Array.from(ways.keys(), (number) => names[number] as PeerId);
    },
    neighboursOf(peer) {
      const number = numbers.get(peer);
      const claimed = number === undefined ? undefined : claims[number];
      return [...(claimed ?? NONE)].map((neighbour) => names[neighbour] as PeerId);
    },
  };
}

function sameSet(a: ReadonlySet<number> | undefined, b: ReadonlySet<number> | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.size === b.size && [...a].every((number) => b.has(number));
}
