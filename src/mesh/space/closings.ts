import { concat, fromHex, toHex, utf8 } from '../../core/bytes.ts';
import type { Crypto } from '../../core/crypto.ts';
import type { PeerId } from '../../core/ids.ts';
import { changeText, type RingChange } from '../../core/ring-entry.ts';
import type { Successor } from '../../core/succession.ts';
import { type Closing, NEEDS_PROMISES, type Promised } from '../../core/takeover.ts';
import type { Membership } from '../membership.ts';
import { KEY, type RecordEntry, type Records } from '../records.ts';

/** What peers have promised about the entries of removed peers, and what counts of those: as the records say. */
export interface Closings {
  closingOf(peer: PeerId): Closing | undefined;
  /** The closing that `by` has written at that place of its in the peer's line; also where a later one counts. */
  closingBy(peer: PeerId, by: PeerId, depth: number): Closing | undefined;
  promisesAbout(peer: PeerId): ReadonlyMap<PeerId, Promised>;
  /** What `by` has promised last, as its records say. */
  promiseBy(peer: PeerId, by: PeerId): Promised | undefined;
  /** What this peer has promised last, from the moment it began to write it down. */
  ownPromise(peer: PeerId): Promised | undefined;
  /** On disk when it resolves. From the call on this peer keeps it. */
  promise(peer: PeerId, promised: Promised): Promise<void>;
  /** The records that make a closing; for who takes over, to be written together with the entries. */
  closingRecords(peer: PeerId, closing: Closing): ReadonlyMap<string, unknown>;
  tagOf(entry: RingChange): string;
  tagOfPeer(peer: PeerId): string;
  /** Called when others have promised, or when what stands here may have changed. Returns the way to stop. */
  watch(handler: (change: 'promises' | 'standing') => void): () => void;
}

interface ClosingsParts {
  readonly self: PeerId;
  readonly records: Records;
  readonly membership: Pick<Membership, 'depthsOf' | 'lineOf'>;
  readonly crypto: Crypto;
}

/** Half of 128 bits are enough: whom it serves to find two entries with one tag could as well sign both. */
const TAG_BYTES = 8;
/** A record holds 64 KiB. */
const TAGS_IN_PART = 7_000;
const MAX_PARTS = 64;

interface Tags {
  /** What comes before the second list. */
  readonly count: number;
  readonly depth: number;
  readonly tags: readonly string[];
}

export function createClosings({ self, records, membership, crypto }: ClosingsParts): Closings {
  const own = new Map<PeerId, Promised>();
  const handlers = new Set<(change: 'promises' | 'standing') => void>();
  /** Decoded once for each change of the records. */
  const decoded = new Map<string, Tags | undefined>();

  /** `name`: of the records, without the number of the part. */
  function tags(author: PeerId, name: string): Tags | undefined {
    const id = `${author} ${name}`;
    if (!decoded.has(id))
      decoded.set(
        id,
        readTags((key) => records.get(author, key), name),
      );
    return decoded.get(id);
  }

  function changed({ author, key }: RecordEntry): void {
    decoded.delete(`${author} ${key.slice(0, key.lastIndexOf('/'))}`);
    const change = key.startsWith(KEY.fence) && author !== self ? 'promises' : 'standing';
    for (const handler of [...handlers]) handler(change);
  }

  const closingName = (peer: PeerId, depth: number) => `${KEY.closed}${peer}/${depth}`;

  function closingAt(peer: PeerId, { peer: by, depth }: Successor): Closing | undefined {
    const written = depth < NEEDS_PROMISES ? undefined : tags(by, closingName(peer, depth));
    return written?.depth === depth ? { depth, standing: new Set(written.tags) } : undefined;
  }

  const closingBy = (peer: PeerId, by: PeerId, depth: number) =>
    membership.depthsOf(peer, by).includes(depth) ? closingAt(peer, { peer: by, depth }) : undefined;

  function promiseBy(peer: PeerId, by: PeerId): Promised | undefined {
    const written = tags(by, KEY.fence + peer);
    if (written === undefined) return undefined;
    const { depth, count, tags: all } = written;
    return { depth, known: new Set(all.slice(0, count)), issued: new Set(all.slice(count)) };
  }

  records.watch(KEY.fence, changed);
  records.watch(KEY.closed, changed);

  return {
    closingBy,
    promiseBy,
    closingOf(peer) {
      return membership
        .lineOf(peer)
        .flatMap((place) => closingAt(peer, place) ?? [])
        .at(-1);
    },
    promisesAbout(peer) {
      const promises = new Map<PeerId, Promised>();
      const first = promiseKey(peer);
      for (const { author, key } of records.entries(first)) {
        const promised = key === first ? promiseBy(peer, author) : undefined;
        if (promised !== undefined) promises.set(author, promised);
      }
      return promises;
    },
    ownPromise: (peer) => own.get(peer) ?? promiseBy(peer, self),
    async promise(peer, promised) {
      own.set(peer, promised);
      for (const handler of [...handlers]) handler('standing');
      const { depth, known, issued } = promised;
      const written = { count: known.size, depth, tags: [...known, ...issued] };
      await records.putAll(writeTags(KEY.fence + peer, written));
    },
    closingRecords: (peer, { depth, standing }) =>
      writeTags(closingName(peer, depth), { count: standing.size, depth, tags: [...standing] }),
    tagOf: (entry) => toHex(crypto.hash(utf8(changeText(entry))).slice(0, TAG_BYTES)),
    tagOfPeer: (peer) => toHex(crypto.hash(utf8(peer)).slice(0, TAG_BYTES)),
    watch(handler) {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
  };
}

/** Of the first part of a promise about the peer. */
export const promiseKey = (peer: PeerId) => `${KEY.fence}${peer}/0`;

function writeTags(name: string, { count, depth, tags }: Tags): ReadonlyMap<string, unknown> {
  const parts = Math.max(1, Math.ceil(tags.length / TAGS_IN_PART));
  if (parts > MAX_PARTS) throw new RangeError(`${tags.length} entries of one removed peer are too many`);
  const records = new Map<string, unknown>();
  for (let part = 0; part < parts; part += 1) {
    const some = tags.slice(part * TAGS_IN_PART, (part + 1) * TAGS_IN_PART);
    const bytes = concat(...some.map((tag) => fromHex(tag) as Uint8Array));
    records.set(`${name}/${part}`, { parts, count, depth, tags: bytes });
  }
  return records;
}

/** Undefined for what is malformed or not there in full. */
function readTags(read: (key: string) => unknown, name: string): Tags | undefined {
  const all: string[] = [];
  let first: { readonly parts: number; readonly count: number; readonly depth: number } | undefined;
  for (let part = 0; part < (first?.parts ?? 1); part += 1) {
    const value = read(`${name}/${part}`);
    if (typeof value !== 'object' || value === null) return undefined;
    const { parts, count, depth, tags } = value as Record<string, unknown>;
    if (!isCount(parts, MAX_PARTS) || parts === 0 || !isCount(count) || !isCount(depth)) return undefined;
    if (!(tags instanceof Uint8Array) || tags.length % TAG_BYTES !== 0) return undefined;
    first ??= { parts, count, depth };
    // A promise is written anew for each successor: its parts may arrive one by one.
    if (parts !== first.parts || count !== first.count || depth !== first.depth) return undefined;
    for (let at = 0; at < tags.length; at += TAG_BYTES) all.push(toHex(tags.subarray(at, at + TAG_BYTES)));
  }
  return first && { count: first.count, depth: first.depth, tags: all };
}

function isCount(value: unknown, most = Number.MAX_SAFE_INTEGER): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most;
}
