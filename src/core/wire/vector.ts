import type { PeerId } from '../ids.ts';
import { MAX_SEQ, readU48, writeU48 } from './delta.ts';

/**
 * What a peer holds of each author, in 18 bytes an author, and what follows from comparing two of them.
 *
 *   VectorPart.entries   per author: u48 tag | u48 seq | u48 sum     sorted by tag
 *   offer                the same, of some authors only              ask me for what you lack of them
 *   want                 per author: u48 tag | u48 after             send me what is newer than `after`
 *
 * The tag is the first 48 bits of the author's key. Authors that share one (by chance, or because somebody made a key for it) are
 * never compared by seq: everything of them is sent instead, so a shared tag costs bytes and hides nothing.
 */
export interface VectorPart {
  /** The part covers all tags from `from` to `to`, both included: an author in between that it does not list is unknown there. */
  readonly from: number;
  readonly to: number;
  readonly entries: Uint8Array;
}

export interface Summary {
  readonly author: PeerId;
  readonly tag: number;
  readonly seq: number;
  readonly sum: number;
}

/** What somebody holds of one author. */
export interface Offered extends Pick<Summary, 'tag' | 'seq' | 'sum'> {
  /** It holds others with this tag, too, of which it may say the same as of this one, or anything else. */
  readonly shared?: true;
}

export interface Comparison<Delta> {
  /** Held here and not there. */
  readonly send: readonly Delta[];
  readonly lacking: readonly Lacking[];
}

/** Held there and not here: everything of an author after a seq. */
export interface Lacking extends Offered {
  readonly after: number;
}

const ENTRY = 18;
const WANT = 12;
const LAST_TAG = 2 ** 48 - 1;

/** `summaries` are sorted by tag. At least one part, so that an empty replica says that it is empty. */
export function createVector(summaries: readonly Summary[], size: number): readonly VectorPart[] {
  const parts: VectorPart[] = [];
  let from = 0;
  for (let at = 0; at < summaries.length || parts.length === 0; ) {
    let end = Math.min(at + size, summaries.length);
    while (end < summaries.length && summaries[end]?.tag === summaries[end - 1]?.tag) end++;
    const following = summaries[end];
    const to = following === undefined ? LAST_TAG : following.tag - 1;
    parts.push({ from, to, entries: pack(summaries.slice(at, end)) });
    from = to + 1;
    at = end;
  }
  return parts;
}

function pack(summaries: readonly Offered[]): Uint8Array {
  const bytes = new Uint8Array(summaries.length * ENTRY);
  summaries.forEach(({ tag, seq, sum }, index) => {
    writeU48(bytes, index * ENTRY, tag);
    writeU48(bytes, index * ENTRY + 6, seq);
    writeU48(bytes, index * ENTRY + 12, sum);
  });
  return bytes;
}

/** Whether unchecked data is a part that `compareVectors` may be given. */
export function isVectorPart(from: unknown, to: unknown, entries: unknown): boolean {
  return (
    isTag(from) && isTag(to) && from <= to && entries instanceof Uint8Array && entries.length % ENTRY === 0
  );
}

export function createOffer(offered: readonly Offered[]): Uint8Array {
  return pack(offered);
}

export function offeredIn(offer: Uint8Array): number {
  return Math.floor(offer.length / ENTRY);
}

/** The `index`-th of `offeredIn(offer)`. */
export function readOffered(offer: Uint8Array, index: number): Offered {
  const at = index * ENTRY;
  return { tag: readU48(offer, at), seq: readU48(offer, at + 6), sum: readU48(offer, at + 12) };
}

export function isOffer(entries: unknown): entries is Uint8Array {
  return entries instanceof Uint8Array && entries.length % ENTRY === 0;
}

export function isWant(want: unknown): want is Uint8Array {
  return want instanceof Uint8Array && want.length % WANT === 0;
}

function isTag(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= LAST_TAG;
}

/** Of almost all tags, so not one for each. */
const NONE: Theirs['others'] = [];

interface Theirs {
  readonly seq: number;
  readonly sum: number;
  /** Of the others with the tag; there may be any number. */
  readonly others: Pick<Summary, 'seq' | 'sum'>[];
}

const isShared = ({ others }: Theirs) => others.length > 0;

export function compareVectors<Delta>(
  mine: readonly Summary[],
  part: VectorPart,
  deltas: (author: PeerId, after: number) => readonly Delta[],
): Comparison<Delta> {
  const theirs = unpack(part.entries);
  const send: (readonly Delta[])[] = [];
  const lacking: Lacking[] = [];
  const ask = (tag: number, other: Theirs, after: number) => lacking.push(lackingAfter(tag, other, after));

  for (const [at, { author, tag, seq, sum }] of mine.entries()) {
    if (tag < part.from || tag > part.to) continue;
    const shared = mine[at - 1]?.tag === tag || mine[at + 1]?.tag === tag;
    const other = theirs.get(tag);
    theirs.delete(tag);
    if (other === undefined) {
      send.push(deltas(author, 0));
    } else if (shared || isShared(other) || (other.seq === seq && other.sum !== sum)) {
      send.push(deltas(author, 0));
      ask(tag, other, 0);
    } else if (other.seq < seq) {
      send.push(deltas(author, other.seq));
    } else if (other.seq > seq) {
      ask(tag, other, seq);
    }
  }
  for (const [tag, other] of theirs) if (tag >= part.from && tag <= part.to) ask(tag, other, 0);
  return { send: send.flat(), lacking };
}

/** What an offer has that is lacking here. `mine`: what is held of all authors with this tag. */
export function lackingOf(offer: Uint8Array, mine: (tag: number) => readonly Summary[]): readonly Lacking[] {
  const lacking: Lacking[] = [];
  for (const [tag, theirs] of unpack(offer)) {
    const own = mine(tag);
    const holds = (one: Pick<Summary, 'seq' | 'sum'>) =>
      own.some(({ seq, sum }) => seq === one.seq && sum === one.sum);
    const isWhole = isShared(theirs) && [theirs, ...theirs.others].every(holds);
    const after = isWhole ? undefined : missingAfter(lackingAfter(tag, theirs, 0), own);
    if (after !== undefined) lacking.push(lackingAfter(tag, theirs, after));
  }
  return lacking;
}

function lackingAfter(tag: number, theirs: Theirs, after: number): Lacking {
  const { seq, sum } = theirs;
  return isShared(theirs) ? { tag, after, seq, sum, shared: true } : { tag, after, seq, sum };
}

/** The seq after which something is missing of what they hold; undefined when nothing is, as far as one can tell. */
export function missingAfter(
  { seq, sum, shared }: Omit<Offered, 'tag'>,
  mine: readonly Summary[],
): number | undefined {
  if (shared === true) return 0;
  if (mine.some((own) => own.seq === seq && own.sum === sum)) return undefined;
  const [only] = mine;
  if (only === undefined || mine.length > 1 || only.seq === seq) return 0;
  return only.seq < seq ? only.seq : undefined;
}

export function createWant(lacking: readonly Lacking[]): Uint8Array {
  return join(lacking.flatMap(({ tag, after }) => [tag, after]));
}

function unpack(entries: Uint8Array): Map<number, Theirs> {
  const theirs = new Map<number, Theirs>();
  for (let at = 0; at + ENTRY <= entries.length; at += ENTRY) {
    const tag = readU48(entries, at);
    const one = { seq: readU48(entries, at + 6), sum: readU48(entries, at + 12) };
    const before = theirs.get(tag);
    if (before === undefined) theirs.set(tag, { ...one, others: NONE });
    else if (before.others === NONE) theirs.set(tag, { ...before, others: [one] });
    else before.others.push(one);
  }
  return theirs;
}

/** `mine`: what is held of all authors with a tag. */
export function wantedFrom<Delta>(
  want: Uint8Array,
  mine: (tag: number) => readonly Summary[],
  deltas: (author: PeerId, after: number) => readonly Delta[],
): readonly Delta[] {
  const after = new Map<number, number>();
  for (let at = 0; at + WANT <= want.length; at += WANT) {
    const tag = readU48(want, at);
    after.set(tag, Math.min(readU48(want, at + 6), after.get(tag) ?? MAX_SEQ));
  }
  return [...after].flatMap(([tag, seq]) => mine(tag).flatMap(({ author }) => deltas(author, seq)));
}

function join(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 6);
  values.forEach((value, index) => {
    writeU48(bytes, index * 6, value);
  });
  return bytes;
}
