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
  const blockedWays = new Set<string>();
  /** Lanes that hold something, by way, in the order in which they began to. */
  const waiting = new Map<string, Set<Lane>>();
  const way = (from: PeerId, to: PeerId) => `${from}>${to}`;

  function carry(lane: Lane, arrive: () => void): void {
    const share = loss();
    const lost = share > 0 && random.fraction() < share;
    const due = clock.now() + latency(lane.from, lane.to) + (lost ? RETRANSMIT : 0);
    lane.last = Math.max(lane.last, due);
    clock.setTimer(lane.last - clock.now(), () => {
      const name = way(lane.from, lane.to);
      // A wire that is cut loses what is on it; TCP sends it again once the wire is back, and what follows waits for it.
      if (lane.held.length === 0 && !blockedWays.has(name)) return arrive();
      lane.held.push(arrive);
      const lanes = waiting.get(name) ?? new Set<Lane>();
      waiting.set(name, lanes.add(lane));
    });
  }

  function release(lane: Lane): void {
    const name = way(lane.from, lane.to);
    if (blockedWays.has(name)) return;
    waiting.get(name)?.delete(lane);
    for (const arrive of lane.held.splice(0)) arrive();
  }

  function unblock(from: PeerId, to: PeerId): void {
    if (!blockedWays.delete(way(from, to))) return;
    for (const lane of waiting.get(way(from, to)) ?? []) {
      clock.setTimer(latency(from, to), () => release(lane));
    }
  }

  return {
    carry,
    lane: (from, to) => ({ from, to, last: 0, held: [] }),
    block(from, to) {
      blockedWays.add(way(from, to));
    },
    unblock,
    unblockAll() {
      for (const name of [...blockedWays]) unblock(...(name.split('>') as [PeerId, PeerId]));
    },
  };
}
