/**
 * Whether a path works, and up to which size: by probes of full size that the other end sends back. Time and probes come in as events,
 * probes to send go out as actions; no clock, socket or randomness here.
 *
 *   down   probes the size once a second; GOOD in a row (more after each recent fall) → up
 *          full size lost while small ones pass → looks for the largest size that passes, and goes on with that
 *   up     probes once a second while the path is young or in use, else every 10 s; a lost probe is repeated quickly, LOST in a row → down
 *          at less than full size: tries the full size from time to time
 */
export interface PathProbe {
  /** `now` in milliseconds. */
  step(event: ProbeEvent, now: number): readonly ProbeAction[];
  /** When a `timer` event is due. */
  nextAt(): number;
  status(): ProbeStatus;
}

export type ProbeEvent =
  | { readonly type: 'timer' }
  /** The probe with this number came back. */
  | { readonly type: 'answer'; readonly number: number }
  /** Whether anything but probes went over the device lately. */
  | { readonly type: 'use'; readonly inUse: boolean };

export interface ProbeAction {
  readonly type: 'send';
  readonly number: number;
  /** Bytes of the inner packet, IP header included. */
  readonly size: number;
}

export interface ProbeStatus {
  readonly up: boolean;
  /** Bytes of the largest inner packet that passes, as far as known. */
  readonly mtu: number;
  /** Milliseconds, smoothed; undefined before the first answer. */
  readonly roundTrip: number | undefined;
  /** Part of the last probes that did not come back, 0 … 1. */
  readonly loss: number;
  /** Why it is down. */
  readonly reason: string | undefined;
}

export interface PathProbeOptions {
  /** Bytes of the largest inner packet that anybody will send. */
  readonly full: number;
  /** The path was in use when this began: it is up until probes say otherwise. With the size it had. */
  readonly adopted?: number;
  /** Milliseconds: no probe goes out earlier. */
  readonly notBefore?: number;
}

/** Milliseconds. */
export const STEADY_EVERY = 10_000;
export const BUSY_EVERY = 1_000;
const PATIENCE = 500;
const QUICK_PATIENCE = 300;
const YOUNG = 10_000;
const GROW_EVERY = 10_000;
/** Good probes that bring a path up, lost ones that take it down, and the most that flapping may ask for. */
const GOOD = 3;
const LOST = 3;
const MOST_GOOD = 48;
/** A fall within this time of the one before doubles what is asked. */
const FLAP_WITHIN = 60_000;
/** What every path must carry: VXLAN over IPv6 on a link of 1280 bytes, or less where less is sent. */
export const LEAST_MTU = 1_210;
/** Of a probe: IPv6 and UDP headers and what probe.ts writes. */
export const LEAST_PROBE = 200;
const HISTORY = 50;

interface Sent {
  readonly size: number;
  readonly at: number;
  readonly role: 'main' | 'small' | 'search' | 'grow';
}

export function createPathProbe({ full, adopted, notBefore = 0 }: PathProbeOptions): PathProbe {
  const least = Math.min(LEAST_MTU, full);
  const sent = new Map<number, Sent>();
  const history: boolean[] = [];
  let number = 0;
  let up = adopted !== undefined;
  let size = Math.min(adopted ?? full, full);
  let good = 0;
  let lost = 0;
  let needed = GOOD;
  let fellAt = Number.NEGATIVE_INFINITY;
  let upSince = Number.NEGATIVE_INFINITY;
  let inUse = true;
  let nextProbe = notBefore;
  let nextGrow = 0;
  let grown = 0;
  /** Small probes pass while those of `size` do not. */
  let smallPasses = false;
  let search: { low: number; high: number } | undefined;
  let searchedAt = Number.NEGATIVE_INFINITY;
  let roundTrip: number | undefined;

  function send(role: Sent['role'], bytes: number, now: number): ProbeAction {
    number += 1;
    sent.set(number, { size: bytes, at: now, role });
    return { type: 'send', number, size: bytes };
  }

  const patienceOf = ({ role }: Sent) =>
    role === 'search' || (role === 'main' && lost > 0) ? QUICK_PATIENCE : PATIENCE;

  function remember(passed: boolean): void {
    history.push(passed);
    if (history.length > HISTORY) history.shift();
  }

  function onAnswer(answered: number, now: number): readonly ProbeAction[] {
    const probe = sent.get(answered);
    if (probe === undefined) return [];
    sent.delete(answered);
    const took = now - probe.at;
    roundTrip = roundTrip === undefined ? took : roundTrip + (took - roundTrip) / 8;
    if (probe.role === 'small') smallPasses = true;
    if (probe.role === 'search') return searchOn({ passed: true }, now);
    if (probe.role === 'grow') onGrown(now);
    if (probe.role !== 'main' || probe.size !== size) return [];
    remember(true);
    lost = 0;
    good += 1;
    if (!up && good >= needed && size >= least) {
      up = true;
      // What was lost before both ends were ready tells nothing.
      history.length = 0;
      upSince = now;
      nextGrow = now + GROW_EVERY;
    }
    return [];
  }

  function onGrown(now: number): void {
    grown += 1;
    nextGrow = now + BUSY_EVERY;
    if (grown < GOOD) return;
    size = full;
    grown = 0;
  }

  function onLost(probe: Sent, now: number): readonly ProbeAction[] {
    if (probe.role === 'small') smallPasses = false;
    if (probe.role === 'grow') grown = 0;
    if (probe.role === 'search') return searchOn({ passed: false }, now);
    if (probe.role !== 'main' || probe.size !== size) return [];
    remember(false);
    good = 0;
    lost += 1;
    if (up && lost >= LOST) fall(now);
    if (up) {
      nextProbe = now + everyOf(now);
      return [send('main', size, now)];
    }
    if (search === undefined && smallPasses && lost >= LOST) return searchOn(undefined, now);
    return search === undefined ? [send('small', LEAST_PROBE, now)] : [];
  }

  function fall(now: number): void {
    up = false;
    needed = now - fellAt < FLAP_WITHIN ? Math.min(needed * 2, MOST_GOOD) : GOOD;
    fellAt = now;
    good = 0;
    smallPasses = false;
    size = full;
    nextProbe = now;
  }

  /** Halves what lies between a size that passes and one that does not. Without a result it begins. */
  function searchOn(result: { passed: boolean } | undefined, now: number): readonly ProbeAction[] {
    search ??= { low: LEAST_PROBE, high: size };
    const middle = (search.low + search.high) >> 1;
    if (result?.passed === true) search.low = middle;
    if (result?.passed === false) search.high = middle;
    if (search.high - search.low <= 1) {
      size = search.low;
      search = undefined;
      searchedAt = now;
      lost = 0;
      nextProbe = now;
      return [];
    }
    return [send('search', (search.low + search.high) >> 1, now)];
  }

  function everyOf(now: number): number {
    return !up || inUse || now - upSince < YOUNG ? BUSY_EVERY : STEADY_EVERY;
  }

  function onTimer(now: number): readonly ProbeAction[] {
    const actions: ProbeAction[] = [];
    for (const [key, probe] of [...sent]) {
      if (now - probe.at < patienceOf(probe)) continue;
      sent.delete(key);
      actions.push(...onLost(probe, now));
    }
    if (now >= nextProbe && search === undefined) {
      nextProbe = now + everyOf(now);
      // Below the least size there is nothing to gain here until the way changes.
      if (!up && size < least && now - searchedAt >= GROW_EVERY) size = full;
      actions.push(send('main', size, now));
    }
    if (up && size < full && now >= nextGrow) {
      nextGrow = now + GROW_EVERY;
      actions.push(send('grow', full, now));
    }
    return actions;
  }

  return {
    step(event, now) {
      if (event.type === 'answer') return onAnswer(event.number, now);
      if (event.type === 'timer') return onTimer(now);
      if (event.inUse && !inUse) nextProbe = Math.min(nextProbe, now);
      inUse = event.inUse;
      return [];
    },
    nextAt() {
      const expiries = [...sent.values()].map((probe) => probe.at + patienceOf(probe));
      const probing = search === undefined ? [nextProbe] : [];
      return Math.min(...expiries, ...probing, ...(up && size < full ? [nextGrow] : []));
    },
    status() {
      const failed = history.filter((passed) => !passed).length;
      return {
        up,
        mtu: size,
        roundTrip,
        loss: history.length === 0 ? 0 : failed / history.length,
        reason: up ? undefined : reasonOf(),
      };
    },
  };

  function reasonOf(): string {
    if (search !== undefined) return 'looking for the largest packet that passes';
    if (size < least && good > 0) return `packets of more than ${size} bytes are lost`;
    if (smallPasses) return `packets of ${size} bytes are lost`;
    if (good > 0) return `${good} of ${needed} probes have come back`;
    return 'no probe comes back';
  }
}
