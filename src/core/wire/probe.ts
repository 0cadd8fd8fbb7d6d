import { concat, equalBytes, frame, readU32, u32 } from '../bytes.ts';
import type { Crypto } from '../crypto.ts';
import type { PeerId } from '../ids.ts';

/**
 * A probe of a path, and its answer of the same size:
 *
 *   0      1        2      3    4          8               16              32
 *   | 0x57 | 0x50   | kind | 0  | number   | life          | tag           | zero, up to the size
 *
 * `life` is random for each life of the asking daemon. The tag is made with a key that every member has and nobody else, over
 * both peers' names, so that a stranger can neither answer nor ask.
 */
export interface Probe {
  readonly kind: 'ask' | 'answer';
  /** 0 … 2^32-1, of the one who asks. */
  readonly number: number;
  /** 8 bytes, of the one who asks. */
  readonly life: Uint8Array;
}

export interface ProbeEnds {
  readonly from: PeerId;
  readonly to: PeerId;
}

const MAGIC = [0x57, 0x50] as const;
const KINDS = { ask: 1, answer: 2 } as const;
const HEADER = 32;

export function probeKey(crypto: Crypto, epochSecret: Uint8Array): Uint8Array {
  return crypto.derive(epochSecret, new Uint8Array(), frame('weft path probe'), 32);
}

/** `size`: bytes of the result, at least 32. */
export function encodeProbe(
  crypto: Crypto,
  key: Uint8Array,
  ends: ProbeEnds,
  probe: Probe,
  size: number,
): Uint8Array {
  const bytes = new Uint8Array(Math.max(size, HEADER));
  bytes.set(concat(Uint8Array.of(...MAGIC, KINDS[probe.kind], 0), u32(probe.number), probe.life));
  bytes.set(tagOf(crypto, key, ends, bytes), 16);
  return bytes;
}

/** Undefined for anything else. `keys`: any of them may have made it. */
export function decodeProbe(
  crypto: Crypto,
  keys: readonly Uint8Array[],
  ends: ProbeEnds,
  bytes: Uint8Array,
): Probe | undefined {
  if (bytes.length < HEADER || bytes[0] !== MAGIC[0] || bytes[1] !== MAGIC[1] || bytes[3] !== 0)
    return undefined;
  const kind = bytes[2] === KINDS.ask ? 'ask' : bytes[2] === KINDS.answer ? 'answer' : undefined;
  if (kind === undefined) return undefined;
  const tag = bytes.subarray(16, HEADER);
  if (!keys.some((key) => equalBytes(tagOf(crypto, key, ends, bytes), tag))) return undefined;
  return { kind, number: readU32(bytes, 4), life: bytes.slice(8, 16) };
}

function tagOf(crypto: Crypto, key: Uint8Array, { from, to }: ProbeEnds, bytes: Uint8Array): Uint8Array {
  const head = bytes.subarray(0, 16);
  return crypto.derive(key, head, frame('weft path probe tag', from, to, u32(bytes.length)), 16);
}
