import { frame } from '../core/bytes.ts';
import type { Crypto } from '../core/crypto.ts';
import type { PeerId } from '../core/ids.ts';
import { KEPT_REASONS, type Kept } from './heirs.ts';
import { isFields } from './membership-state.ts';
import { createOrders } from './orders.ts';
import { checkMember, RemovalError, type RemovalParts } from './removal.ts';
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

export type HandoverParts = Omit<RemovalParts, 'space'>;

/** As many peers of each kind as an answer names. */
const MAX_TOLD = 256;

export function createHandover(parts: HandoverParts): Handover {
  const { crypto, membership, records, liveness, log } = parts;
  const { self, mesh } = membership;
  const named = (peer: PeerId) => describePeer(records, peer);
  const giveOrder = createOrders(parts, {
    kind: 'handover/order',
    field: 'to',
    bytes: (to, from, by) => frame('weft handover order 1', mesh, from, to, by),
    async obey(to, by) {
      const { handed, kept } = await carryOut(to, by);
      return { handed: handed.slice(0, MAX_TOLD), kept: kept.slice(0, MAX_TOLD) };
    },
  });

  async function carryOut(to: PeerId, by: PeerId): Promise<HandedOver> {
    const { handed, kept } = await membership.handOver(to);
    if (handed.length > 0)
      log.info('handed its roles as an heir over', { to, peers: handed.length, from: by });
    return { from: self, to, handed, kept };
  }

  async function order(from: PeerId, to: PeerId): Promise<HandedOver> {
    const given = await giveOrder(from, to);
    if ('answer' in given) return { from, to, ...readOutcome(given.answer, crypto) };
    const text = `only ${named(from)} itself may hand its roles over, and ${given.why}`;
    throw new RemovalError('holder-unreachable', text);
  }

  return {
    async handOver(from, to) {
      for (const peer of [from, to]) checkMember(parts, peer);
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
      const reason = KEPT_REASONS.find((one) => one === why);
      return isPeer(peer) && reason !== undefined ? [{ peer, why: reason }] : [];
    }),
  };
}
