import type { Crypto } from '../../core/crypto.ts';
import type { PeerId } from '../../core/ids.ts';
import type { RingSource } from '../../core/ring.ts';
import { isDonorsWord, isTakeover, type RingEntry, writerOf } from '../../core/ring-entry.ts';
import { NEEDS_PROMISES, stands } from '../../core/takeover.ts';
import type { Membership } from '../membership.ts';
import type { Closings } from './closings.ts';

/** What this peer believes of ring entries, by what it knows of removals (core/takeover.ts). */
export interface Belief {
  /** Whether the author may publish the entry: its writer, or, when that one is not there to do it, those whom it concerns. */
  isWriter(entry: RingEntry, author: PeerId): boolean;
  /** The owner's places at which it may take over, as far as is known: far down the line, those at which it has closed the account. */
  placesOf(takeover: RingEntry): readonly number[];
  /** With the places at which a takeover counts; undefined for what is void. */
  weigh(source: RingSource): RingSource | undefined;
}

export function createBelief(parts: {
  readonly membership: Pick<Membership, 'mesh' | 'isRemoved' | 'depthsOf'>;
  readonly crypto: Crypto;
  readonly closings: Closings;
}): Belief {
  const { membership, crypto, closings } = parts;

  function placesOf({ donor, owner }: RingEntry): readonly number[] {
    if (!membership.isRemoved(donor)) return [];
    const isClosed = (depth: number) => closings.closingBy(donor, owner, depth) !== undefined;
    return membership.depthsOf(donor, owner).filter((depth) => depth < NEEDS_PROMISES || isClosed(depth));
  }

  /** Whether the entry counts, its owner having taken over at that place. */
  function judgeOf(entry: RingEntry): (depth: number | undefined) => boolean {
    const { donor } = entry;
    // A promise binds also while, after a restart, the removal itself is not known again.
    const own = closings.ownPromise(donor);
    if (own === undefined && !membership.isRemoved(donor)) return () => true;
    const closing = closings.closingOf(donor);
    if (closing === undefined && own === undefined) return () => true;
    const tag = closings.tagOf(entry);
    return (depth) => stands(entry, tag, closing, own, depth);
  }

  return {
    isWriter(entry, author) {
      if (writerOf(entry) === author) return true;
      const concerned = entry.owner === author || entry.witness === author;
      return concerned && isDonorsWord(crypto, membership.mesh, entry);
    },
    placesOf,
    weigh(source) {
      const { entry, trusted } = source;
      const counts = judgeOf(entry);
      if (isTakeover(entry) && !trusted) {
        const depths = placesOf(entry).filter(counts);
        return depths.length === 0 ? undefined : { ...source, depths };
      }
      const places = isTakeover(entry) ? membership.depthsOf(entry.donor, entry.owner) : [];
      return counts(undefined) || places.some(counts) ? source : undefined;
    },
  };
}
