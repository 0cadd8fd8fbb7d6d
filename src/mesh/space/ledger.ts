import type { Range } from '../../core/address.ts';
import type { Crypto } from '../../core/crypto.ts';
import { type Block, ownBlocks } from '../../core/donation.ts';
import { DEFAULT_NETWORK, type PeerId } from '../../core/ids.ts';
import { itemAt, overlaps, sizeOf } from '../../core/ranges.ts';
import {
  type RefusedReason,
  type RingSource,
  type Segment,
  type WitnessFault,
  witnessFault,
} from '../../core/ring.ts';
import { createRingBook } from '../../core/ring-book.ts';
import {
  changeText,
  compareAge,
  decodeEntry,
  isDonorsWord,
  isTakeover,
  type RingEntry,
  ringKey,
  writerOf,
} from '../../core/ring-entry.ts';
import type { Membership } from '../membership.ts';
import { KEY, type RecordEntry, type Records } from '../records.ts';
import type { RingSegment } from '../space.ts';
import { createBelief } from './belief.ts';
import type { Closings } from './closings.ts';
import type { Holds } from './holds.ts';
import type { SpaceState } from './state.ts';

/** A ring record, or a part of one, that does not count here. */
export interface Quarantined {
  readonly author: PeerId;
  readonly key: string;
  /** Undefined when the record could not be read. */
  readonly range: Range | undefined;
  readonly reason:
    | RefusedReason
    | WitnessFault
    | 'malformed'
    /** The record stands under another key than its content says. */
    | 'wrong-key'
    /** Somebody published another donor's entry as its own. */
    | 'not-donor'
    /** A takeover by who may not take over, as far as is known here. */
    | 'not-successor'
    /** A donation of a removed peer that arrived when it was settled what counts of its donations. */
    | 'late';
}

/** The ring as this peer knows it, kept up to date from the records. */
export interface Ledger {
  segments(): readonly Segment[];
  /** Segments with the holes filled in, as others see them. */
  ring(): readonly RingSegment[];
  ownerOf(address: number): PeerId | undefined;
  entriesOf(owner: PeerId): readonly RingEntry[];
  ownedBy(owner: PeerId): number;
  /** What this peer may use: what it owns, has not promised away, and does not hold for others. */
  own(): readonly Block[];
  /** The same, with what it holds for others. */
  ownedNow(): readonly Block[];
  quarantine(): readonly Quarantined[];
  /** Takes entries that came in a message, ahead of their donor's record. Forged ones are dropped. */
  learn(entries: readonly RingEntry[]): void;
  /** Takes entries of this peer's own space that came with its admission and were checked. */
  trust(entries: readonly RingEntry[]): void;
  /** Every entry of that donor that was ever well-formed, and whether it counts (core/takeover.ts). */
  heardOf(donor: PeerId): readonly Heard[];
  /** Whether the records of its donor, owner or witness hold the entry. */
  isPublished(entry: RingEntry): boolean;
  watch(handler: () => void): () => void;
  close(): void;
}

export interface Heard {
  readonly entry: RingEntry;
  readonly tag: string;
  /** Of a takeover: the places of the taker in its donor's line at which it may have taken over. */
  readonly depths: readonly number[] | undefined;
  readonly counts: boolean;
}

interface LedgerParts {
  readonly self: PeerId;
  readonly range: Range;
  readonly records: Records;
  readonly membership: Membership;
  readonly crypto: Crypto;
  readonly state: SpaceState;
  readonly holds: Holds;
  readonly closings: Closings;
}

export function createLedger(parts: LedgerParts): Ledger {
  const { self, range, records, membership, crypto, state, holds, closings } = parts;
  const book = createRingBook({ range, creator: membership.creator });
  const { isWriter, placesOf, weigh } = createBelief(parts);
  const watchers = new Set<() => void>();
  /** Unusable records, by author and key. */
  const unusable = new Map<string, Quarantined>();
  /** Entries whose witness cannot be judged until more is known of the membership, by author and key. */
  const unjudged = new Map<string, RingEntry>();
  /** All that was ever handed to the book, or kept from it because it is void. */
  const all = new Map<string, RingSource>();
  let drawn: { segments: readonly Segment[]; ring: readonly RingSegment[] } | undefined;

  function sourceOf(record: RecordEntry): RingSource | undefined {
    const { author, key, value } = record;
    const id = `${author} ${key}`;
    unusable.delete(id);
    unjudged.delete(id);
    if (value === undefined) return undefined;
    const decoded = decodeEntry(value);
    if (!decoded.ok) return quarantine(undefined, 'malformed');
    const entry = decoded.value;
    if (ringKey(entry) !== key) return quarantine(entry, 'wrong-key');
    if (!isWriter(entry, author)) return quarantine(entry, 'not-donor');
    if (isTakeover(entry) && placesOf(entry).length === 0) return later(entry, 'not-successor');
    const fault = witnessFault(crypto, membership.mesh, entry, membership.heirOf, membership.mayAct);
    if (fault === undefined) return { entry, trusted: false };
    if (fault === 'heir-unknown' || fault === 'witness-not-heir') unjudged.set(id, entry);
    return quarantine(entry, fault);

    function later(entry: RingEntry, reason: Quarantined['reason']): undefined {
      unjudged.set(id, entry);
      return quarantine(entry, reason);
    }

    function quarantine(entry: RingEntry | undefined, reason: Quarantined['reason']): undefined {
      const where = entry && { start: entry.start, last: entry.last };
      unusable.set(id, { author, key, range: where, reason });
    }
  }

  function add(sources: readonly RingSource[]): void {
    for (const source of sources) all.set(nameOf(source), source);
    show(() => book.add(weighed(sources)));
  }

  const counts = (source: RingSource) => weigh(source) !== undefined;
  const weighed = (sources: Iterable<RingSource>) => [...sources].flatMap((source) => weigh(source) ?? []);

  function weighAgain(change: 'promises' | 'standing'): void {
    if (change === 'promises') return;
    judgeAgain();
    show(() => book.reset(weighed(all.values())));
  }

  function show(change: () => void): void {
    const before = book.view().segments;
    change();
    if (book.view().segments === before) return;
    noteOwn();
    for (const handler of [...watchers]) handler();
  }

  /** Goes to disk with whatever is allocated from it, since all sections are written together. */
  function noteOwn(): void {
    const now = entriesOf(self);
    vouch(now);
    const own = [...now, ...unpublishedBefore(now)];
    const held = new Set(state.held.get().map(ringKey));
    if (own.length === held.size && own.every((entry) => held.has(ringKey(entry)))) return;
    // Who allocates waits for its own write, which takes this one along; a disk that fails is reported there.
    state.held.set(own).catch(() => {});
    // A promise about a removed peer has to name all that own space rests on (core/takeover.ts), also after a crash.
    records.keep().catch(() => {});
  }

  /** Earlier gifts of the same addresses that came in a message only. */
  function unpublishedBefore(own: readonly RingEntry[]): readonly RingEntry[] {
    const known = [...all.values()].filter((source) => source.entry.owner === self && counts(source));
    const isBefore = (entry: RingEntry) =>
      own.some((one) => overlaps(one, entry) && compareAge(entry, one) < 0);
    return known.map(({ entry }) => entry).filter((entry) => isBefore(entry) && !isPublished(entry));
  }

  function isPublished(entry: RingEntry): boolean {
    const authors = [writerOf(entry), entry.owner, entry.witness];
    return authors.some(
      (author) => author !== undefined && records.get(author, ringKey(entry)) !== undefined,
    );
  }

  /** Of its own gifts from the peer whose heir it is, this peer is the witness: it must not forget them when it gives them on. */
  function vouch(own: readonly RingEntry[]): void {
    const promises = state.promises.get();
    const kept = new Set(promises.map(changeText));
    const fresh = own.filter((entry) => entry.witness === self && !kept.has(changeText(entry)));
    if (fresh.length > 0) state.promises.set([...promises, ...fresh]).catch(() => {});
  }

  function entriesOf(owner: PeerId): readonly RingEntry[] {
    const entries = new Map<string, RingEntry>();
    for (const { entry } of book.view().segments) {
      if (entry?.owner === owner) entries.set(ringKey(entry), entry);
    }
    return [...entries.values()];
  }

  function ownedNow(): readonly Block[] {
    // A peer's own word binds it, whether or not it counts (yet).
    const published = [...unjudged.values()].filter(({ donor }) => donor === self);
    return ownBlocks(book.view().segments, self, [...state.intents.get(), ...published]);
  }

  function judgeAgain(): void {
    const waiting = [...unjudged];
    unjudged.clear();
    add(
      waiting.flatMap(([id, entry]) => {
        const key = id.slice(id.indexOf(' ') + 1);
        return sourceOf({ author: id.slice(0, id.indexOf(' ')) as PeerId, key, value: entry }) ?? [];
      }),
    );
  }

  /** Where takers stand says which of their closings and takeovers count. */
  function hearOfMembers(): void {
    judgeAgain();
    const now = linesNow();
    if (now === lines) return;
    lines = now;
    show(() => book.reset(weighed(all.values())));
  }

  const linesNow = () => JSON.stringify(membership.removed().map((peer) => [peer, membership.lineOf(peer)]));
  let lines = linesNow();
  const stops = [
    records.watch(KEY.ring, (record) => {
      const source = sourceOf(record);
      if (source !== undefined) add([source]);
    }),
    membership.watch(hearOfMembers),
    closings.watch(weighAgain),
  ];
  const held = state.held.get().map((entry) => ({ entry, trusted: true }));
  add([...held, ...[...records.entries(KEY.ring)].flatMap((record) => sourceOf(record) ?? [])]);

  return {
    segments: () => book.view().segments,
    ring() {
      const { segments } = book.view();
      if (drawn?.segments !== segments) drawn = { segments, ring: draw(segments, range) };
      return drawn.ring;
    },
    ownerOf: (address) => itemAt(book.view().segments, address)?.entry?.owner,
    entriesOf,
    ownedBy: (owner) => {
      const owned = book.view().segments.filter(({ entry }) => entry?.owner === owner);
      return owned.reduce((sum, segment) => sum + sizeOf(segment), 0);
    },
    own: () => holds.without(ownedNow()),
    ownedNow,
    quarantine: () => [
      ...unusable.values(),
      ...[...all.values()]
        .filter((source) => !counts(source))
        .map(({ entry }) => ({
          author: writerOf(entry),
          key: ringKey(entry),
          range: { start: entry.start, last: entry.last },
          reason: 'late' as const,
        })),
      ...book.view().refused.map(({ entry, start, last, reason }) => ({
        author: writerOf(entry),
        key: ringKey(entry),
        range: { start, last },
        reason,
      })),
    ],
    learn(entries) {
      const good = entries.filter((entry) => isDonorsWord(crypto, membership.mesh, entry));
      add(
        good.flatMap(
          (entry) => sourceOf({ author: writerOf(entry), key: ringKey(entry), value: entry }) ?? [],
        ),
      );
    },
    trust: (entries) => add(entries.map((entry) => ({ entry, trusted: true }))),
    heardOf(donor) {
      const heard = new Map<string, Heard>();
      for (const source of all.values()) {
        const { entry } = source;
        if (entry.donor !== donor) continue;
        const tag = closings.tagOf(entry);
        const depths = isTakeover(entry) ? placesOf(entry) : undefined;
        heard.set(tag, { entry, tag, depths, counts: counts(source) });
      }
      return [...heard.values()];
    },
    isPublished,
    watch(handler) {
      watchers.add(handler);
      return () => watchers.delete(handler);
    },
    close() {
      for (const stop of stops) stop();
      watchers.clear();
    },
  };
}

function nameOf({ entry, trusted }: RingSource): string {
  return `${changeText(entry)} ${entry.witness ?? ''} ${trusted}`;
}

function draw(segments: readonly Segment[], range: Range): readonly RingSegment[] {
  const ring: RingSegment[] = [];
  let next = range.start;
  for (const { start, last, entry } of segments) {
    if (next < start) ring.push({ start: next, last: start - 1, owner: undefined, network: DEFAULT_NETWORK });
    ring.push({ start, last, owner: entry?.owner, network: entry?.network ?? DEFAULT_NETWORK });
    next = last + 1;
  }
  if (next <= range.last)
    ring.push({ start: next, last: range.last, owner: undefined, network: DEFAULT_NETWORK });
  return ring;
}
