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
  reachable(): Iterable<PeerId>;
  /** Links that a peer says it has. */
  neighboursOf(peer: PeerId): ReadonlySet<PeerId>;
}

interface Way {
  readonly next: PeerId | undefined;
  readonly hops: number;
}

const NONE: ReadonlySet<PeerId> = new Set();

export function createTopology(self: PeerId): Topology {
  const claims = new Map<PeerId, ReadonlySet<PeerId>>();
  let own: ReadonlySet<PeerId> = NONE;
  /** Found by a search over the whole graph when first asked for after a change. */
  let ways: Map<PeerId, Way> | undefined;

  /** Sorted, so that all peers with the same knowledge choose the same ways. */
  const normal = (neighbours: readonly PeerId[], peer: PeerId) =>
    new Set([...neighbours].sort().filter((neighbour) => neighbour !== peer));

  function search(): Map<PeerId, Way> {
    const found = new Map<PeerId, Way>([[self, { next: undefined, hops: 0 }]]);
    for (const peer of own) found.set(peer, { next: peer, hops: 1 });
    for (const [peer, way] of found) {
      if (way.hops === 0) continue;
      for (const neighbour of claims.get(peer) ?? NONE) {
        if (found.has(neighbour) || !claims.get(neighbour)?.has(peer)) continue;
        found.set(neighbour, { next: way.next, hops: way.hops + 1 });
      }
    }
    return found;
  }

  function current(): Map<PeerId, Way> {
    ways ??= search();
    return ways;
  }

  return {
    set(peer, neighbours) {
      if (peer === self) return false;
      const before = claims.get(peer);
      const after = neighbours === undefined ? undefined : normal(neighbours, peer);
      if (sameSet(before, after)) return false;
      if (after === undefined) claims.delete(peer);
      else claims.set(peer, after);
      ways = undefined;
      return true;
    },
    setOwn(neighbours) {
      const after = normal(neighbours, self);
      if (sameSet(own, after)) return false;
      own = after;
      ways = undefined;
      return true;
    },
    nextHop: (to) => current().get(to)?.next,
    hops: (to) => current().get(to)?.hops,
    reachable: () => current().keys(),
    neighboursOf: (peer) => (peer === self ? own : (claims.get(peer) ?? NONE)),
  };
}

function sameSet(a: ReadonlySet<PeerId> | undefined, b: ReadonlySet<PeerId> | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.size === b.size && [...a].every((peer) => b.has(peer));
}
