import { frame } from '../core/bytes.ts';
import type { Crypto, Identity } from '../core/crypto.ts';
import type { PeerId } from '../core/ids.ts';
import { isSignedBy } from '../core/ring-entry.ts';
import type { Log } from '../ports/log.ts';
import type { Kept } from './heirs.ts';
import type { Liveness } from './liveness.ts';
import type { OpenMembership } from './membership.ts';
import { isFields } from './membership-state.ts';
import { type Messenger, RequestError } from './messenger.ts';
import type { Records } from './records.ts';
import { RemovalError } from './removal.ts';
import { describePeer } from './space/names.ts';

/** Before a host leaves for good: another becomes the heir of those whose heir it is. From any host; only the heir itself may. */
export interface Handover {
  /** On the disk of `from` when it resolves. Rejects with RemovalError. */
  handOver(from: PeerId, to: PeerId): Promise<HandedOver>;
}

export interface HandedOver {
  readonly from: PeerId;
  readonly to: PeerId;
  /** Whose heir `to` is now. */
  readonly handed: readonly PeerId[];
  /** Whose heir `from` still is. */
  readonly kept: readonly Kept[];
}

export interface HandoverParts {
  readonly crypto: Crypto;
  readonly identity: Identity;
  readonly membership: OpenMembership;
  readonly records: Records;
  readonly messenger: Messenger;
  readonly liveness: Pick<Liveness, 'isUp'>;
  readonly log: Log;
}

const HAND_OVER = 'handover/order';
const PATIENCE = 8_000;
/** As many peers of each kind as an answer names. */
const MAX_TOLD = 256;
const REASONS: readonly Kept['why'][] = ['itself', 'had-it', 'too-often', 'circle', 'removed'];

export function createHandover(parts: HandoverParts): Handover {
  const { crypto, identity, membership, records, messenger, liveness, log } = parts;
  const { self, mesh } = membership;
  const named = (peer: PeerId) => describePeer(records, peer);
  const orderBytes = (from: PeerId, to: PeerId, by: PeerId) =>
    frame('weft handover order 1', mesh, from, to, by);

  async function carryOut(to: PeerId, by: PeerId): Promise<HandedOver> {
    const { handed, kept } = await membership.handOver(to);
    if (handed.length > 0)
      log.info('handed its roles as an heir over', { to, peers: handed.length, from: by });
    return { from: self, to, handed, kept };
  }

  /** Signed, so that no member on the way makes it up. */
  async function order(from: PeerId, to: PeerId): Promise<HandedOver> {
    const signature = crypto.sign(identity.seed, orderBytes(from, to, self));
    try {
      const answer = await messenger.request(from, HAND_OVER, { to, signature }, { timeout: PATIENCE });
      return { from, to, ...readOutcome(answer, crypto) };
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      const why = error.reason === 'refused' ? `it says: ${error.message}` : 'it cannot be reached';
      throw new RemovalError(
        'holder-unreachable',
        `only ${named(from)} itself may hand its roles over, and ${why}`,
      );
    }
  }

  messenger.handle(HAND_OVER, async (by, body) => {
    const { to, signature } = isFields(body) ? body : {};
    if (typeof to !== 'string' || !(signature instanceof Uint8Array)) throw new Error('malformed order');
    if (!isSignedBy(crypto, by, orderBytes(self, to as PeerId, by), signature))
      throw new Error('not signed by its sender');
    const { handed, kept } = await carryOut(to as PeerId, by);
    return { handed: handed.slice(0, MAX_TOLD), kept: kept.slice(0, MAX_TOLD) };
  });

  return {
    async handOver(from, to) {
      if (membership.isRemoved(self))
        throw new RemovalError('removed', 'this host was removed from the mesh itself');
      for (const peer of [from, to]) {
        if (membership.isRemoved(peer))
          throw new RemovalError('already-removed', `${named(peer)} was removed already`);
        if (!membership.isMember(peer)) throw new RemovalError('unknown-peer', `there is no member ${peer}`);
      }
      if (from === to) throw new RemovalError('same-peer', `${named(to)} has the roles of ${named(from)}`);
      if (to !== self && !liveness.isUp(to)) throw new RemovalError('heir-down', `${named(to)} is not up`);
      return from === self ? carryOut(to, self) : order(from, to);
    },
  };
}

/** What a member answered (unchecked input). */
export function readOutcome(answer: unknown, crypto: Crypto): Pick<HandedOver, 'handed' | 'kept'> {
  const { handed, kept } = isFields(answer) ? answer : {};
  const isPeer = (item: unknown): item is PeerId =>
    typeof item === 'string' && crypto.publicKeyOf(item) !== undefined;
  const list = (items: unknown) => (Array.isArray(items) ? items.slice(0, MAX_TOLD) : []);
  return {
    handed: list(handed).filter(isPeer),
    kept: list(kept).flatMap((item) => {
      const { peer, why } = isFields(item) ? item : {};
      const reason = REASONS.find((one) => one === why);
      return isPeer(peer) && reason !== undefined ? [{ peer, why: reason }] : [];
    }),
  };
}
