import type { Range } from './address.ts';
import type { PeerId } from './ids.ts';
import { overlaps } from './ranges.ts';
import type { RingRules, Segment } from './ring.ts';
import { compareAge, formatRange, isTakeover, type RingEntry } from './ring-entry.ts';

/** What must hold of every ring at every moment. Tests ask after each step; an answer with entries in it is a bug. */
export type RingFaultCode =
  | 'empty-segment'
  | 'unsorted'
  | 'overlap'
  | 'outside-range'
  /** Addresses that nobody is known to own although the genesis entry is there. */
  | 'gap'
  /** The segment is not what its entry says. */
  | 'entry-mismatch'
  /** The donor did not own the addresses at the version before. */
  | 'donor-not-owner'
  /** A donation counts without the word of the donor's heir. */
  | 'missing-witness'
  /** The ring went back to an older version. */
  | 'version-regress'
  /** The same version has another owner than it had. */
  | 'owner-changed'
  /** Two peers may use the same address. */
  | 'held-twice';

export interface RingFault {
  readonly code: RingFaultCode;
  readonly message: string;
}

export interface RingCheck extends RingRules {
  /** Every entry that the ring was built from: what a donor owned is looked up here. */
  readonly history: readonly RingEntry[];
  /** Segments of the same ring at an earlier moment. */
  readonly previous?: readonly Segment[];
}

export function checkRing(segments: readonly Segment[], check: RingCheck): readonly RingFault[] {
  return [
    ...checkTiling(segments, check),
    ...segments.flatMap((segment) => checkSegment(segment, check)),
    ...checkProgress(segments, check.previous ?? []),
  ];
}

function fault(code: RingFaultCode, message: string): RingFault {
  return { code, message };
}

function* checkTiling(segments: readonly Segment[], { range, history }: RingCheck): Generator<RingFault> {
  const complete = history.some((entry) => entry.version === 0);
  let previous: Segment | undefined;
  for (const segment of segments) {
    const at = formatRange(segment);
    if (segment.start > segment.last) yield fault('empty-segment', `${at} ends before it starts`);
    if (segment.start < range.start || segment.last > range.last) {
      yield fault('outside-range', `${at} is not inside ${formatRange(range)}`);
    }
    if (previous !== undefined && overlaps(previous, segment)) {
      yield fault('overlap', `${formatRange(previous)} and ${at} have addresses in common`);
    } else if (previous !== undefined && segment.start < previous.start) {
      yield fault('unsorted', `${at} comes after ${formatRange(previous)}`);
    }
    const expected = previous === undefined ? range.start : previous.last + 1;
    if (complete && segment.start > expected) {
      yield fault('gap', `${formatRange({ start: expected, last: segment.start - 1 })} has no owner`);
    }
    previous = segment;
  }
  const expected = previous === undefined ? range.start : previous.last + 1;
  if (complete && expected <= range.last) {
    yield fault('gap', `${formatRange({ start: expected, last: range.last })} has no owner`);
  }
}

function checkSegment(segment: Segment, { creator, history }: RingCheck): readonly RingFault[] {
  const { entry } = segment;
  if (entry === undefined) return [];
  const faults: RingFault[] = [];
  const at = formatRange(segment);
  const inside = entry.start <= segment.start && segment.last <= entry.last;
  if (!inside || compareAge(entry, segment) !== 0 || entry.donor !== segment.donor) {
    faults.push(fault('entry-mismatch', `${at} is not what its entry says`));
  }
  if (!ownedBefore(entry, segment, creator, history)) {
    faults.push(fault('donor-not-owner', `${at}: ${entry.donor} gave away what it did not own`));
  }
  if (entry.owner !== entry.donor && entry.witness === undefined && !isTakeover(entry)) {
    faults.push(fault('missing-witness', `${at}: the donation to ${entry.owner} has no witness`));
  }
  return faults;
}

/** Looks the donor up at each edge where the answer may change. */
function ownedBefore(entry: RingEntry, part: Range, creator: PeerId, history: readonly RingEntry[]): boolean {
  if (entry.version === 0 && entry.epoch === 0) return entry.owner === creator && entry.donor === creator;
  const before = history.filter((other) => {
    const earlier = isTakeover(entry)
      ? other.epoch < entry.epoch
      : other.epoch === entry.epoch && other.version === entry.version - 1;
    // Addresses that a donor gave away twice fall to who succeeds it.
    return earlier && (other.owner === entry.donor || (isTakeover(entry) && other.donor === entry.donor));
  });
  let next = part.start;
  while (next <= part.last) {
    const cover = before.find((other) => other.start <= next && next <= other.last);
    if (cover === undefined) return false;
    next = cover.last + 1;
  }
  return true;
}

function* checkProgress(segments: readonly Segment[], previous: readonly Segment[]): Generator<RingFault> {
  for (const old of previous) {
    for (const segment of segments) {
      if (!overlaps(old, segment)) continue;
      const age = compareAge(segment, old);
      const at = formatRange({
        start: Math.max(old.start, segment.start),
        last: Math.min(old.last, segment.last),
      });
      if (age < 0)
        yield fault('version-regress', `${at} went from version ${old.version} to ${segment.version}`);
      const changed = age === 0 && segment.entry !== undefined && segment.entry.owner !== old.entry?.owner;
      if (changed) yield fault('owner-changed', `${at} has another owner in the same version`);
    }
  }
}

/** No address may be used by two peers, whatever each of them knows. */
export function checkHolders(holders: ReadonlyMap<PeerId, readonly Range[]>): readonly RingFault[] {
  const all = [...holders].flatMap(([peer, ranges]) => ranges.map((range) => ({ peer, range })));
  all.sort((a, b) => a.range.start - b.range.start);
  const faults: RingFault[] = [];
  let widest: (typeof all)[number] | undefined;
  for (const item of all) {
    if (widest !== undefined && overlaps(widest.range, item.range)) {
      const at = formatRange(item.range);
      faults.push(fault('held-twice', `${at} may be used by ${widest.peer} and ${item.peer}`));
    }
    if (widest === undefined || item.range.last > widest.range.last) widest = item;
  }
  return faults;
}
