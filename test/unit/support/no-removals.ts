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
    lineOf: (peer) => [heirOf(peer) ?? []].flat().map((heir) => ({ peer: heir, depth: 1 })),
    depthsOf: (peer, by) => (heirOf(peer) === by ? [1] : []),
    mayAct: (peer, by) => heirOf(peer) === by,
    proofOf: () => [],
    hearProof: () => {},
  } satisfies Partial<Membership>;
}
