import fc from 'fast-check';
import type { Range } from '../../../src/core/address.ts';
import { DEFAULT_NETWORK, type PeerId } from '../../../src/core/ids.ts';
import type { RingRules, RingSource, RingView, Segment } from '../../../src/core/ring.ts';
import { genesisChange, type RingChange, type RingEntry } from '../../../src/core/ring-entry.ts';

/** A small ring whose history tests make up. */
export const CREATOR = 'A' as PeerId;
export const PEERS = ['A', 'B', 'C', 'D'] as PeerId[];
export const RANGE: Range = { start: 0, last: 15 };
export const RULES: RingRules = { range: RANGE, creator: CREATOR };

export function entryOf(change: RingChange): RingEntry {
  const entry = { ...change, donorSignature: new Uint8Array(64) };
  return change.owner === change.donor ? entry : { ...entry, witness: 'W' as PeerId };
}

export function known(...entries: readonly RingEntry[]): RingSource[] {
  return entries.map((entry) => ({ entry, trusted: false }));
}

export const GENESIS = entryOf(genesisChange(RANGE, CREATOR));

/** `gift(0, 7, 'A', 'B', 1)`: A gives 0-7 to B as version 1. */
export function gift(
  start: number,
  last: number,
  donor: string,
  owner: string,
  version: number,
  epoch = 0,
): RingEntry {
  return entryOf({
    start,
    last,
    network: DEFAULT_NETWORK,
    owner: owner as PeerId,
    epoch,
    version,
    donor: donor as PeerId,
  });
}

/** A history in which every donor owned what it gave: the whole truth, in order. */
export const honestHistory: fc.Arbitrary<RingEntry[]> = fc
  .array(fc.tuple(fc.nat(15), fc.nat(7), fc.constantFrom(...PEERS)), { maxLength: 14 })
  .map((wishes) => {
    const owner = new Array<PeerId>(16).fill(CREATOR);
    const version = new Array<number>(16).fill(0);
    const history = [GENESIS];
    for (const [start, length, to] of wishes) {
      const donor = owner[start] as PeerId;
      let last = start;
      const goesOn = (at: number) => owner[at] === donor && version[at] === version[start];
      while (last - start < length && last < 15 && goesOn(last + 1)) last += 1;
      const next = (version[start] as number) + 1;
      history.push(gift(start, last, donor, to, next));
      owner.fill(to, start, last + 1);
      version.fill(next, start, last + 1);
    }
    return history;
  });

/** Anything at all: overlapping, forged, equivocating, out of range. */
export const anyEntry: fc.Arbitrary<RingEntry> = fc
  .tuple(
    fc.nat(17),
    fc.nat(9),
    fc.constantFrom(...PEERS),
    fc.constantFrom(...PEERS),
    fc.nat(4),
    fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constant(1) }),
  )
  .map(([start, length, donor, owner, version, epoch]) =>
    gift(start, start + length, donor, owner, version, epoch),
  );

/** The same ring by the slowest and plainest means: each address on its own. For sources that are not trusted. */
export function slowOwners(entries: readonly RingEntry[]): (string | undefined)[] {
  return Array.from({ length: 16 }, (_, address) => {
    const here = entries.filter(
      (e) => e.start <= address && address <= e.last && e.last <= RANGE.last && e.epoch === 0,
    );
    let current = here.some(
      (e) => e.version === 0 && e.start === 0 && e.last === 15 && e.owner === 'A' && e.donor === 'A',
    )
      ? GENESIS
      : undefined;
    for (let version = 1; current !== undefined; version += 1) {
      const donor: PeerId = current.owner;
      const next = here.filter((e) => e.version === version && e.donor === donor);
      const texts = new Set(next.map((e) => `${e.start} ${e.last} ${e.owner}`));
      if (texts.size > 1) return undefined;
      if (next[0] === undefined) return current.owner;
      current = next[0];
    }
    return undefined;
  });
}

export function owners({ segments }: Pick<RingView, 'segments'>): (string | undefined)[] {
  const result = new Array<string | undefined>(16).fill(undefined);
  for (const { start, last, entry } of segments) result.fill(entry?.owner, start, last + 1);
  return result;
}

/** Segments as short text, to compare. */
export function draw(segments: readonly Segment[]): string[] {
  return segments.map(
    ({ start, last, epoch, version, donor, entry }) =>
      `${start}-${last} ${epoch}.${version} ${donor}→${entry?.owner ?? '?'}`,
  );
}
