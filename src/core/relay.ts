import { utf8 } from './bytes.ts';
import type { Crypto } from './crypto.ts';
import type { PeerId } from './ids.ts';

/**
 * Whether datagrams get to one peer directly, and which third peer carries them while they do not. The peer is asked to send numbers back, by
 * either way; time, answers and what is known of others come in as events, questions and decisions go out as actions. No clock or socket here.
 *
 *   unknown   asked once a second; an answer → works; none in PATIENCE → blocked
 *   works     asked when packets go out and none comes in, or the peer says that it does not get here, else now and then, more often while in
 *             use; none in PATIENCE → blocked, or much sooner where both ends find so
 *   blocked   the best candidate carries, as long as questions by it are answered; else the next one. Asked directly every RETRY; GOOD answers
 *             in a row (more after each recent fall; one where nobody carries) → works
 *
 * A peer that does not answer may do so at another of its places, as where IPv4 is broken and IPv6 is not: it is sought at all of them before
 * the path counts as blocked, and afterwards at one with each question. What gets there moves the peer, and its answer moves this end.
 */
export interface RelayPath {
  /** `now` in milliseconds. */
  step(event: RelayEvent, now: number): readonly RelayAction[];
  status(): RelayPathStatus;
}

export type RelayEvent =
  | {
      readonly type: 'tick';
      /** Whether packets went out, and came in, since the last tick. */
      readonly sent: boolean;
      readonly received: boolean;
      /** The peer tells that it does not reach this host directly. */
      readonly doubted: boolean;
      /** Who could carry, best first. */
      readonly candidates: readonly PeerId[];
    }
  /** The peer has sent this number back. */
  | { readonly type: 'answer'; readonly number: number }
  /** A packet of the peer came from another place than before, which is now where it is. */
  | { readonly type: 'moved' }
  /** The peer is not reached by anybody now, or there is no key with it: what is unanswered tells nothing. */
  | { readonly type: 'pause' };

export type RelayAction =
  /** `by` undefined: directly. */
  | { readonly type: 'ask'; readonly number: number; readonly by: PeerId | undefined }
  | { readonly type: 'use'; readonly by: PeerId | undefined }
  /** Ask it where else it may be, with a number that nobody waits for: everywhere, or at one place, to be taken in turn. */
  | { readonly type: 'seek'; readonly turn: number | undefined };

export interface RelayPathStatus {
  readonly direct: 'unknown' | 'works' | 'blocked';
  /** Who carries. */
  readonly by: PeerId | undefined;
  /** A question by the way that packets take has been answered, and none was lost since. */
  readonly proven: boolean;
  /** Milliseconds of the last answer by that way. */
  readonly roundTrip: number | undefined;
}

/** Milliseconds; and questions in that time, of which none was answered. */
export const PATIENCE = 3_000;
const LOST = 3;
/** Questions without an answer after which the peer is sought elsewhere. */
const DOUBTFUL = 2;
/** The same where the peer has found already that nothing passes. */
const DOUBTED_PATIENCE = 1_000;
export const RETRY = 2_000;
const WORKS_EVERY = 10_000;
/** Before NATs forget who talked with whom: Linux after two minutes. */
export const IDLE_EVERY = 100_000;
const CARRIED_EVERY = 5_000;
/** A carrier that did not work is not tried again so soon. */
export const REST = 30_000;
export const GOOD = 3;
const MOST_GOOD = 24;
/** A fall within this time of the one before doubles what is asked. */
const FLAP_WITHIN = 60_000;
/** Of a question; the last one is not used by a path. */
export const MAX_NUMBER = 2 ** 30 - 1;

/** Questions by one way. */
interface Way {
  /** Since the last answer. */
  asked: number;
  firstAt: number;
  lastAt: number;
  answered: boolean;
  roundTrip: number | undefined;
}

const newWay = (): Way => ({
  asked: 0,
  firstAt: 0,
  lastAt: Number.NEGATIVE_INFINITY,
  answered: false,
  roundTrip: undefined,
});

export function createRelayPath(): RelayPath {
  let state: RelayPathStatus['direct'] = 'unknown';
  let direct = newWay();
  let carried = newWay();
  let by: PeerId | undefined;
  const open = new Map<number, { readonly by: PeerId | undefined; readonly at: number }>();
  const restingUntil = new Map<PeerId, number>();
  let number = 0;
  let turn = 0;
  let good = 0;
  let needed = GOOD;
  let fellAt = Number.NEGATIVE_INFINITY;

  function ask(way: Way, over: PeerId | undefined, now: number): RelayAction {
    if (way.asked === 0) way.firstAt = now;
    way.asked += 1;
    way.lastAt = now;
    number = (number % (MAX_NUMBER - 1)) + 1;
    open.set(number, { by: over, at: now });
    return { type: 'ask', number, by: over };
  }

  const isLost = (way: Way, now: number) => way.asked >= LOST && now - way.firstAt >= PATIENCE;

  function use(next: PeerId | undefined): readonly RelayAction[] {
    if (next === by) return [];
    by = next;
    carried = newWay();
    return [{ type: 'use', by }];
  }

  function fall(now: number): void {
    state = 'blocked';
    needed = now - fellAt < FLAP_WITHIN ? Math.min(needed * 2, MOST_GOOD) : GOOD;
    fellAt = now;
    good = 0;
    direct = { ...newWay(), lastAt: now };
  }

  function rise(): readonly RelayAction[] {
    state = 'works';
    restingUntil.clear();
    return use(undefined);
  }

  function onAnswer(answered: number, now: number): readonly RelayAction[] {
    const question = open.get(answered);
    if (question === undefined) return [];
    open.delete(answered);
    if (question.by !== undefined && question.by !== by) return [];
    const way = question.by === undefined ? direct : carried;
    way.asked = 0;
    way.answered = true;
    way.roundTrip = now - question.at;
    if (way === carried) return [];
    good += 1;
    // A way that comes and goes is better than none.
    const isCarried = by !== undefined && carried.asked < LOST;
    if (state === 'works' || (state === 'blocked' && isCarried && good < needed)) return [];
    return rise();
  }

  function onTick(event: RelayEvent & { type: 'tick' }, now: number): readonly RelayAction[] {
    for (const [key, { at }] of open) if (now - at > PATIENCE * 2) open.delete(key);
    const isAgreed = event.doubted && direct.asked > 0 && now - direct.firstAt >= DOUBTED_PATIENCE;
    if (state !== 'blocked' && (isAgreed || isLost(direct, now))) fall(now);
    if (state === 'blocked') return [...retry(now), ...carry(event, now)];
    const isSilent = event.sent && !event.received;
    const isUncertain = state === 'unknown' || direct.asked > 0 || isSilent;
    const every = event.doubted ? RETRY : event.sent ? WORKS_EVERY : IDLE_EVERY;
    if (!isUncertain && now - direct.lastAt < every) return [];
    const isDoubtful = direct.asked >= DOUBTFUL;
    // The question comes last: who gets both answers that one.
    return [...(isDoubtful ? [seek(undefined)] : []), ask(direct, undefined, now)];
  }

  function seek(at: number | undefined): RelayAction {
    return { type: 'seek', turn: at };
  }

  /** What was lost before tells nothing of the new place. */
  function onMoved(now: number): void {
    direct.asked = Math.min(direct.asked, 1);
    direct.firstAt = now;
  }

  function retry(now: number): readonly RelayAction[] {
    if (now - direct.lastAt < RETRY) return [];
    if (direct.asked === 0) return [ask(direct, undefined, now)];
    good = 0;
    return [seek(turn++), ask(direct, undefined, now)];
  }

  function carry(event: RelayEvent & { type: 'tick' }, now: number): readonly RelayAction[] {
    if (by !== undefined && isLost(carried, now)) restingUntil.set(by, now + REST);
    const isResting = (peer: PeerId) => (restingUntil.get(peer) ?? 0) > now;
    const able = event.candidates.filter((peer) => !isResting(peer));
    const chosen = by !== undefined && able.includes(by) ? by : (able[0] ?? longestResting(event.candidates));
    const actions = use(chosen);
    if (chosen === undefined) return actions;
    const isSilent = event.sent && !event.received;
    if (carried.asked === 0 && !isSilent && now - carried.lastAt < CARRIED_EVERY) return actions;
    return [...actions, ask(carried, chosen, now)];
  }

  /** Where all have failed any way is worth more than none. */
  function longestResting(candidates: readonly PeerId[]): PeerId | undefined {
    const until = (peer: PeerId) => restingUntil.get(peer) ?? 0;
    return [...candidates].sort((a, b) => until(a) - until(b))[0];
  }

  return {
    step(event, now) {
      if (event.type === 'answer') return onAnswer(event.number, now);
      if (event.type === 'tick') return onTick(event, now);
      if (event.type === 'moved') onMoved(now);
      else {
        direct.asked = 0;
        carried.asked = 0;
      }
      return [];
    },
    status() {
      const way = by === undefined ? direct : carried;
      const proven = way.answered && way.asked < 2;
      return { direct: state, by, proven, roundTrip: way.roundTrip };
    },
  };
}

/** What a peer tells all others about this. */
export interface Reach {
  /** Whether it carries datagrams for others. */
  readonly relay: boolean;
  /** Peers that it does not reach directly, and who carries what it sends to them. */
  readonly blocked: readonly { readonly peer: PeerId; readonly by: PeerId | null }[];
}

/** Peers in one record; what is beyond is not told. */
export const MAX_BLOCKED = 128;
const MAX_ID = 64;

/** Reads what a peer wrote in any way; undefined when it is no Reach. */
export function readReach(value: unknown): Reach | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { relay, blocked } = value as Partial<Reach>;
  if (typeof relay !== 'boolean' || !Array.isArray(blocked) || blocked.length > MAX_BLOCKED) return undefined;
  return blocked.every(isBlocked)
    ? { relay, blocked: blocked.map(({ peer, by }) => ({ peer, by })) }
    : undefined;
}

function isBlocked(value: unknown): value is Reach['blocked'][number] {
  if (typeof value !== 'object' || value === null) return false;
  const { peer, by } = value as Partial<Reach['blocked'][number]>;
  const isId = (text: unknown) => typeof text === 'string' && text.length <= MAX_ID;
  return isId(peer) && (by === null || isId(by));
}

export interface Candidate {
  readonly peer: PeerId;
  /** Whether datagrams get there directly. */
  readonly works: boolean;
  /** Milliseconds; undefined: not known. */
  readonly roundTrip: number | undefined;
  readonly reach: Reach | undefined;
}

/**
 * Who could carry from `self` to `last`, best first: who `last` goes by, then the nearest, then by id. Somebody that neither end reaches is not
 * among them, nor who does not carry.
 */
export function candidatesFor(
  self: PeerId,
  last: PeerId,
  there: Reach | undefined,
  all: readonly Candidate[],
): readonly PeerId[] {
  const back = there?.blocked.find(({ peer }) => peer === self)?.by;
  const isBlockedFrom = (reach: Reach | undefined, peer: PeerId) =>
    reach?.blocked.some((one) => one.peer === peer) === true;
  const able = all.filter(
    ({ peer, works, reach }) =>
      peer !== last &&
      peer !== self &&
      works &&
      reach?.relay === true &&
      !isBlockedFrom(reach, last) &&
      !isBlockedFrom(reach, self) &&
      !isBlockedFrom(there, peer),
  );
  const rank = ({ peer, roundTrip }: Candidate) => (peer === back ? -1 : (roundTrip ?? Number.MAX_VALUE));
  return able.sort((a, b) => rank(a) - rank(b) || (a.peer < b.peer ? -1 : 1)).map(({ peer }) => peer);
}

/** 64 bits by which a data path knows a peer: from its id, so that nobody need be told. */
export function relayName(crypto: Pick<Crypto, 'hash'>, peer: PeerId): bigint {
  const digest = crypto.hash(utf8(`weft relay ${peer}`));
  const name = digest.subarray(0, 8).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return name === 0n ? 1n : name;
}
