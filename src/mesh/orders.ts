import type { Crypto, Identity } from '../core/crypto.ts';
import type { PeerId } from '../core/ids.ts';
import { isSignedBy } from '../core/ring-entry.ts';
import { isFields } from './membership-state.ts';
import { type Messenger, RequestError } from './messenger.ts';

/** What a member has another one do to a peer, because only that one may. Signed, so that no member on the way makes it up. */
export interface OrderKind {
  /** Of the messenger's requests. */
  readonly kind: string;
  /** The field of the request that names the peer. */
  readonly field: string;
  /** What `by`, who gives the order to `to`, signs. */
  bytes(peer: PeerId, to: PeerId, by: PeerId): Uint8Array;
  /** Called with orders that `by` has signed. What it throws is told to `by`. */
  obey(peer: PeerId, by: PeerId): Promise<unknown>;
}

export interface OrderParts {
  readonly crypto: Crypto;
  readonly identity: Identity;
  readonly messenger: Messenger;
}

const PATIENCE = 8_000;

/**
 * Obeys such orders from now on. Returns how to give one: resolves to what `to` answers (unchecked input), or to `why` it did not, as the end of
 * a sentence.
 */
export function createOrders(
  { crypto, identity, messenger }: OrderParts,
  { kind, field, bytes, obey }: OrderKind,
): (to: PeerId, peer: PeerId) => Promise<{ readonly answer: unknown } | { readonly why: string }> {
  const self = identity.peer;

  messenger.handle(kind, async (by, body) => {
    const { [field]: peer, signature } = isFields(body) ? body : {};
    if (typeof peer !== 'string' || !(signature instanceof Uint8Array)) throw new Error('malformed order');
    if (!isSignedBy(crypto, by, bytes(peer as PeerId, self, by), signature))
      throw new Error('not signed by its sender');
    return obey(peer as PeerId, by);
  });

  return async (to, peer) => {
    const signature = crypto.sign(identity.seed, bytes(peer, to, self));
    try {
      const answer = await messenger.request(to, kind, { [field]: peer, signature }, { timeout: PATIENCE });
      return { answer };
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      return { why: error.reason === 'refused' ? `it says: ${error.message}` : 'it cannot be reached' };
    }
  };
}
