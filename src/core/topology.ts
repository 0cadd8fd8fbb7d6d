import type { PeerId } from './ids.ts';
import { createPeerNumbers, type PeerNumbers } from './peer-numbers.ts';

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
  degree(peer: PeerId): number;
  /** What can be reached, by the numbers of peers. It stays as it is: the next change makes another one. */
  reach(): Reach;
  readonly numbers: PeerNumbers;
}

export interface Reach {
  /** Numbers of the peers with a way to them, nearest first. */
  readonly order: Int32Array;
  has(number: number): boolean;
}

const NONE = new Int32Array();
const NO_WAY = -2;
const HERE = -1;

interface Ways extends Reach {
  /** By number: the neighbour on the way, HERE for this peer itself, NO_WAY. */
  readonly next: Int32Array;
  readonly hops: Uint16Array;
}

export function createTopology(self: PeerId, numbers: PeerNumbers = createPeerNumbers()): Topology {
  const own = numbers.of(self);
  /** By number, in the order of ids, so that all peers with the same knowledge choose the same ways. */
  const claims: (Int32Array | undefined)[] = [];
  while (claims.length < own) claims.push(undefined);
  claims.push(NONE);
  /** Found by a search over the whole graph when first asked for after a change. */
  let found: Ways | undefined;

  function change(number: number, neighbours: readonly PeerId[] | undefined): boolean {
    const listed = neighbours && numbers.list(neighbours);
    const after = listed?.includes(number) ? listed.filter((other) => other !== number) : listed;
    while (claims.length <= number) claims.push(undefined);
    if (sameList(claims[number], after)) return false;
    claims[number] = after;
    found = undefined;
    return true;
  }

  function search(): Ways {
    const size = numbers.size();
    const next = new Int32Array(size).fill(NO_WAY);
    const hops = new Uint16Array(size);
    const order = new Int32Array(size);
    let end = 0;
    const reach = (number: number, over: number, distance: number) => {
      if (next[number] !== NO_WAY) return;
      next[number] = over;
      hops[number] = distance;
      order[end++] = number;
    };
    reach(own, HERE, 0);
    for (const number of claims[own] ?? NONE) reach(number, number, 1);
    for (let at = 1; at < end; at++) {
      const number = order[at] as number;
      const [over, distance] = [next[number] as number, (hops[number] as number) + 1];
      for (const neighbour of claims[number] ?? NONE) {
        if (next[neighbour] === NO_WAY && claims[neighbour]?.includes(number))
          reach(neighbour, over, distance);
      }
    }
    return { next, hops, order: order.slice(0, end), has: (number) => (next[number] ?? NO_WAY) !== NO_WAY };
  }

  function ways(): Ways {
    found ??= search();
    return found;
  }

  return {
    numbers,
    set: (peer, neighbours) => peer !== self && change(numbers.of(peer), neighbours),
    setOwn: (neighbours) => change(own, neighbours),
    nextHop(to) {
      const number = numbers.known(to);
      const over = number === undefined ? NO_WAY : (ways().next[number] ?? NO_WAY);
      return over < 0 ? undefined : numbers.peer(over);
    },
    hops(to) {
      const number = numbers.known(to);
      return number !== undefined && ways().has(number) ? ways().hops[number] : undefined;
    },
    reach: ways,
    reachable: () => Array.from(ways().order, numbers.peer),
    neighboursOf(peer) {
      const number = numbers.known(peer);
      return Array.from((number === undefined ? undefined : claims[number]) ?? NONE, numbers.peer);
    },
    degree(peer) {
      const number = numbers.known(peer);
      return (number === undefined ? undefined : claims[number])?.length ?? 0;
    },
  };
}

function sameList(a: Int32Array | undefined, b: Int32Array | undefined): boolean {
  if (a === undefined || b === undefined || a.length !== b.length) return a === b;
  return a === b || a.every((number, at) => number === b[at]);
}
