import type { PeerId } from './ids.ts';

/**
 * Text form of an Ed25519 public key as libp2p writes it: base58btc of an identity multihash that holds the protobuf
 * `{ type: Ed25519, data: key }` (https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md).
 *
 *   00 24      identity multihash, 36 bytes
 *   08 01      KeyType Ed25519
 *   12 20      32 bytes of key
 */
const PREFIX = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20);
const KEY_LENGTH = 32;
/** Every such id has this many characters, because the prefix fixes the leading digits. */
const TEXT_LENGTH = 52;
const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
const DIGITS: ReadonlyMap<string, number> = new Map([...ALPHABET].map((letter, digit) => [letter, digit]));

/** `publicKey` has 32 bytes; throws RangeError otherwise. */
export function peerIdOfKey(publicKey: Uint8Array): PeerId {
  if (publicKey.length !== KEY_LENGTH) {
    throw new RangeError(`an Ed25519 public key has ${KEY_LENGTH} bytes, not ${publicKey.length}`);
  }
  // The one leading zero byte of the prefix is the one leading '1'; the rest is a plain change of base.
  const digits: number[] = [];
  for (const byte of [...PREFIX.subarray(1), ...publicKey]) {
    let carry = byte;
    for (let at = 0; at < digits.length; at++) {
      carry += (digits[at] as number) << 8;
      digits[at] = carry % 58;
      carry = Math.floor(carry / 58);
    }
    for (; carry > 0; carry = Math.floor(carry / 58)) digits.push(carry % 58);
  }
  let text = '1';
  for (let at = digits.length - 1; at >= 0; at--) text += ALPHABET[digits[at] as number];
  return text as PeerId;
}

/** The 32-byte key inside an id; undefined for any other text. Each key has exactly one text that is accepted. */
export function keyOfPeerId(text: string): Uint8Array | undefined {
  if (typeof text !== 'string' || text.length !== TEXT_LENGTH || text[0] !== '1') return undefined;
  const length = PREFIX.length + KEY_LENGTH;
  const bytes = new Uint8Array(length);
  for (let at = 1; at < text.length; at++) {
    let carry = DIGITS.get(text[at] as string);
    if (carry === undefined) return undefined;
    for (let place = length - 1; place >= 0; place--) {
      carry += (bytes[place] as number) * 58;
      bytes[place] = carry & 0xff;
      carry >>= 8;
    }
    if (carry > 0) return undefined;
  }
  if (PREFIX.some((byte, at) => bytes[at] !== byte)) return undefined;
  return bytes.slice(PREFIX.length);
}
