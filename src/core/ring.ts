import type { Range } from './address.ts';
import type { Crypto } from './crypto.ts';
import type { MeshId, PeerId } from './ids.ts';
import { indexAt, overlaps } from './ranges.ts';
import {
  changeText,
  compareAge,
  isSignedBy,
  isTakeover,
  type RingEntry,
  sameChange,
  witnessBytes,
} from './ring-entry.ts';

/**
 * The ring: who owns each address. It is a function of a set of entries, so peers that hold the same entries see the same ring, in
 * whatever order the entries came. Each address has its own history:
 *
 *   genesis (0,0) creator → (0,1) by its owner → (0,2) by that one's owner → …      the greatest (epoch, version) counts
 *   … → (0,7) its owner is removed → (1,0) by that one's heir → (1,1) by its owner → …
 *
 * An entry counts at an address only if its donor owned the address at the version before; a takeover, whose donor was removed, if that
 * one owned it last in an epoch that lies as many before as the taker's place in its line says. Two different entries that both do are a
 * dispute: the address then has no owner, and nothing that builds on it counts but the takeover by the successor of who caused it.
 */
export interface Segment extends Range {
  readonly epoch: number;
  readonly version: number;
  readonly donor: PeerId;
  /** The entry that gave the addresses to their owner; undefined where they are disputed. */
  readonly entry: RingEntry | undefined;
}

/** An entry and where it comes from. */
export interface RingSource {
  readonly entry: RingEntry;
  /** This peer's own address space, checked before and kept on disk: counts even where the history before it is not known (any more). */
  readonly trusted: boolean;
  /** Of a takeover: the taker's places in the removed peer's line at which it counts (core/succession.ts). */
  readonly depths?: readonly number[];
}

export interface RingView {
  /** Sorted, not overlapping; what nobody is known to own is missing. */
  readonly segments: readonly Segment[];
  /** What does not count, and why. */
  readonly refused: readonly Refused[];
}

export interface Refused extends Range {
  readonly entry: RingEntry;
  readonly depths?: readonly number[];
  readonly reason: RefusedReason;
}

export type RefusedReason =
  /** Version 0, but not the creator's gift of the whole range to itself. */
  | 'not-genesis'
  /** The donor did not own the addresses. */
  | 'not-owner'
  /** The history between this entry and what is known is missing; it may still come. */
  | 'waiting'
  /** Another entry claims the same version, or the addresses were disputed before. */
  | 'disputed'
  | 'outside-range';

export interface RingRules {
  readonly range: Range;
  readonly creator: PeerId;
}

export const EMPTY_RING: RingView = { segments: [], refused: [] };

/** The ring of a set of sources. */
export function buildRing(rules: RingRules, sources: Iterable<RingSource>): RingView {
  let segments: readonly Segment[] = [];
  const refused: Refused[] = [];
  for (const source of [...sources].sort(bySeniority)) {
    const step = apply(rules, segments, source, source.entry);
    segments = step.segments;
    refused.push(...step.refused);
  }
  return { segments, refused };
}

/**
 * The ring with one more source, when that is the youngest at all of its addresses: the usual case, far cheaper than to build again.
 * Otherwise undefined. What waited for it is looked at again.
 */
export function extendRing(rules: RingRules, view: RingView, source: RingSource): RingView | undefined {
  const { entry } = source;
  if (source.trusted) return undefined;
  for (let i = indexAt(view.segments, entry.start); i < view.segments.length; i += 1) {
    const segment = view.segments[i];
    if (segment === undefined || segment.start > entry.last) break;
    if (compareAge(segment, entry) >= 0) return undefined;
  }
  // A takeover is judged by the last entry before it, whichever that is.
  const open = (part: Refused) => part.reason === 'waiting' || isTakeover(part.entry);
  const ready = view.refused.filter((part) => open(part) && overlaps(part, entry));
  const refused =
    ready.length === 0 ? [...view.refused] : view.refused.filter((part) => !ready.includes(part));
  const steps = [
    { source, part: entry as Range },
    ...ready.map((part) => ({ source: { ...sourceIn(part), trusted: false }, part })),
  ].sort((a, b) => bySeniority(a.source, b.source));
  let { segments } = view;
  for (const { source: next, part } of steps) {
    const step = apply(rules, segments, next, part);
    segments = step.segments;
    refused.push(...step.refused);
  }
  return { segments, refused };
}

/** With the depths only where there are any. */
function sourceIn({
  entry,
  depths,
}: Pick<RingSource, 'entry' | 'depths'>): Pick<RingSource, 'entry' | 'depths'> {
  return depths === undefined ? { entry } : { entry, depths };
}

/** Older first, so that an entry meets the one before it; known history before what is only trusted. */
function bySeniority(a: RingSource, b: RingSource): number {
  const age = compareAge(a.entry, b.entry) || Number(a.trusted) - Number(b.trusted);
  if (age !== 0) return age;
  const left = sourceText(a.entry);
  const right = sourceText(b.entry);
  return left < right ? -1 : left > right ? 1 : 0;
}

function sourceText(entry: RingEntry): string {
  return `${changeText(entry)} ${entry.witness ?? ''}`;
}

interface Step {
  readonly segments: Segment[];
  readonly refused: readonly Refused[];
}

/** Lays one entry, or a part of it, over the segments that it touches, each piece by the rule for what lies there. */
function apply(rules: RingRules, segments: readonly Segment[], source: RingSource, part: Range): Step {
  const { entry } = source;
  if (entry.start < rules.range.start || entry.last > rules.range.last) {
    return { segments: [...segments], refused: [refuse(source, entry, 'outside-range')] };
  }
  if (entry.version === 0 && entry.epoch === 0 && !isGenesis(rules, entry)) {
    return { segments: [...segments], refused: [refuse(source, entry, 'not-genesis')] };
  }
  const from = indexAt(segments, part.start);
  const laid: Segment[] = [];
  const refused: Refused[] = [];
  let next = part.start;
  let to = from;
  for (; to < segments.length; to += 1) {
    const old = segments[to];
    if (old === undefined || old.start > part.last) break;
    if (old.start < part.start) laid.push({ ...old, last: part.start - 1 });
    if (next < old.start) lay({ start: next, last: old.start - 1 }, undefined);
    const last = Math.min(old.last, part.last);
    lay({ start: Math.max(old.start, part.start), last }, old);
    if (old.last > part.last) laid.push({ ...old, start: part.last + 1 });
    next = last + 1;
  }
  if (next <= part.last) lay({ start: next, last: part.last }, undefined);
  return { segments: spliced(segments, from, to, laid), refused };

  function lay(piece: Range, old: Segment | undefined): void {
    const verdict = judge(source, old);
    if (verdict.refused !== undefined) refused.push(refuse(source, piece, verdict.refused));
    if (verdict.segment !== undefined)
      laid.push({ ...verdict.segment, start: piece.start, last: piece.last });
  }
}

interface Judgement {
  readonly segment: Omit<Segment, 'start' | 'last'> | undefined;
  readonly refused?: RefusedReason;
}

/** The rule for one address: what lies there after `source` meets `old`. */
function judge(source: RingSource, old: Segment | undefined): Judgement {
  const { entry, trusted } = source;
  const { epoch, version, donor } = entry;
  const mine: Judgement = { segment: { epoch, version, donor, entry } };
  if (isTakeover(entry)) return judgeTakeover(source, old, mine);
  if (version === 0 && old === undefined) return mine;
  if (old === undefined) return trusted ? mine : { segment: undefined, refused: 'waiting' };
  if (compareAge(old, entry) === 0) {
    if (old.donor !== donor) return { segment: old, refused: 'not-owner' };
    if (old.entry !== undefined && sameChange(old.entry, entry)) return { segment: old };
    return { segment: { ...old, entry: undefined }, refused: 'disputed' };
  }
  if (old.entry === undefined) return { segment: old, refused: 'disputed' };
  if (old.epoch === epoch && old.version === version - 1) {
    return old.entry.owner === donor ? mine : { segment: old, refused: 'not-owner' };
  }
  return trusted ? mine : { segment: old, refused: 'waiting' };
}

/** Older entries come first, so `old` is the last of the epochs before, or another takeover of the same epoch. */
function judgeTakeover(
  { entry, trusted, depths }: RingSource,
  old: Segment | undefined,
  mine: Judgement,
): Judgement {
  if (old === undefined) return trusted ? mine : { segment: undefined, refused: 'waiting' };
  if (compareAge(old, entry) === 0) {
    // One taker may find one address owned by either of two removed peers, as it hears of their entries in one order or another.
    if (old.entry?.owner === entry.owner) return { segment: old };
    return { segment: { ...old, entry: undefined }, refused: 'disputed' };
  }
  const owner = old.entry?.owner ?? old.donor;
  // A gift of the removed peer to the taker that the taker had not heard of: its own either way, and it counts on from the takeover.
  const gift = owner === entry.owner && old.donor === entry.donor;
  const due = depths?.includes(entry.epoch - old.epoch) === true;
  if (due && (gift || owner === entry.donor)) return mine;
  if (trusted && old.epoch < entry.epoch && depths === undefined) return mine;
  // Between this and what is known there may be more: the removed peer may yet turn out to have owned it.
  const early = depths === undefined || depths.some((depth) => old.epoch + depth <= entry.epoch);
  return { segment: old, refused: early && owner !== entry.donor ? 'waiting' : 'not-owner' };
}

function isGenesis(rules: RingRules, entry: RingEntry): boolean {
  const { range, creator } = rules;
  return (
    entry.epoch === 0 &&
    entry.start === range.start &&
    entry.last === range.last &&
    entry.owner === creator &&
    entry.donor === creator
  );
}

function refuse(source: RingSource, part: Range, reason: RefusedReason): Refused {
  return { ...sourceIn(source), start: part.start, last: part.last, reason };
}

/** Replaces segments[from…to) and joins neighbours that say the same, so that equal rings have equal segments. */
function spliced(
  segments: readonly Segment[],
  from: number,
  to: number,
  laid: readonly Segment[],
): Segment[] {
  const before = segments[from - 1];
  const after = segments[to];
  const joined: Segment[] = [];
  for (const segment of [...(before ? [before] : []), ...laid, ...(after ? [after] : [])]) {
    const previous = joined.at(-1);
    if (previous !== undefined && previous.last + 1 === segment.start && saysTheSame(previous, segment)) {
      joined[joined.length - 1] = { ...previous, last: segment.last };
    } else {
      joined.push(segment);
    }
  }
  const first = before ? from - 1 : from;
  const result = segments.slice(0, first);
  return result.concat(joined, segments.slice(after ? to + 1 : to));
}

function saysTheSame(a: Segment, b: Segment): boolean {
  if (compareAge(a, b) !== 0 || a.donor !== b.donor) return false;
  if (a.entry === undefined || b.entry === undefined) return a.entry === b.entry;
  return sameChange(a.entry, b.entry);
}

export type WitnessFault =
  /** A donation that names no witness. */
  | 'missing-witness'
  /** The donor's heir is not known here (yet). */
  | 'heir-unknown'
  | 'witness-not-heir'
  | 'bad-signature';

/**
 * Why the donation is not to be used, or undefined when its witness is in order. The creator's first donation goes to its heir,
 * which is its own witness; the same holds for any donation to the donor's heir. `standsIn`: whether a peer is the heir's successor,
 * the heir having been removed. Takeovers have no witness: whether they may be is for who knows the line of heirs.
 */
export function witnessFault(
  crypto: Crypto,
  mesh: MeshId,
  entry: RingEntry,
  heirOf: (peer: PeerId) => PeerId | undefined,
  standsIn: (donor: PeerId, witness: PeerId) => boolean = () => false,
): WitnessFault | undefined {
  if (entry.owner === entry.donor || isTakeover(entry)) return undefined;
  if (entry.witness === undefined) return 'missing-witness';
  const heir = heirOf(entry.donor);
  if (heir === undefined) return 'heir-unknown';
  if (heir !== entry.witness && !standsIn(entry.donor, entry.witness)) return 'witness-not-heir';
  if (entry.witnessSignature === undefined) {
    return entry.witness === entry.owner ? undefined : 'missing-witness';
  }
  const bytes = witnessBytes(mesh, entry, entry.witness);
  return isSignedBy(crypto, entry.witness, bytes, entry.witnessSignature) ? undefined : 'bad-signature';
}
