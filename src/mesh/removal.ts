import { frame } from '../core/bytes.ts';
import type { Crypto, Identity } from '../core/crypto.ts';
import type { PeerId } from '../core/ids.ts';
import type { Log } from '../ports/log.ts';
import type { Liveness } from './liveness.ts';
import type { OpenMembership } from './membership.ts';
import { isFields, MembershipError } from './membership-state.ts';
import type { Messenger } from './messenger.ts';
import { createOrders } from './orders.ts';
import type { Records } from './records.ts';
import { describePeer } from './space/names.ts';
import type { Space } from './space.ts';

/** Removing peers, from any host: only the peer's successor may, so it is asked to. */
export interface Removal {
  /** On the successor's disk when it resolves. Rejects with RemovalError. */
  remove(peer: PeerId): Promise<Removed>;
  /**
   * Removes a peer with the mesh's root key (private seed) and makes this one its successor: where those who should have succeeded it
   * are lost as well. `force`: takes its addresses over without the promises of members that are silent.
   */
  recover(peer: PeerId, root: Uint8Array, force: boolean): Promise<Removed>;
}

export interface Removed {
  readonly peer: PeerId;
  /** Who takes its addresses over. */
  readonly by: PeerId;
  /** Whose promises that waits for. */
  readonly waiting: readonly PeerId[];
}

export type RemovalErrorCode =
  | 'unknown-peer'
  | 'already-removed'
  | 'own-peer'
  /** Nobody is left who may, but the holder of the root key. */
  | 'needs-root-key'
  | 'heir-unreachable'
  | 'heir-reachable'
  | 'wrong-root'
  /** For handover.ts: who hands over cannot be reached, who is to be the heir is not up, and both are one. */
  | 'holder-unreachable'
  | 'heir-down'
  | 'same-peer'
  | 'removed';

export class RemovalError extends Error {
  readonly code: RemovalErrorCode;
  constructor(code: RemovalErrorCode, message: string) {
    super(message);
    this.name = 'RemovalError';
    this.code = code;
  }
}

export interface RemovalParts {
  readonly crypto: Crypto;
  readonly identity: Identity;
  readonly membership: OpenMembership;
  readonly records: Records;
  readonly messenger: Messenger;
  readonly liveness: Pick<Liveness, 'isUp'>;
  readonly space: Pick<Space, 'inheritance'>;
  readonly log: Log;
}

/** As many peers as an answer names. */
const MAX_TOLD = 256;

export function createRemoval(parts: RemovalParts): Removal {
  const { membership, records, liveness, space, log } = parts;
  const { self, mesh } = membership;
  const named = (peer: PeerId) => describePeer(records, peer);
  const giveOrder = createOrders(parts, {
    kind: 'removal/remove',
    field: 'peer',
    bytes: (peer, _heir, by) => frame('weft removal order 1', mesh, peer, by),
    obey,
  });

  function check(peer: PeerId): void {
    if (membership.isRemoved(self) || !membership.outsiders().includes(peer)) checkMember(parts, peer);
    if (peer === self) throw new RemovalError('own-peer', 'this is the host itself: run it on another one');
  }

  const outcome = (peer: PeerId, by: PeerId): Removed => {
    const waits = space.inheritance.waiting().find((one) => one.peer === peer);
    // Its own comes by itself.
    return { peer, by, waiting: (waits?.missing ?? []).filter((one) => one !== by) };
  };

  async function remove(peer: PeerId): Promise<Removed> {
    check(peer);
    const heir = membership.witnessOf(peer);
    if (heir === undefined) {
      const why = `whoever could remove ${named(peer)} was removed before it`;
      throw new RemovalError('needs-root-key', why);
    }
    if (heir !== self) return order(peer, heir);
    await membership.bury(peer);
    log.info('removed a peer', { peer });
    return outcome(peer, self);
  }

  async function order(peer: PeerId, heir: PeerId): Promise<Removed> {
    const given = await giveOrder(heir, peer);
    if ('why' in given) {
      const text = `only ${named(heir)} may remove ${named(peer)}, and ${given.why}`;
      throw new RemovalError('heir-unreachable', text);
    }
    const { answer } = given;
    const waiting = isFields(answer) && Array.isArray(answer.waiting) ? answer.waiting : [];
    return { peer, by: heir, waiting: waiting.filter((item) => typeof item === 'string') as PeerId[] };
  }

  async function obey(peer: PeerId, from: PeerId) {
    if (peer === from) throw new Error('nobody removes itself');
    // Asked again because the answer was lost: it is done.
    if (!membership.isRemoved(peer)) {
      await membership.bury(peer);
      log.info('removed a peer', { peer, from });
    }
    return { waiting: outcome(peer, self).waiting.slice(0, MAX_TOLD) };
  }

  async function recover(peer: PeerId, root: Uint8Array, force: boolean): Promise<Removed> {
    if (!membership.isRemoved(peer)) check(peer);
    const taker = membership.witnessOf(peer);
    if (!force && taker !== undefined && taker !== self && liveness.isUp(taker)) {
      const why = `${named(taker)} is there to take over from ${named(peer)}, so the root key is not needed`;
      throw new RemovalError('heir-reachable', why);
    }
    try {
      if (membership.takerOf(peer)?.peer !== self) await membership.bury(peer, root);
    } catch (error) {
      if (error instanceof MembershipError && error.code === 'wrong-root') {
        throw new RemovalError('wrong-root', error.message);
      }
      throw error;
    }
    log.warn('recovered from the loss of a peer with the root key', { peer, force });
    if (force) await space.inheritance.force(peer);
    return outcome(peer, self);
  }

  return { remove, recover };
}

/** Whether this host is a member and may have something done to the peer, which is one, too. Throws RemovalError. */
export function checkMember(
  { membership, records }: Pick<RemovalParts, 'membership' | 'records'>,
  peer: PeerId,
): void {
  if (membership.isRemoved(membership.self))
    throw new RemovalError('removed', 'this host was removed from the mesh itself');
  if (membership.isMember(peer)) return;
  if (membership.isRemoved(peer))
    throw new RemovalError('already-removed', `${describePeer(records, peer)} was removed already`);
  throw new RemovalError('unknown-peer', `there is no member ${peer}`);
}
