import { formatIpv4, type Range } from '../../core/address.ts';
import { DEFAULT_NETWORK, type NetworkId } from '../../core/ids.ts';
import { freeParts, leasesWithin } from '../../core/ipam.ts';
import { formatRange, type RingEntry } from '../../core/ring-entry.ts';
import { clip, findRun, joined } from '../../core/subnets.ts';
import type { Donor } from './donor.ts';
import { SpaceError } from './errors.ts';
import type { Holds } from './holds.ts';
import type { Ledger } from './ledger.ts';
import type { SpaceState } from './state.ts';

/** Which network each part of this peer's own space belongs to. Only the owner of addresses says it, with an entry of the ring. */
export interface Labels {
  /** An aligned run of `size` addresses of `weft` in own space of which none is in use. */
  room(size: number): Range | undefined;
  /** Addresses of own space in the range that are in use, as text. */
  inUse(range: Range): readonly string[];
  /** What of the range this peer may take out of `weft`: own, not promised away, not changing already, not held for others. */
  within(range: Range): readonly Range[];
  /**
   * Moves everything within the range that this peer owns from one network to the other. Nothing waits before the intents are noted, so
   * nothing in the range is handed out any more; resolves when the entries are published. Throws SpaceError `in-use`.
   */
  move(range: Range, from: NetworkId, to: NetworkId): Promise<readonly RingEntry[]>;
}

/** Of addresses in use, an error names so many. */
const NAMED = 8;

export function createLabels(parts: {
  readonly ledger: Ledger;
  readonly state: SpaceState;
  readonly donor: Donor;
  readonly holds: Holds;
}): Labels {
  const { ledger, state, donor, holds } = parts;
  const leases = () => state.leases.get();

  function room(size: number): Range | undefined {
    const free = ledger
      .own()
      .filter(({ network }) => network === DEFAULT_NETWORK)
      .flatMap((block) => freeParts(block, leases()));
    // A block that was a subnet before is taken again first, so that the ring does not fall into ever more pieces.
    return findRun(free, size) ?? findRun(joined(free), size);
  }

  const inUse = (range: Range) => leasesWithin(range, leases()).map(({ address }) => formatIpv4(address));

  async function move(range: Range, from: NetworkId, to: NetworkId): Promise<readonly RingEntry[]> {
    const used = inUse(range);
    if (used.length > 0) {
      throw new SpaceError(
        'in-use',
        `${used.slice(0, NAMED).join(', ')}${used.length > NAMED ? ', …' : ''} of ${formatRange(range)} are in use`,
      );
    }
    const blocks = clip(ledger.ownedNow(), range).filter(({ network }) => network === from);
    return Promise.all(blocks.map((block) => donor.relabel(block, to)));
  }

  return {
    room,
    inUse,
    within(range) {
      const blocks = ledger.ownedNow().filter(({ network }) => network === DEFAULT_NETWORK);
      return holds.without(clip(blocks, range));
    },
    move,
  };
}
