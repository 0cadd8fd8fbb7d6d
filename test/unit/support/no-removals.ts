import type { PeerId } from '../../../src/core/ids.ts';
import type { Membership } from '../../../src/mesh/membership.ts';

/** The part of a membership that is about removals, where there are none. */
export function noRemovals(heirOf: (peer: PeerId) => PeerId | undefined = () => undefined) {
  return {
    isRemoved: () => false,
    removed: () => [],
    heirOf,
    witnessOf: heirOf,
    needsHeir: () => false,
    takerOf: () => undefined,
    depthOf: (peer, by) => (heirOf(peer) === by ? 1 : undefined),
    proofOf: () => [],
    hearProof: () => {},
  } satisfies Partial<Membership>;
}
