import type { Crypto } from '../../core/crypto.ts';
import type { PeerId } from '../../core/ids.ts';
import type { RingSource } from '../../core/ring.ts';
import { isDonorsWord, type RingEntry, writerOf } from '../../core/ring-entry.ts';
import { NEEDS_PROMISES, stands } from '../../core/takeover.ts';
import type { Membership } from '../membership.ts';
import type { Closings } from './closings.ts';

/** What this peer believes of ring entries, by what it knows of removals (core/takeover.ts). */
export interface Belief {
  /** Whether the author may publish the entry: its writer, or, when that one is not there to do it, those whom it concerns. */
  isWriter(entry: RingEntry, author: PeerId): boolean;
  standsIn(donor: PeerId, witness: PeerId): boolean;
  /** Undefined while it is not known that the owner may take over; far down the line it may once it has closed the account. */
  takeover(entry: RingEntry): RingSource | undefined;
  /** False for what is void. */
  counts(source: RingSource): boolean;
}

export function createBelief(parts: {
  readonly membership: Pick<Membership, 'mesh' | 'isRemoved' | 'depthOf'>;
  readonly crypto: Crypto;
  readonly closings: Closings;
}): Belief {
  const { membership, crypto, closings } = parts;
  return {
    isWriter(entry, author) {
      if (writerOf(entry) === author) return true;
      const concerned = entry.owner === author || entry.witness === author;
      return concerned && isDonorsWord(crypto, membership.mesh, entry);
    },
    standsIn: (donor, witness) => membership.depthOf(donor, witness) !== undefined,
    takeover(entry) {
      const { donor, owner } = entry;
      const depth = membership.isRemoved(donor) ? membership.depthOf(donor, owner) : undefined;
      if (depth === undefined) return undefined;
      if (depth >= NEEDS_PROMISES && closings.closingBy(donor, owner) === undefined) return undefined;
      return { entry, trusted: false, depth };
    },
    counts({ entry, depth }) {
      const { donor, owner } = entry;
      // A promise binds also while, after a restart, the removal itself is not known again.
      const own = closings.ownPromise(donor);
      if (own === undefined && !membership.isRemoved(donor)) return true;
      const closing = closings.closingOf(donor);
      if (closing === undefined && own === undefined) return true;
      return stands(entry, closings.tagOf(entry), closing, own, depth ?? membership.depthOf(donor, owner));
    },
  };
}
