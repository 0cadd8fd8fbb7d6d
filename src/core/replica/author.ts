import type { PeerId } from '../ids.ts';
import { readU48, type VerifiedDelta } from '../wire/delta.ts';

/** What is held of one author: its deltas that still say something, and the newest entry for each key. */
export interface Author {
  readonly author: PeerId;
  /** First 48 bits of the key: what a vector calls it. Two authors may share one. */
  readonly tag: number;
  /** By (seq, signature). The last one is always live, so its seq is the author's. */
  readonly held: Held[];
  readonly entries: Map<string, Written>;
  /** Of the weights of `held`. */
  sum: number;
  /** Of the bodies of `held`. */
  bytes: number;
}

export interface Held {
  readonly delta: VerifiedDelta;
  /** Keys for which it is the newest. */
  live: number;
}

export interface Written {
  readonly author: PeerId;
  readonly key: string;
  readonly value: Uint8Array | undefined;
  readonly seq: number;
  readonly delta: VerifiedDelta;
}

export interface Advanced {
  readonly state: Author;
  /** In the order of keys. */
  readonly changes: readonly Written[];
  /** What later deltas have overwritten whole. */
  readonly dropped: readonly VerifiedDelta[];
}

export const SUM_RANGE = 2 ** 48;

export function newAuthor({ author, key }: VerifiedDelta): Author {
  return { author, tag: readU48(key, 0), held: [], entries: new Map(), sum: 0, bytes: 0 };
}

export function copyOf(state: Author): Author {
  return {
    ...state,
    held: state.held.map(({ delta, live }) => ({ delta, live })),
    entries: new Map(state.entries),
  };
}

export function seqOf(state: Author | undefined): number {
  return state?.held.at(-1)?.delta.seq ?? 0;
}

/** What each held delta adds to the sums. */
export function weightOf({ signature }: Pick<VerifiedDelta, 'signature'>): number {
  return readU48(signature, 0);
}

/** Lays a delta over the state, in place. It must be news. */
export function advance(state: Author, delta: VerifiedDelta): Advanced {
  const fresh = delta.changes.filter(({ key }) => isNewer(delta, state.entries.get(key)));
  state.held.splice(position(state.held, delta), 0, { delta, live: fresh.length });
  account(state, delta, 1);
  const dropped: VerifiedDelta[] = [];
  const changes: Written[] = [];
  for (const { key, value } of fresh) {
    const old = state.entries.get(key);
    const entry: Written = { author: delta.author, key, value, seq: delta.seq, delta };
    state.entries.set(key, entry);
    if (old !== undefined && loses(state, old.delta)) dropped.push(old.delta);
    if (value !== undefined || old?.value !== undefined) changes.push(entry);
  }
  return { state, changes, dropped };
}

/** The delta is no longer the newest for one of its keys; true when that was the last one. */
function loses(state: Author, delta: VerifiedDelta): boolean {
  const at = position(state.held, delta);
  const held = state.held[at] as Held;
  if (--held.live > 0) return false;
  state.held.splice(at, 1);
  account(state, delta, -1);
  return true;
}

function account(state: Author, delta: VerifiedDelta, sign: 1 | -1): void {
  state.sum = (state.sum + sign * weightOf(delta) + SUM_RANGE) % SUM_RANGE;
  state.bytes += sign * delta.body.length;
}

export function isNewer(age: Age, than: Written | undefined): boolean {
  return than === undefined || compareAge(age, than.delta) > 0;
}

export function holds(state: Author | undefined, delta: VerifiedDelta): boolean {
  return state !== undefined && state.held[position(state.held, delta)]?.delta === delta;
}

type Age = Pick<VerifiedDelta, 'seq' | 'signature'>;

/** The signature decides between two deltas with one seq, so that all peers choose alike. */
function compareAge(a: Age, b: Age): number {
  if (a.seq !== b.seq) return a.seq - b.seq;
  for (let at = 0; at < a.signature.length; at++) {
    const difference = (a.signature[at] as number) - (b.signature[at] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Where in the sorted list the delta is or belongs. */
function position(held: readonly Held[], delta: Age): number {
  let low = 0;
  let high = held.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareAge((held[middle] as Held).delta, delta) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
