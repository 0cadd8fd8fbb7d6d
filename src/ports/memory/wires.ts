import type { PeerId } from '../../core/ids.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';

/** The wires between simulated hosts: how long a packet takes from one to the other, and whether it gets there now. */
export interface Wires {
  /** Runs `arrive` when it has come through, after everything sent before on the same lane; while the way is blocked it waits. */
  carry(lane: Lane, arrive: () => void): void;
  lane(from: PeerId, to: PeerId): Lane;
  block(from: PeerId, to: PeerId): void;
  unblock(from: PeerId, to: PeerId): void;
  /** Blocks both ways between any two that are not of one group. */
  split(groups: readonly (readonly PeerId[])[]): void;
  unblockAll(): void;
}

/** One direction of one connection: what goes in first comes out first. */
export interface Lane {
  readonly from: PeerId;
  readonly to: PeerId;
  /** When the last thing sent arrives. */
  last: number;
  /** What was due to arrive while the way was blocked. */
  readonly held: (() => void)[];
}

/** What TCP waits at least before it sends a lost segment again (RFC 6298 §2.4 allows less than its 1 s; Linux uses 200 ms). */
const RETRANSMIT = 200;

export interface WireOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** One-way milliseconds. */
  readonly latency: (from: PeerId, to: PeerId) => number;
  /** Share of messages that are lost once and so come later by RETRANSMIT; asked for each. */
  readonly loss: () => number;
}

export function createWires({ clock, random, latency, loss }: WireOptions): Wires {
  /** Named one by one; of halves of thousands there would be millions, so those are told by their groups. */
  const blockedWays = new Set<string>();
  let splits: readonly Split[] = [];
  /** Lanes that hold something, by way, in the order in which they began to. */
  const waiting = new Map<string, Set<Lane>>();
  const way = (from: PeerId, to: PeerId) => `${from}>${to}`;
  const parts = ({ groups }: Split, from: PeerId, to: PeerId) =>
    groups.has(from) && groups.has(to) && groups.get(from) !== groups.get(to);

  function isBlocked(from: PeerId, to: PeerId): boolean {
    if (blockedWays.size > 0 && blockedWays.has(way(from, to))) return true;
    return splits.some((split) => parts(split, from, to) && !split.reopened.has(way(from, to)));
  }

  function carry(lane: Lane, arrive: () => void): void {
    const share = loss();
    const lost = share > 0 && random.fraction() < share;
    const due = clock.now() + latency(lane.from, lane.to) + (lost ? RETRANSMIT : 0);
    lane.last = Math.max(lane.last, due);
    clock.setTimer(lane.last - clock.now(), () => {
      // A wire that is cut loses what is on it; TCP sends it again once the wire is back, and what follows waits for it.
      if (lane.held.length === 0 && !isBlocked(lane.from, lane.to)) return arrive();
      lane.held.push(arrive);
      const name = way(lane.from, lane.to);
      const lanes = waiting.get(name) ?? new Set<Lane>();
      waiting.set(name, lanes.add(lane));
    });
  }

  function release(lane: Lane): void {
    if (isBlocked(lane.from, lane.to)) return;
    waiting.get(way(lane.from, lane.to))?.delete(lane);
    for (const arrive of lane.held.splice(0)) arrive();
  }

  function retransmit(lanes: Iterable<Lane>): void {
    for (const lane of lanes) clock.setTimer(latency(lane.from, lane.to), () => release(lane));
  }

  function unblock(from: PeerId, to: PeerId): void {
    if (!isBlocked(from, to)) return;
    const name = way(from, to);
    blockedWays.delete(name);
    for (const split of splits) split.reopened.add(name);
    retransmit(waiting.get(name) ?? []);
  }

  return {
    carry,
    lane: (from, to) => ({ from, to, last: 0, held: [] }),
    block(from, to) {
      blockedWays.add(way(from, to));
    },
    unblock,
    split(groups) {
      const sides = groups.flatMap((group, at) => group.map((peer) => [peer, at] as const));
      splits = [...splits, { groups: new Map(sides), reopened: new Set() }];
    },
    unblockAll() {
      blockedWays.clear();
      splits = [];
      for (const lanes of waiting.values()) retransmit(lanes);
    },
  };
}

interface Split {
  readonly groups: ReadonlyMap<PeerId, number>;
  /** Ways that were unblocked since. */
  readonly reopened: Set<string>;
}
