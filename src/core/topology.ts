import type { PeerId } from './ids.ts';
import { NO_NUMBERS, withNumber } from './interned.ts';
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
  /** Searches anew for what can be reached, by the numbers of peers. It holds until the next search of any topology. */
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

/** By number. */
interface Ways {
  /** The neighbour on the way, HERE for this peer itself, NO_WAY. */
  readonly next: Int32Array;
  readonly hops: Uint8Array;
}

/** Where a search writes; nothing waits in the middle of one. Thousands of simulated peers search, few ask for the ways. */
let scratch = { next: new Int32Array(), hops: new Uint8Array(), order: new Int32Array() };
const FARTHEST = 255;

export function createTopology(self: PeerId, numbers: PeerNumbers = createPeerNumbers()): Topology {
  const { lists } = numbers;
  const own = numbers.of(self);
  /** By number: the list of neighbours that it claims, in the order of ids, so that all peers with the same knowledge choose the same ways. */
  let claims = withNumber(NO_NUMBERS, own, lists.hold(NONE));
  /** Kept from a search when first asked for after a change. */
  let found: Ways | undefined;

  const claimed = (number: number) => lists.at(claims[number] ?? 0);

  function change(number: number, neighbours: readonly PeerId[] | undefined): boolean {
    const listed = neighbours && numbers.list(neighbours);
    const after = listed?.includes(number) ? listed.filter((other) => other !== number) : listed;
    const before = claims[number] ?? 0;
    if (sameList(lists.at(before), after)) return false;
    claims = withNumber(claims, number, after === undefined ? 0 : lists.hold(after));
    lists.release(before);
    found = undefined;
    return true;
  }

  function search(): Reach {
    const size = numbers.size();
    if (scratch.next.length < size) scratch = scratchOf(2 * size);
    const { next, hops, order } = scratch;
    next.fill(NO_WAY, 0, size);
    let end = 0;
    const reach = (number: number, over: number, distance: number) => {
      if (next[number] !== NO_WAY) return;
      next[number] = over;
      hops[number] = Math.min(distance, FARTHEST);
      order[end++] = number;
    };
    reach(own, HERE, 0);
    for (const number of claimed(own) ?? NONE) reach(number, number, 1);
    for (let at = 1; at < end; at++) {
      const number = order[at] as number;
      const [over, distance] = [next[number] as number, (hops[number] as number) + 1];
      for (const neighbour of claimed(number) ?? NONE) {
        if (next[neighbour] === NO_WAY && claimed(neighbour)?.includes(number))
          reach(neighbour, over, distance);
      }
    }
    return {
      order: order.subarray(0, end),
      has: (number) => number < size && next[number] !== NO_WAY,
    };
  }

  function ways(): Ways {
    if (found === undefined) {
      search();
      const size = numbers.size();
      found = { next: scratch.next.slice(0, size), hops: scratch.hops.slice(0, size) };
    }
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
      const { next, hops } = ways();
      return number === undefined || (next[number] ?? NO_WAY) === NO_WAY ? undefined : hops[number];
    },
    reach: search,
    reachable: () => Array.from(search().order, numbers.peer),
    neighboursOf(peer) {
      const number = numbers.known(peer);
      return Array.from((number === undefined ? undefined : claimed(number)) ?? NONE, numbers.peer);
    },
    degree(peer) {
      const number = numbers.known(peer);
      return (number === undefined ? undefined : claimed(number))?.length ?? 0;
    },
  };
}

function scratchOf(size: number) {
  return { next: new Int32Array(size), hops: new Uint8Array(size), order: new Int32Array(size) };
}

function sameList(a: Int32Array | undefined, b: Int32Array | undefined): boolean {
  if (a === undefined || b === undefined || a.length !== b.length) return a === b;
  return a === b || a.every((number, at) => number === b[at]);
}
