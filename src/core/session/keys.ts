import { concat, frame, u64 } from '../bytes.ts';
import type { Crypto } from '../crypto.ts';
import type { MeshId, PeerId } from '../ids.ts';
import type { Answer, Offer, Suite } from './wire.ts';

/** What the data path needs to know of one key: see SessionKey in ports/datapath.ts. */
export interface DataKey {
  readonly receiveIndex: number;
  readonly sendIndex: number;
  readonly receiveKey: Uint8Array;
  readonly sendKey: Uint8Array;
  readonly suite: Suite;
  readonly send: boolean;
}

/** The result of one exchange, as one side has it. */
export interface PairKey extends Omit<DataKey, 'send'> {
  readonly epoch: number;
  /** The life of the peer that it was agreed with. */
  readonly peerBoot: string;
}

export interface Exchange {
  readonly mesh: MeshId;
  /** Who made the offer, and who answered. */
  readonly offerer: PeerId;
  readonly answerer: PeerId;
  readonly offer: Offer;
  readonly offerBytes: Uint8Array;
  readonly answer: Answer;
  readonly answerBytes: Uint8Array;
}

/**
 * Two 32-byte keys from one X25519 secret (HKDF-SHA256, RFC 5869). The salt is the hash of all that was said, signatures included, and
 * the info names both peers, both ephemeral keys, the epoch and the suite: sides that differ in any of it have different keys.
 */
export function deriveKeys(
  shared: Uint8Array,
  exchange: Exchange,
  crypto: Crypto,
): { readonly fromOfferer: Uint8Array; readonly fromAnswerer: Uint8Array } {
  const { mesh, offerer, answerer, offer, offerBytes, answer, answerBytes } = exchange;
  const salt = crypto.hash(concat(offerBytes, answerBytes));
  const shares = concat(offer.ephemeral, answer.ephemeral);
  const info = frame('weft session keys 1', mesh, offerer, answerer, shares, u64(offer.epoch), answer.suite);
  const both = crypto.derive(shared, salt, info, 64);
  return { fromOfferer: both.slice(0, 32), fromAnswerer: both.slice(32) };
}
