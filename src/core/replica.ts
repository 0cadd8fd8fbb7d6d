import { equalBytes } from './bytes.ts';
import type { PeerId } from './ids.ts';
import { readU48, type VerifiedDelta } from './wire/delta.ts';
import { type Comparison, compareVectors, createVector, type VectorPart, wantedFrom } from './wire/vector.ts';

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
  /** The deltas held of an author with seq > `after`, oldest first. */
  deltas(author: PeerId, after?: number): readonly VerifiedDelta[];
  /** 0 when nothing is known of the author. */
  seq(author: PeerId): number;
  authors(): readonly PeerId[];
  /** The whole state in three numbers; equal on two peers means equal states. */
  digest(): Digest;
  /** (author → seq, sum) of all authors, in parts of at most `size` authors that together cover all authors there can be. */
  vector(size?: number): readonly VectorPart[];
  /** What the sender of `part` lacks and what it has that is lacking here. */
  compare(part: VectorPart): Comparison<VerifiedDelta>;
  /** What a neighbour asked for with the `want` of a comparison. */
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
  | { readonly ok: false; readonly problem: 'too-many-authors' | 'too-many-records' | 'too-many-bytes' };

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
const SUM_RANGE = 2 ** 48;
const SIGNATURE = 64;

interface Held {
  readonly delta: VerifiedDelta;
  readonly weight: number;
  /** Keys for which it is the newest. */
  live: number;
}

interface Written extends Entry {
  readonly held: Held;
}

interface Author {
  readonly author: PeerId;
  /** First 48 bits of the key: what a vector calls it. Two authors may share one. */
  readonly tag: number;
  /** By (seq, signature). The last one is always live, so its seq is the author's. */
  readonly held: Held[];
  readonly entries: Map<string, Written>;
  sum: number;
  bytes: number;
}

export function createReplica(limits: ReplicaLimits = REPLICA_LIMITS): Replica {
  const authors = new Map<PeerId, Author>();
  /** Entries by kind (the key up to its first slash), then author and key, for `entries`. */
  const kinds = new Map<string, Map<string, Written>>();
  /** By weight. */
  const index = new Map<number, Held>();
  let count = 0;
  let sum = 0;
  let bytes = 0;

  function isNews({ author, seq, signature, changes }: Parameters<Replica['isNews']>[0]): boolean {
    const state = authors.get(author);
    if (state === undefined) return true;
    return changes.some(({ key }) => isNewer(seq, signature, state.entries.get(key)));
  }

  function merge(delta: VerifiedDelta): Merged {
    if (!isNews(delta)) return { ok: true, changes: [] };
    const known = authors.get(delta.author);
    if (known === undefined && authors.size >= limits.authors)
      return { ok: false, problem: 'too-many-authors' };
    const state = known ?? newAuthor(delta);
    const fresh = delta.changes.filter(({ key }) =>
      isNewer(delta.seq, delta.signature, state.entries.get(key)),
    );
    const added = fresh.filter(({ key }) => !state.entries.has(key)).length;
    if (state.entries.size + added > limits.entries) return { ok: false, problem: 'too-many-records' };
    const { length } = delta.body;
    if (state.bytes + length > limits.authorBytes || bytes + length > limits.totalBytes) {
      return { ok: false, problem: 'too-many-bytes' };
    }
    authors.set(delta.author, state);
    const held: Held = { delta, weight: readU48(delta.signature, 0), live: fresh.length };
    hold(state, held);
    const changes = fresh.flatMap(({ key, value }) => {
      const old = state.entries.get(key);
      const entry: Written = { author: delta.author, key, value, seq: delta.seq, held };
      write(state, entry, old);
      return value === undefined && old?.value === undefined ? [] : [entry];
    });
    return { ok: true, changes };
  }

  function write(state: Author, entry: Written, old: Written | undefined): void {
    state.entries.set(entry.key, entry);
    const kind = kindOf(entry.key);
    const name = `${entry.author} ${entry.key}`;
    let named = kinds.get(kind);
    if (named === undefined) {
      named = new Map();
      kinds.set(kind, named);
    }
    if (entry.value === undefined) named.delete(name);
    else named.set(name, entry);
    if (old !== undefined && --old.held.live === 0) drop(state, old.held);
  }

  function hold(state: Author, held: Held): void {
    state.held.splice(position(state.held, held.delta), 0, held);
    index.set(held.weight, held);
    account(state, held, 1);
  }

  function drop(state: Author, held: Held): void {
    state.held.splice(position(state.held, held.delta), 1);
    if (index.get(held.weight) === held) index.delete(held.weight);
    account(state, held, -1);
  }

  function account(state: Author, { delta, weight }: Held, sign: 1 | -1): void {
    state.sum = (state.sum + sign * weight + SUM_RANGE) % SUM_RANGE;
    sum = (sum + sign * weight + SUM_RANGE) % SUM_RANGE;
    state.bytes += sign * delta.body.length;
    bytes += sign * delta.body.length;
    count += sign;
  }

  function* entries(prefix: string): Iterable<Entry> {
    for (const [kind, named] of kinds) {
      if (!(prefix.includes('/') ? kind === kindOf(prefix) : kind.startsWith(prefix))) continue;
      for (const entry of named.values()) if (entry.key.startsWith(prefix)) yield entry;
    }
  }

  function deltas(author: PeerId, after = 0): readonly VerifiedDelta[] {
    const held = authors.get(author)?.held ?? [];
    return held.filter(({ delta }) => delta.seq > after).map(({ delta }) => delta);
  }

  /** Sorted by tag, as a vector needs them. */
  function summaries() {
    return [...authors.values()]
      .map((state) => ({ tag: state.tag, seq: seqOf(state), sum: state.sum, author: state.author }))
      .sort((a, b) => a.tag - b.tag || (a.author < b.author ? -1 : 1));
  }

  return {
    isNews,
    merge,
    get(author, key) {
      const entry = authors.get(author)?.entries.get(key);
      return entry?.value === undefined ? undefined : entry;
    },
    entries,
    held(signature) {
      const found = signature.length === SIGNATURE ? index.get(readU48(signature, 0))?.delta : undefined;
      return found !== undefined && equalBytes(found.signature, signature) ? found : undefined;
    },
    deltas,
    seq: (author) => seqOf(authors.get(author)),
    authors: () => [...authors.keys()],
    digest: () => ({ authors: authors.size, deltas: count, sum }),
    vector: (size = VECTOR_SIZE) => createVector(summaries(), size),
    compare: (part) => compareVectors(summaries(), part, deltas),
    wanted: (want) => wantedFrom(summaries(), want, deltas),
  };
}

function newAuthor({ author, key }: VerifiedDelta): Author {
  return { author, tag: readU48(key, 0), held: [], entries: new Map(), sum: 0, bytes: 0 };
}

function seqOf(state: Author | undefined): number {
  return state?.held.at(-1)?.delta.seq ?? 0;
}

function kindOf(key: string): string {
  const slash = key.indexOf('/');
  return slash < 0 ? key : key.slice(0, slash);
}

function isNewer(seq: number, signature: Uint8Array, than: Written | undefined): boolean {
  return than === undefined || compareAge({ seq, signature }, than.held.delta) > 0;
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
