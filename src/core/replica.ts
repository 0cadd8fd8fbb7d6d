import { equalBytes } from './bytes.ts';
import type { PeerId } from './ids.ts';
import { NO_NUMBERS, type Packed, withNumber } from './interned.ts';
import { type Author, holds, isNewer, SUM_RANGE, seqOf } from './replica/author.ts';
import { createPool, type Pool } from './replica/pool.ts';
import type { SignedDelta, VerifiedDelta } from './wire/delta.ts';
import {
  type Comparison,
  compareVectors,
  createOffer,
  createVector,
  type Lacking,
  lackingOf,
  missingAfter,
  type Offered,
  type Summary,
  type VectorPart,
  wantedFrom,
} from './wire/vector.ts';

/**
 * The replicated state: for each author a map that only the author writes, as a set of signed deltas.
 *
 * What is kept is the deltas themselves, each until a later one has overwritten all of its keys. (The alternative, a signature for each
 * entry, costs a signature a record and loses what belongs together: a donation and the entries it splits must arrive all or none.)
 * So whatever a peer holds of an author it can prove to anybody, and a late joiner gets the same bytes as an early one.
 *
 * An entry is as new as the delta that wrote it: (seq, signature). Merging takes the newest for each key; that is commutative,
 * associative and idempotent, and it needs no order of arrival. A removed key stays as an entry without value, because an older delta
 * that is still on its way would bring it back.
 *
 * Equality is told by sums: each held delta adds the first 48 bits of its signature, so two peers with equal (seq, sum) for an author hold
 * the same deltas whatever happened before: gaps, a neighbour that withheld something, an author that used a seq twice because its
 * state was restored from a backup. Unequal sums at equal seq are settled by sending everything of that author.
 */
export interface Replica {
  /** Whether merging it would change anything; asked before a signature is checked. */
  isNews(delta: Pick<VerifiedDelta, 'author' | 'seq' | 'signature' | 'changes'>): boolean;
  /** `changes` are in the order of keys; empty when nothing was new. A refused delta leaves no trace. */
  merge(delta: VerifiedDelta): Merged;
  /** Undefined when it was never written, or removed. */
  get(author: PeerId, key: string): Entry | undefined;
  /** Entries with a value whose key starts with `prefix`, of all authors, in no order that means anything. */
  entries(prefix: string): Iterable<Entry>;
  /** The delta with this signature, if it is held, which it is until all its keys are overwritten. Cheap: most of what arrives is known. */
  held(signature: Uint8Array): VerifiedDelta | undefined;
  /** A delta of exactly these bytes that this process has checked before, whether or not it is held. */
  known(signed: SignedDelta): VerifiedDelta | undefined;
  /** The deltas held of an author with seq > `after`, oldest first. */
  deltas(author: PeerId, after?: number): readonly VerifiedDelta[];
  /** 0 when nothing is known of the author. */
  seq(author: PeerId): number;
  authors(): readonly PeerId[];
  /** How much of what it may write an author has written, from 0 to 1: of keys or of bytes, its own or everybody's. At 1 it can write no more. */
  fill(author: PeerId): number;
  /** The whole state in three numbers; equal on two peers means equal states. */
  digest(): Digest;
  /** (author → seq, sum) of all authors, in parts of at most `size` authors that together cover all authors there can be. */
  vector(size?: number): readonly VectorPart[];
  /** What the sender of `part` lacks and what it has that is lacking here. */
  compare(part: VectorPart): Comparison<VerifiedDelta>;
  /** What is held of the authors of these deltas, for another peer's `lacking`. */
  offer(deltas: Iterable<VerifiedDelta>): Uint8Array;
  /** What the sender of an offer has that is lacking here. */
  lacking(offer: Uint8Array): readonly Lacking[];
  /** As things stand now; undefined when it is not lacking any more. */
  stillLacking(offered: Offered): Lacking | undefined;
  /** What a neighbour asked for with the `want` made of what it lacks. */
  wanted(want: Uint8Array): readonly VerifiedDelta[];
}

export interface Entry {
  readonly author: PeerId;
  readonly key: string;
  /** Undefined only in `Merged.changes`. */
  readonly value: Uint8Array | undefined;
  readonly seq: number;
}

export type Merged =
  | { readonly ok: true; readonly changes: readonly Entry[] }
  | { readonly ok: false; readonly problem: MergeProblem };

export type MergeProblem = 'too-many-authors' | 'too-many-records' | 'too-many-bytes';

export interface Digest {
  readonly authors: number;
  readonly deltas: number;
  readonly sum: number;
}

export interface ReplicaLimits {
  readonly authors: number;
  /** Keys of one author, removed ones included. */
  readonly entries: number;
  /** Bytes of the deltas held of one author, and of all. */
  readonly authorBytes: number;
  readonly totalBytes: number;
}

/** A hundred thousand records of a thousand peers take 30 MB; what is over these limits is an attack or a mistake. */
export const REPLICA_LIMITS: ReplicaLimits = {
  authors: 16_384,
  entries: 65_536,
  authorBytes: 16 << 20,
  totalBytes: 128 << 20,
};

/** Parts of a vector have 18 bytes an author. */
export const VECTOR_SIZE = 3_000;
const NOTHING_NEW: Merged = { ok: true, changes: [] };

export interface ReplicaParts {
  readonly limits?: ReplicaLimits;
  /** Default: one of its own. */
  readonly pool?: Pool;
  /** What it begins with; of the same pool. */
  readonly from?: Replica;
}

export function createReplica(parts: ReplicaParts = {}): Replica {
  const { limits = REPLICA_LIMITS, pool = createPool(), from } = parts;
  /** By the pool's number for the author: the pool's number for what is held of it. */
  let held = NO_NUMBERS;
  let authors = 0;
  let count = 0;
  let sum = 0;
  let bytes = 0;
  if (from !== undefined) copy(from);

  function copy(other: Replica): void {
    held = (HELD.get(other)?.() ?? NO_NUMBERS).slice();
    for (const state of states()) {
      pool.states.hold(state);
      account(undefined, state);
    }
  }

  function* states(): Iterable<Author> {
    for (const number of held) {
      const state = pool.states.at(number);
      if (state !== undefined) yield state;
    }
  }

  function stateOf(author: PeerId): Author | undefined {
    const number = pool.numberOf(author);
    return number === undefined ? undefined : pool.states.at(held[number] ?? 0);
  }

  function isNews(delta: Parameters<Replica['isNews']>[0]): boolean {
    const state = stateOf(delta.author);
    return state === undefined || delta.changes.some(({ key }) => isNewer(delta, state.entries.get(key)));
  }

  function merge(delta: VerifiedDelta): Merged {
    if (!isNews(delta)) return NOTHING_NEW;
    const known = stateOf(delta.author);
    const problem = refusal(known, delta);
    if (problem !== undefined) return { ok: false, problem };
    const state = known ?? pool.begin(delta);
    const before = known && { held: { length: known.held.length }, sum: known.sum, bytes: known.bytes };
    const advanced = pool.advance(state, delta);
    keep(pool.intern(state), advanced.state);
    account(before, advanced.state);
    pool.hold(delta);
    for (const dropped of advanced.dropped) pool.drop(dropped);
    return { ok: true, changes: advanced.changes };
  }

  function keep(number: number, state: Author): void {
    const before = held[number] ?? 0;
    held = withNumber(held, number, pool.states.hold(state));
    pool.states.release(before);
  }

  function refusal(known: Author | undefined, delta: VerifiedDelta): MergeProblem | undefined {
    if (known === undefined && authors >= limits.authors) return 'too-many-authors';
    const added = delta.changes.filter(({ key }) => known?.entries.has(key) !== true).length;
    if ((known?.entries.size ?? 0) + added > limits.entries) return 'too-many-records';
    const { length } = delta.body;
    const isOver = (known?.bytes ?? 0) + length > limits.authorBytes || bytes + length > limits.totalBytes;
    return isOver ? 'too-many-bytes' : undefined;
  }

  function account(before: Counted | undefined, after: Counted): void {
    if (before === undefined) authors++;
    count += after.held.length - (before?.held.length ?? 0);
    bytes += after.bytes - (before?.bytes ?? 0);
    sum = (sum + after.sum - (before?.sum ?? 0) + SUM_RANGE) % SUM_RANGE;
  }

  function* entries(prefix: string): Iterable<Entry> {
    for (const state of states()) {
      for (const entry of state.entries.values()) {
        if (entry.value !== undefined && entry.key.startsWith(prefix)) yield entry;
      }
    }
  }

  function deltas(author: PeerId, after = 0): readonly VerifiedDelta[] {
    const all = stateOf(author)?.held ?? [];
    return all.filter(({ delta }) => delta.seq > after).map(({ delta }) => delta);
  }

  const summaryOf = (state: Author): Summary => {
    return { tag: state.tag, seq: seqOf(state), sum: state.sum, author: state.author };
  };

  function summariesOf(numbers: Iterable<number>): readonly Summary[] {
    const all: Summary[] = [];
    for (const number of numbers) {
      const state = pool.states.at(held[number] ?? 0);
      if (state !== undefined) all.push(summaryOf(state));
    }
    return all;
  }

  /** Sorted by tag, as a vector needs them. */
  const summaries = () => summariesOf(pool.sorted());
  const tagged = (tag: number) => summariesOf(pool.tagged(tag));

  const replica: Replica = {
    isNews,
    merge,
    get(author, key) {
      const entry = stateOf(author)?.entries.get(key);
      return entry?.value === undefined ? undefined : entry;
    },
    entries,
    held(signature) {
      const delta = pool.known(signature);
      return delta !== undefined && holds(stateOf(delta.author), delta) ? delta : undefined;
    },
    known({ body, signature }) {
      const delta = pool.known(signature);
      return delta !== undefined && equalBytes(delta.body, body) ? delta : undefined;
    },
    deltas,
    seq: (author) => seqOf(stateOf(author)),
    authors: () => Array.from(states(), ({ author }) => author),
    fill(author) {
      const state = stateOf(author);
      const own = Math.max(
        (state?.entries.size ?? 0) / limits.entries,
        (state?.bytes ?? 0) / limits.authorBytes,
      );
      return Math.max(own, bytes / limits.totalBytes);
    },
    digest: () => ({ authors, deltas: count, sum }),
    vector: (size = VECTOR_SIZE) => createVector(summaries(), size),
    compare: (part) => compareVectors(summaries(), part, deltas),
    offer(some) {
      const authors = new Set<Author>();
      for (const { author } of some) {
        const state = stateOf(author);
        if (state !== undefined) authors.add(state);
      }
      return createOffer(Array.from(authors, summaryOf));
    },
    lacking: (offer) => lackingOf(offer, tagged),
    stillLacking(offered) {
      const after = missingAfter(offered, tagged(offered.tag));
      return after === undefined ? undefined : { ...offered, after };
    },
    wanted: (want) => wantedFrom(want, tagged, deltas),
  };
  HELD.set(replica, () => held);
  return replica;
}

type Counted = Pick<Author, 'sum' | 'bytes'> & { readonly held: { readonly length: number } };

/** For replicas that begin with what another one holds. */
const HELD = new WeakMap<Replica, () => Packed>();
