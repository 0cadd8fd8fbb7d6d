/** Small work on bytes that the wire formats of the core share. */

const ENCODER = new TextEncoder();
const HEX = '0123456789abcdef';
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const BASE64_DIGITS: ReadonlyMap<string, number> = new Map(
  [...BASE64].map((letter, digit) => [letter, digit]),
);

export function utf8(text: string): Uint8Array {
  return ENCODER.encode(text);
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Takes the same time wherever the first difference is, so it may be used on secrets. Lengths are not secret. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let at = 0; at < a.length; at++) difference |= (a[at] as number) ^ (b[at] as number);
  return difference === 0;
}

export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += `${HEX[byte >> 4]}${HEX[byte & 15]}`;
  return text;
}

/** Lower case only; undefined for anything else. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) return undefined;
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at++) bytes[at] = Number.parseInt(text.slice(2 * at, 2 * at + 2), 16);
  return bytes;
}

/** URL-safe alphabet without padding (RFC 4648 §5). */
export function toBase64url(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    for (bits += 8; bits >= 6; ) {
      bits -= 6;
      text += BASE64[(held >> bits) & 63];
    }
    held &= (1 << bits) - 1;
  }
  return bits > 0 ? text + BASE64[(held << (6 - bits)) & 63] : text;
}

/** The inverse, for exactly the texts that `toBase64url` makes; undefined for any other. */
export function fromBase64url(text: string): Uint8Array | undefined {
  if (text.length % 4 === 1) return undefined;
  const bytes = new Uint8Array(Math.floor((text.length * 6) / 8));
  let at = 0;
  let bits = 0;
  let held = 0;
  for (const letter of text) {
    const digit = BASE64_DIGITS.get(letter);
    if (digit === undefined) return undefined;
    held = (held << 6) | digit;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at++] = held >> bits;
    held &= (1 << bits) - 1;
  }
  return held === 0 ? bytes : undefined;
}

/**
 * One unambiguous run of bytes for hashing or signing: a label that names the purpose, then the fields, each behind its length (u32 BE).
 * Two different lists never give the same bytes, and what is signed for one purpose fits no other.
 */
export function frame(label: string, ...fields: readonly (Uint8Array | string)[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const field of [label, ...fields]) {
    const bytes = typeof field === 'string' ? utf8(field) : field;
    parts.push(u32(bytes.length), bytes);
  }
  return concat(...parts);
}

/** Big-endian; `value` is 0 … 2^32-1. */
export function u32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/** Big-endian, eight bytes; `value` is a safe integer ≥ 0. */
export function u64(value: number): Uint8Array {
  return concat(u32(Math.floor(value / 2 ** 32)), u32(value % 2 ** 32));
}

/** Reads what `u32` wrote. The caller has checked that four bytes are there. */
export function readU32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

/** Reads what `u64` wrote; undefined when it is above 2^53-1. */
export function readU64(bytes: Uint8Array, at: number): number | undefined {
  const value = readU32(bytes, at) * 2 ** 32 + readU32(bytes, at + 4);
  return Number.isSafeInteger(value) ? value : undefined;
}
