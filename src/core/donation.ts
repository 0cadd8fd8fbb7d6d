import type { Range } from './address.ts';
import type { NetworkId, PeerId } from './ids.ts';
import { indexAt, overlaps, subtract } from './ranges.ts';
import type { Segment } from './ring.ts';
import { compareAge, type RingChange, type RingEntry, sameChange } from './ring-entry.ts';

/**
 * How addresses pass from a donor d to a new owner q, so that no two peers ever use one address whatever is lost, late or restarted:
 *
 *   1. d writes its intent to disk: from then on it neither allocates from the range nor donates it to anybody else
 *   2. d's heir writes a promise to disk and signs: it would not forget the donation when d is removed
 *   3. d publishes the entry with the signature, and the intent has served
 *   4. q uses the range once it holds the entry
 *
 * The functions here decide each step; mesh/space/ performs them, and test/model/ explores every order of them.
 */
export interface Block extends Range {
  readonly network: NetworkId;
  readonly epoch: number;
  readonly version: number;
}

/** What `self` may allocate from and donate: its segments without what it has promised away (`intents`). */
export function ownBlocks(
  segments: readonly Segment[],
  self: PeerId,
  intents: readonly RingChange[],
): readonly Block[] {
  const blocks: Block[] = [];
  for (const segment of segments) {
    if (segment.entry?.owner !== self) continue;
    const gone = intents.filter((intent) => compareAge(intent, segment) > 0);
    const { epoch, version } = segment;
    const { network } = segment.entry;
    for (const { start, last } of subtract(segment, gone)) {
      blocks.push({ start, last, network, epoch, version });
    }
  }
  return blocks;
}

/** The change that gives `part` of one of this peer's own blocks to `to`; to itself, when only the network changes. */
export function planDonation(
  block: Block,
  part: Range,
  self: PeerId,
  to: PeerId,
  network: NetworkId = block.network,
): RingChange {
  return {
    start: part.start,
    last: part.last,
    network,
    owner: to,
    epoch: block.epoch,
    version: block.version + 1,
    donor: self,
  };
}

/** True when the ring has come to the change everywhere in its range: it counts now, or something younger does. */
export function isSettled(segments: readonly Segment[], change: RingChange): boolean {
  let next = change.start;
  for (let i = indexAt(segments, change.start); next <= change.last; i += 1) {
    const segment = segments[i];
    if (segment === undefined || segment.start > next || compareAge(segment, change) < 0) return false;
    next = segment.last + 1;
  }
  return true;
}

/**
 * `sign`: the heir may promise. `behind`: its ring has not come to the version before, so ask again. `conflict`: it has promised, or
 * knows, something else; the donation must not be used.
 */
export type WitnessVerdict = 'sign' | 'behind' | 'conflict';

export function judgeWitness(
  segments: readonly Segment[],
  promises: readonly RingEntry[],
  change: RingChange,
): WitnessVerdict {
  for (const promise of promises) {
    if (sameChange(promise, change)) return 'sign';
    if (overlaps(promise, change) && compareAge(promise, change) >= 0) return 'conflict';
  }
  let next = change.start;
  for (let i = indexAt(segments, change.start); next <= change.last; i += 1) {
    const segment = segments[i];
    if (segment === undefined || segment.start > next) return 'behind';
    const verdict = judgePart(segment, change);
    if (verdict !== 'sign') return verdict;
    next = segment.last + 1;
  }
  return 'sign';
}

function judgePart(segment: Segment, change: RingChange): WitnessVerdict {
  if (segment.entry === undefined) return 'conflict';
  if (sameChange(segment.entry, change)) return 'sign';
  if (compareAge(segment, change) >= 0) return 'conflict';
  if (segment.epoch !== change.epoch || segment.version !== change.version - 1) return 'behind';
  return segment.entry.owner === change.donor ? 'sign' : 'conflict';
}

/** Promises that still say something: the ring has not come past them. */
export function livePromises(
  segments: readonly Segment[],
  promises: readonly RingEntry[],
): readonly RingEntry[] {
  return promises.filter((promise) => !isSettled(segments, { ...promise, version: promise.version + 1 }));
}
