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
  /** The same memory: whether anything has changed is seen without making a large number of each word. */
  const halves = new Uint32Array(memory.buffer, memory.byteOffset, 2 * memory.length);
  /** Present slots with what they had when they began. */
  const bases = new Map<number, PeerCounters>();
  /** Every slot that was ever present, for the total, with what it had when it was read last. */
  const known = new Map<number, Known>();
  let total = ZERO;

  /** The halves of a slot's words; true when one of them is not what it was. */
  function update(slot: number, last: Uint32Array): boolean {
    let isChanged = false;
    for (let thread = 0, to = 0; thread < threads; thread++) {
      const from = 2 * (thread * WORDS_PER_THREAD + DROP_WORDS + slot * SLOT_WORDS);
      for (let half = 0; half < 2 * SLOT_WORDS; half++, to++) {
        const value = halves[from + half] as number;
        if (last[to] === value) continue;
        last[to] = value;
        isChanged = true;
      }
    }
    return isChanged;
  }

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

  /** Brings what is known of a slot, and the total with it, up to date. */
  function look(slot: number, one: Known): void {
    // Noted before it is read: what changes in between is seen the next time.
    if (!update(slot, one.halves)) return;
    const sums = slotSums(slot);
    total = combine(combine(total, one.sums, -1n), sums, 1n);
    one.sums = sums;
    one.shown = undefined;
  }

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
      const one = known.get(slot) ?? {
        halves: new Uint32Array(2 * SLOT_WORDS * threads),
        sums: ZERO,
        shown: undefined,
      };
      known.set(slot, one);
      look(slot, one);
      bases.set(slot, one.sums);
      one.shown = undefined;
    },
    end(slot) {
      bases.delete(slot);
    },
    read() {
      const peers = new Map<number, PeerCounters>();
      for (const [slot, one] of known) {
        look(slot, one);
        const base = bases.get(slot);
        if (base === undefined) continue;
        one.shown ??= combine(one.sums, base, -1n);
        peers.set(slot, one.shown);
      }
      return { total, peers, drops: dropSums() };
    },
  };
}

interface Known {
  /** Of each thread the words of the slot, each in two. */
  readonly halves: Uint32Array;
  sums: PeerCounters;
  /** The same since the slot began; undefined when that is to be worked out anew. */
  shown: PeerCounters | undefined;
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
