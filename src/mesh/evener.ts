import { DEFAULT_NETWORK, type PeerId } from '../core/ids.ts';
import { sizeOf as countOf } from '../core/ranges.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Random } from '../ports/random.ts';
import type { Liveness } from './liveness.ts';
import type { Membership } from './membership.ts';
import type { Records } from './records.ts';
import { knownFree } from './space/names.ts';
import type { Space } from './space.ts';

/**
 * Spreads free addresses over the hosts before they are needed, so that each can go on alone for a while, whatever breaks: who has far fewer
 * than most asks for some, now and then, as one does who has none left. Who has the most gives about half of them, so one answer is enough.
 */
export interface Evener {
  start(): void;
  close(): void;
}

export interface EvenerParts {
  readonly self: PeerId;
  readonly clock: Clock;
  readonly random: Random;
  readonly membership: Pick<Membership, 'isRemoved'>;
  readonly liveness: Pick<Liveness, 'up'>;
  readonly records: Records;
  readonly space: Pick<Space, 'ring' | 'free' | 'refill'>;
}

/** How often a host looks, ms: at random between this and twice as much, so that few ask at one time. */
const LOOK_EVERY = 60_000;
/** Of what hosts that are up have free on average: who has less asks. */
const FAR_FEWER = 1 / 2;
/** Where hosts have fewer than this on average, pieces would be too small to be worth an entry of the ring each. */
const WORTH_SPREADING = 64;
const PATIENCE = 10_000;
/** Who asked in vain waits twice as long each time, at most so often longer. */
const MOST_TIMES_LONGER = 64;

export function createEvener(parts: EvenerParts): Evener {
  const { self, clock, random, membership, liveness, records, space } = parts;
  let timer: Timer | undefined;
  let timesLonger = 1;
  let closed = false;

  function owned(): ReadonlyMap<PeerId, number> {
    const owned = new Map<PeerId, number>();
    for (const segment of space.ring()) {
      const { owner, network } = segment;
      if (owner !== undefined && network === DEFAULT_NETWORK)
        owned.set(owner, (owned.get(owner) ?? 0) + countOf(segment));
    }
    return owned;
  }

  /** Far fewer free addresses than most, and not because it uses more than they have: who does asks when it needs more. */
  function isPoor(): boolean {
    const sizes = owned();
    const sizeOf = (peer: PeerId) => sizes.get(peer) ?? 0;
    const up = liveness.up();
    // What others told is older than what they gave away since, which the ring knows.
    const freeOf = (peer: PeerId) =>
      peer === self ? space.free() : Math.min(knownFree(records, peer) ?? 0, sizeOf(peer));
    const free = average(up.map(freeOf));
    if (free < WORTH_SPREADING || sizeOf(self) > average(up.map(sizeOf))) return false;
    return space.free() < free * FAR_FEWER;
  }

  /** False when nobody gave any. */
  async function ask(): Promise<boolean> {
    try {
      await space.refill(DEFAULT_NETWORK, clock.now() + PATIENCE);
      return true;
    } catch {
      return false;
    }
  }

  async function look(): Promise<void> {
    const isServed = membership.isRemoved(self) || !isPoor() || (await ask());
    timesLonger = isServed ? 1 : Math.min(2 * timesLonger, MOST_TIMES_LONGER);
    lookLater();
  }

  function lookLater(): void {
    if (closed) return;
    timer = clock.setTimer(timesLonger * LOOK_EVERY * (1 + random.fraction()), () => void look());
  }

  return {
    start: lookLater,
    close() {
      closed = true;
      timer?.cancel();
    },
  };
}

const average = (numbers: readonly number[]) =>
  numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
