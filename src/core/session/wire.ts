import { concat, equalBytes, frame, fromHex, readU32, readU64, toHex, u32, u64 } from '../bytes.ts';
import type { Crypto, Identity } from '../crypto.ts';
import type { MeshId, PeerId } from '../ids.ts';

/**
 * What two peers say to agree on data path keys. It may pass through other members, so each message is signed by its sender, over
 * itself and the names of mesh, sender and receiver.
 *
 *    0   1  version, 1
 *    1   1  kind: 1 offer, 2 answer, 3 ask, 4 correction
 *    2   8  boot: the sender's present life
 *   10   8  boot of the receiver, as far as the sender knows; zeros: unknown
 *   18   8  epoch: counts the offers of one life; in an ask that of the sender's newest key, in a correction that of the offer
 *   26      end of an ask and of a correction
 *   26   4  index that packets to the sender shall carry, not 0
 *   30  32  ephemeral X25519 public key
 *   62   1  suites that the sender has, as bits
 *   63   1  answer: the suite, one bit; offer: 0
 *   64      end of an offer
 *   64  32  answer: SHA-256 of the whole offer
 *   96      end of an answer
 *    …  64  Ed25519 signature
 */
export type Suite = 'aes-256-gcm' | 'chacha20-poly1305';

interface Common {
  /** 16 hex characters. */
  readonly boot: string;
  /** Undefined when the sender does not know it. */
  readonly toBoot: string | undefined;
  readonly epoch: number;
}

interface KeyShare extends Common {
  readonly index: number;
  readonly ephemeral: Uint8Array;
  /** Best first. */
  readonly suites: readonly Suite[];
}

export interface Offer extends KeyShare {
  readonly kind: 'offer';
}

export interface Answer extends KeyShare {
  readonly kind: 'answer';
  readonly suite: Suite;
  readonly offerHash: Uint8Array;
}

/** Asks the one who makes offers to make one. */
export interface Ask extends Common {
  readonly kind: 'ask';
}

/** Answers an offer that was meant for another life. It names the offer, so it is no old one: this life is the present one. */
export interface Correction extends Common {
  readonly kind: 'correction';
}

export type SessionMessage = Offer | Answer | Ask | Correction;

/** Best first: the order of choice. AES is fast only where the processor has instructions for it; who has none does not offer it. */
export const SUITES: readonly Suite[] = ['aes-256-gcm', 'chacha20-poly1305'];
const SUITE_BITS: Readonly<Record<Suite, number>> = { 'aes-256-gcm': 1, 'chacha20-poly1305': 2 };

const VERSION = 1;
const KINDS = ['offer', 'answer', 'ask', 'correction'] as const;
const BODY_LENGTH = { offer: 64, answer: 96, ask: 26, correction: 26 } as const;
const SIGNATURE = 64;
const NO_BOOT = new Uint8Array(8);

/** Who a message is between; part of what is signed. */
export interface Parties {
  readonly mesh: MeshId;
  readonly from: PeerId;
  readonly to: PeerId;
}

export function signMessage(
  message: SessionMessage,
  parties: Parties,
  self: Identity,
  crypto: Crypto,
): Uint8Array {
  const body = encodeBody(message);
  return concat(body, crypto.sign(self.seed, signedBytes(body, parties)));
}

/** Undefined for anything that is not exactly one message. Says nothing about the signature. */
export function readMessage(bytes: Uint8Array): SessionMessage | undefined {
  const kind = KINDS[(bytes[1] ?? 0) - 1];
  if (kind === undefined || bytes[0] !== VERSION || bytes.length !== BODY_LENGTH[kind] + SIGNATURE)
    return undefined;
  const boot = bytes.subarray(2, 10);
  const toBoot = bytes.subarray(10, 18);
  const epoch = readU64(bytes, 18);
  if (epoch === undefined || equalBytes(boot, NO_BOOT)) return undefined;
  const common = {
    boot: toHex(boot),
    toBoot: equalBytes(toBoot, NO_BOOT) ? undefined : toHex(toBoot),
    epoch,
  };
  if (kind === 'ask' || kind === 'correction') return { kind, ...common };
  const index = readU32(bytes, 26);
  const suites = SUITES.filter((suite) => ((bytes[62] as number) & SUITE_BITS[suite]) !== 0);
  if (index === 0 || epoch === 0 || suites.length === 0) return undefined;
  const share = { ...common, index, ephemeral: bytes.slice(30, 62), suites };
  if (kind === 'offer') return bytes[63] === 0 ? { kind, ...share } : undefined;
  const suite = SUITES.find((one) => bytes[63] === SUITE_BITS[one]);
  return suite && { kind, ...share, suite, offerHash: bytes.slice(64, 96) };
}

/** `bytes` is a message that `readMessage` has read. */
export function isSigned(bytes: Uint8Array, parties: Parties, crypto: Crypto): boolean {
  const key = crypto.publicKeyOf(parties.from);
  const body = bytes.subarray(0, -SIGNATURE);
  return key !== undefined && crypto.verify(key, signedBytes(body, parties), bytes.subarray(-SIGNATURE));
}

/** The best suite that both have; undefined when there is none. */
export function chooseSuite(ours: readonly Suite[], theirs: readonly Suite[]): Suite | undefined {
  return SUITES.find((suite) => ours.includes(suite) && theirs.includes(suite));
}

function signedBytes(body: Uint8Array, { mesh, from, to }: Parties): Uint8Array {
  return frame('weft session message 1', mesh, from, to, body);
}

function encodeBody(message: SessionMessage): Uint8Array {
  const { kind, boot, toBoot, epoch } = message;
  const head = [
    Uint8Array.of(VERSION, KINDS.indexOf(kind) + 1),
    bootBytes(boot),
    toBoot === undefined ? NO_BOOT : bootBytes(toBoot),
    u64(epoch),
  ];
  if (kind === 'ask' || kind === 'correction') return concat(...head);
  const bits = message.suites.reduce((sum, suite) => sum | SUITE_BITS[suite], 0);
  const chosen = kind === 'answer' ? SUITE_BITS[message.suite] : 0;
  const share = [u32(message.index), message.ephemeral, Uint8Array.of(bits, chosen)];
  return concat(...head, ...share, ...(kind === 'answer' ? [message.offerHash] : []));
}

function bootBytes(boot: string): Uint8Array {
  const bytes = fromHex(boot);
  if (bytes?.length !== 8) throw new RangeError('a boot id has 16 hex characters');
  return bytes;
}
