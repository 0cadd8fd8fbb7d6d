import { concat, equalBytes, fromBase64url, toBase64url, utf8 } from './bytes.ts';
import type { Crypto } from './crypto.ts';

/** The private key of a mesh as text for a person to keep: `wfr1_`, then base64url of the seed and four bytes of its hash. */
const PREFIX = 'wfr1_';

export function encodeRootKey(seed: Uint8Array, crypto: Crypto): string {
  return PREFIX + toBase64url(concat(seed, sum(seed, crypto)));
}

/** Undefined for what is no such text, or one with a slip in it. */
export function decodeRootKey(text: string, crypto: Crypto): Uint8Array | undefined {
  const bytes = text.startsWith(PREFIX) ? fromBase64url(text.slice(PREFIX.length)) : undefined;
  if (bytes?.length !== 36) return undefined;
  const seed = bytes.slice(0, 32);
  return equalBytes(bytes.slice(32), sum(seed, crypto)) ? seed : undefined;
}

function sum(seed: Uint8Array, crypto: Crypto): Uint8Array {
  return crypto.hash(concat(utf8('weft root key'), seed)).slice(0, 4);
}
