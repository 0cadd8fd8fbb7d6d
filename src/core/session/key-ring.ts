import type { DataKey, PairKey } from './keys.ts';

/**
 * The keys that are valid with one peer, at most three: the one in use, the one that is to follow it, and the one before, under which
 * packets may still be on the way. A key once dropped never comes back, so no counter ever starts again under it.
 */
export interface KeyRing {
  readonly current: PairKey | undefined;
  /** Agreed, but no packet has come under it yet. */
  readonly next: PairKey | undefined;
  /** `sendAtOnce`: departing packets use it before it is confirmed. */
  add(key: PairKey, sendAtOnce: boolean, now: number): void;
  /** True when this was the first packet under `next`: it is now `current`. */
  confirm(receiveIndex: number, now: number): boolean;
  /** Departing packets use `next` from now on. */
  sendNext(): void;
  /** Departing packets use `current` again, if there is one. True when that is a change. */
  fallBack(): boolean;
  /** True when a key was dropped. */
  expire(now: number): boolean;
  /** When `expire` has something to do. */
  nextAt(): number | undefined;
  /** For the data path. */
  list(): readonly DataKey[];
}

/** How long packets may be under way: far longer than any queue holds one. */
export const GRACE = 15_000;

export function createKeyRing(): KeyRing {
  let current: PairKey | undefined;
  let next: PairKey | undefined;
  let previous: PairKey | undefined;
  let previousUntil = 0;
  let sendsNext = false;

  function retire(key: PairKey | undefined, now: number): void {
    if (key === undefined) return;
    previous = key;
    previousUntil = now + GRACE;
  }

  return {
    get current() {
      return current;
    },
    get next() {
      return next;
    },
    add(key, sendAtOnce, now) {
      // The other side may have had packets under it and be using it although none has come here.
      if (sendsNext) retire(next, now);
      next = key;
      sendsNext = sendAtOnce;
    },
    confirm(receiveIndex, now) {
      if (next?.receiveIndex !== receiveIndex) return false;
      retire(current, now);
      current = next;
      next = undefined;
      sendsNext = false;
      return true;
    },
    sendNext() {
      sendsNext = next !== undefined;
    },
    fallBack() {
      if (!sendsNext || current === undefined) return false;
      sendsNext = false;
      return true;
    },
    expire(now) {
      if (previous === undefined || now < previousUntil) return false;
      previous = undefined;
      return true;
    },
    nextAt: () => (previous === undefined ? undefined : previousUntil),
    list() {
      const keys: DataKey[] = [];
      if (current !== undefined) keys.push(forData(current, !sendsNext));
      if (next !== undefined) keys.push(forData(next, sendsNext));
      if (previous !== undefined) keys.push(forData(previous, false));
      return keys;
    },
  };
}

function forData({ receiveIndex, sendIndex, receiveKey, sendKey, suite }: PairKey, send: boolean): DataKey {
  return { receiveIndex, sendIndex, receiveKey, sendKey, suite, send };
}
