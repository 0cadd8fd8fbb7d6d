import { DEFAULT_NETWORK, type NetworkId, type PeerId } from '../../core/ids.ts';
import { isNetworkId } from '../../core/ring-entry.ts';
import type { Log } from '../../ports/log.ts';
import type { Membership } from '../membership.ts';
import { type Messenger, RequestError } from '../messenger.ts';
import { KEY, type Records } from '../records.ts';
import { describePeer } from '../space/names.ts';
import type { Space } from '../space.ts';
import type { NetworkBook } from './book.ts';
import { NetworkError } from './errors.ts';

interface RemoverParts {
  readonly self: PeerId;
  readonly book: NetworkBook;
  readonly space: Space;
  readonly records: Records;
  readonly membership: Membership;
  readonly messenger: Messenger;
  readonly log: Log;
}

/** Asks an owner of addresses of the network whether any is in use; when none is, it hands none out for a while. */
const CLOSE = 'network/close';
const ASK_TIMEOUT = 2_000;
/** Longer than the asking takes. */
const SUSPENDED_FOR = 10_000;

/**
 * Removes a network that nobody uses. Only owners of addresses of it can have some in use, so only they are asked; who cannot be reached
 * is judged by what it told last, and brings the network back should it use it after all (upkeep.ts).
 */
export function createRemover(parts: RemoverParts): (id: NetworkId) => Promise<void> {
  const { self, book, space, records, membership, messenger, log } = parts;

  const usedHere = (id: NetworkId) =>
    space.allocations().flatMap(({ network, address }) => (network === id ? [address] : []));

  function ownersOf(id: NetworkId): readonly PeerId[] {
    const owners = space
      .ring()
      .flatMap(({ owner, network }) => (network === id && owner !== undefined ? [owner] : []));
    return [...new Set(owners)].filter((owner) => owner !== self && membership.isMember(owner));
  }

  function tellsOfUse(peer: PeerId, id: NetworkId): boolean {
    const uses = records.get(peer, KEY.uses);
    return Array.isArray(uses) && uses.includes(id);
  }

  async function isUsedAt(owner: PeerId, id: NetworkId): Promise<boolean> {
    try {
      const answer = await messenger.request(owner, CLOSE, { network: id }, { timeout: ASK_TIMEOUT });
      return (answer as { readonly used?: unknown } | null)?.used === true;
    } catch (error) {
      if (error instanceof RequestError) return tellsOfUse(owner, id);
      throw error;
    }
  }

  messenger.handle(CLOSE, (from, body) => {
    const { network } = (body ?? {}) as { readonly network?: unknown };
    if (!membership.isMember(from) || !isNetworkId(network)) throw new Error('malformed');
    if (usedHere(network).length > 0) return { used: true };
    if (network !== DEFAULT_NETWORK) book.suspend(network, SUSPENDED_FOR);
    return { used: false };
  });

  return async (id) => {
    if (id === DEFAULT_NETWORK)
      throw new NetworkError('network-permanent', 'the network weft is always there');
    const object = book.objects.get(id);
    const name = object?.name ?? id;
    if (object === undefined) throw new NetworkError('unknown-network', `there is no network ${id}`);
    const here = usedHere(id);
    if (here.length > 0) {
      throw new NetworkError(
        'network-in-use',
        `the network ${name} has endpoints on this host: ${here.slice(0, 8).join(', ')}`,
      );
    }
    book.suspend(id, SUSPENDED_FOR);
    try {
      const owners = ownersOf(id);
      const used = await Promise.all(owners.map((owner) => isUsedAt(owner, id)));
      const where = owners.filter((_, index) => used[index]).map((owner) => describePeer(records, owner));
      if (where.length > 0) {
        throw new NetworkError(
          'network-in-use',
          `the network ${name} has endpoints on ${where.slice(0, 8).join(', ')}`,
        );
      }
      await book.objects.remove(id);
      log.info('network removed', { network: id, name });
    } finally {
      book.suspend(id, 0);
    }
  };
}
