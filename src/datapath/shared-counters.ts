import {
  type DatapathCounters,
  DROP_REASONS,
  type DropReason,
  MAX_SLOTS,
  type PeerCounters,
} from '../ports/datapath.ts';

/** The layout that native/src/counters.h writes: per thread the drops, then four words for each slot. */
const DROP_WORDS = 24;
const SLOT_WORDS = 4;
export const WORDS_PER_THREAD = DROP_WORDS + SLOT_WORDS * MAX_SLOTS;

interface Sums {
  sentPackets: bigint;
  sentBytes: bigint;
  receivedPackets: bigint;
  receivedBytes: bigint;
  dropped: bigint;
  relayedBytes: bigint;
}

const ZERO: PeerCounters = {
  sentPackets: 0n,
  sentBytes: 0n,
  receivedPackets: 0n,
  receivedBytes: 0n,
  dropped: 0n,
  relayedBytes: 0n,
};

/**
 * Reads what the threads count. They never go back to 0, so a slot that is used again starts from where it was then; threads alternate:
 * even ones send, odd ones receive.
 */
export interface SharedCounters {
  /** The slot has a new peer: it counts from here. */
  begin(slot: number): void;
  end(slot: number): void;
  read(): DatapathCounters;
}

export function createSharedCounters(memory: BigUint64Array): SharedCounters {
  const threads = Math.floor(memory.length / WORDS_PER_THREAD);
  /** Present slots with what they had when they began. */
  const bases = new Map<number, PeerCounters>();
  /** Every slot that was ever present, for the total. */
  const known = new Set<number>();

  const slotSums = (slot: number): PeerCounters => {
    const sums: Sums = { ...ZERO };
    for (let thread = 0; thread < threads; thread++) {
      const at = thread * WORDS_PER_THREAD + DROP_WORDS + slot * SLOT_WORDS;
      const packets = Atomics.load(memory, at);
      const bytes = Atomics.load(memory, at + 1);
      sums.dropped += Atomics.load(memory, at + 2);
      sums.relayedBytes += Atomics.load(memory, at + 3);
      if (thread % 2 === 0) {
        sums.sentPackets += packets;
        sums.sentBytes += bytes;
      } else {
        sums.receivedPackets += packets;
        sums.receivedBytes += bytes;
      }
    }
    return sums;
  };

  const dropSums = (): Record<DropReason, bigint> => {
    const sum = (index: number): bigint => {
      let total = 0n;
      for (let thread = 0; thread < threads; thread++)
        total += Atomics.load(memory, thread * WORDS_PER_THREAD + index);
      return total;
    };
    return Object.fromEntries(DROP_REASONS.map((reason, index) => [reason, sum(index)])) as Record<
      DropReason,
      bigint
    >;
  };

  return {
    begin(slot) {
      if (bases.has(slot)) return;
      bases.set(slot, slotSums(slot));
      known.add(slot);
    },
    end(slot) {
      bases.delete(slot);
    },
    read() {
      let total = ZERO;
      const peers = new Map<number, PeerCounters>();
      for (const slot of known) {
        const now = slotSums(slot);
        total = combine(total, now, 1n);
        const base = bases.get(slot);
        if (base) peers.set(slot, combine(now, base, -1n));
      }
      return { total, peers, drops: dropSums() };
    },
  };
}

function combine(left: PeerCounters, right: PeerCounters, sign: bigint): PeerCounters {
  return {
    sentPackets: left.sentPackets + sign * right.sentPackets,
    sentBytes: left.sentBytes + sign * right.sentBytes,
    receivedPackets: left.receivedPackets + sign * right.receivedPackets,
    receivedBytes: left.receivedBytes + sign * right.receivedBytes,
    dropped: left.dropped + sign * right.dropped,
    relayedBytes: left.relayedBytes + sign * right.relayedBytes,
  };
}
