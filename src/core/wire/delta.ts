import { concat, frame, readU32, u32 } from '../bytes.ts';
import type { Crypto, Identity } from '../crypto.ts';
import type { MeshId, PeerId } from '../ids.ts';

/**
 * One signed change of an author's map. The bytes that were signed are kept and forwarded as they are, so nobody depends on how
 * anybody else would encode the same change; the author is the key inside, so the change cannot be shown as somebody else's.
 *
 *   0   u8     version, 1
 *   1   32 B   author's Ed25519 public key
 *   33  u48    seq, 1 … 2^48-1
 *   39  u16    number of changes, 1 … MAX_CHANGES
 *   41  changes, keys in strictly ascending order, each:
 *         u8   length of key, 1 … MAX_KEY
 *         key, printable ASCII without space
 *         u32  length of value, 0 … MAX_VALUE, or 0xffffffff: the key is removed
 *         value
 */
export interface SignedDelta {
  readonly body: Uint8Array;
  /** Ed25519 over `frame(LABEL, mesh, body)`, 64 bytes. */
  readonly signature: Uint8Array;
}

export interface Delta extends SignedDelta {
  readonly author: PeerId;
  readonly key: Uint8Array;
  readonly seq: number;
  readonly changes: readonly Change[];
}

export interface Change {
  readonly key: string;
  /** Undefined: removed. */
  readonly value: Uint8Array | undefined;
}

declare const verified: unique symbol;
/** A delta whose signature was checked; only `verifyDelta` and `signDelta` make one. */
export type VerifiedDelta = Delta & { readonly [verified]: true };

export type DeltaProblem =
  | 'too-long'
  | 'truncated'
  | 'bad-version'
  | 'bad-author'
  | 'bad-seq'
  | 'bad-count'
  | 'bad-key'
  | 'bad-order'
  | 'bad-value'
  | 'trailing-bytes'
  | 'bad-signature';

export type DecodedDelta =
  | { readonly ok: true; readonly delta: Delta }
  | { readonly ok: false; readonly problem: DeltaProblem };

export const MAX_KEY = 128;
export const MAX_VALUE = 64 << 10;
export const MAX_CHANGES = 4_096;
/** A body; it has to fit one message of the transport together with a few others. */
export const MAX_DELTA = 256 << 10;
export const MAX_SEQ = 2 ** 48 - 1;

const VERSION = 1;
const HEADER = 41;
const REMOVED = 0xffff_ffff;
const LABEL = 'weft delta 1';
const KEY_PATTERN = /^[\x21-\x7e]{1,128}$/;

export class DeltaError extends Error {
  readonly code = 'bad-record';
  constructor(message: string) {
    super(message);
    this.name = 'DeltaError';
  }
}

/** Makes the next change of an author's map. Throws DeltaError for keys and values that no peer would take. */
export function signDelta(parts: {
  crypto: Crypto;
  identity: Identity;
  mesh: MeshId;
  seq: number;
  changes: ReadonlyMap<string, Uint8Array | undefined>;
}): VerifiedDelta {
  const { crypto, identity, mesh, seq } = parts;
  const changes = [...parts.changes]
    .map(([key, value]) => ({ key, value }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  const body = encodeBody(identity.publicKey, seq, changes);
  const signature = crypto.sign(identity.seed, frame(LABEL, mesh, body));
  const delta: Delta = { author: identity.peer, key: identity.publicKey, seq, changes, body, signature };
  return delta as VerifiedDelta;
}

function encodeBody(author: Uint8Array, seq: number, changes: readonly Change[]): Uint8Array {
  if (changes.length === 0 || changes.length > MAX_CHANGES) {
    throw new DeltaError(`a change writes 1 … ${MAX_CHANGES} records, not ${changes.length}`);
  }
  const parts = [Uint8Array.of(VERSION), author, u48(seq), u32(changes.length).subarray(2)];
  for (const { key, value } of changes) {
    if (!KEY_PATTERN.test(key)) throw new DeltaError(`not a record's key: ${JSON.stringify(key)}`);
    if (value !== undefined && value.length > MAX_VALUE) {
      throw new DeltaError(`record ${key} has ${value.length} bytes, at most ${MAX_VALUE} are allowed`);
    }
    parts.push(Uint8Array.of(key.length), ascii(key), u32(value?.length ?? REMOVED));
    if (value !== undefined) parts.push(value);
  }
  const body = concat(...parts);
  if (body.length > MAX_DELTA) {
    throw new DeltaError(
      `a change of ${body.length} bytes is over ${MAX_DELTA}: write fewer records at once`,
    );
  }
  return body;
}

/** Reads unchecked bytes; the signature is not looked at yet. Never throws. */
export function decodeDelta(crypto: Crypto, signed: SignedDelta): DecodedDelta {
  const { body: given, signature } = signed;
  if (given.length > MAX_DELTA) return failed('too-long');
  if (given.length < HEADER) return failed('truncated');
  if (given[0] !== VERSION) return failed('bad-version');
  if (signature.length !== 64) return failed('bad-signature');
  const seq = readU48(given, 33);
  if (seq === 0) return failed('bad-seq');
  const count = ((given[39] as number) << 8) | (given[40] as number);
  if (count === 0 || count > MAX_CHANGES) return failed('bad-count');
  const body = owned(given);
  const key = body.subarray(1, 33);
  const author = crypto.peerId(key);
  const changes = decodeChanges(body, count);
  if (typeof changes === 'string') return failed(changes);
  return { ok: true, delta: { author, key, seq, changes, body, signature: owned(signature) } };
}

function decodeChanges(body: Uint8Array, count: number): readonly Change[] | DeltaProblem {
  const changes: Change[] = [];
  let at = HEADER;
  let previous = '';
  while (changes.length < count) {
    const keyLength = body[at++];
    if (keyLength === undefined || at + keyLength + 4 > body.length) return 'truncated';
    const key = String.fromCharCode(...body.subarray(at, at + keyLength));
    if (!KEY_PATTERN.test(key)) return 'bad-key';
    if (key <= previous) return 'bad-order';
    previous = key;
    at += keyLength;
    const length = readU32(body, at);
    at += 4;
    if (length === REMOVED) {
      changes.push({ key, value: undefined });
      continue;
    }
    if (length > MAX_VALUE) return 'bad-value';
    if (at + length > body.length) return 'truncated';
    changes.push({ key, value: body.subarray(at, at + length) });
    at += length;
  }
  return at === body.length ? changes : 'trailing-bytes';
}

/** Undefined when the author did not sign these bytes for this mesh. */
export function verifyDelta(crypto: Crypto, mesh: MeshId, delta: Delta): VerifiedDelta | undefined {
  const genuine = crypto.verify(delta.key, frame(LABEL, mesh, delta.body), delta.signature);
  return genuine ? (delta as VerifiedDelta) : undefined;
}

/**
 * For deltas read back from this host's own state, which is checksummed and readable by root only: a restart with the records of a
 * thousand peers would spend seconds on checking signatures that were checked when they arrived.
 */
export function trustDelta(delta: Delta): VerifiedDelta {
  return delta as VerifiedDelta;
}

/** Six bytes, big-endian; `value` is 0 … 2^48-1. */
export function u48(value: number): Uint8Array {
  const high = Math.floor(value / 2 ** 32);
  return concat(Uint8Array.of(high >>> 8, high), u32(value % 2 ** 32));
}

/** Six bytes, big-endian, in place. */
export function writeU48(bytes: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / 2 ** 32);
  const low = value % 2 ** 32;
  bytes[at] = high >>> 8;
  bytes[at + 1] = high;
  bytes[at + 2] = low >>> 24;
  bytes[at + 3] = low >>> 16;
  bytes[at + 4] = low >>> 8;
  bytes[at + 5] = low;
}

/** The caller has checked that six bytes are there. */
export function readU48(bytes: Uint8Array, at: number): number {
  return (((bytes[at] as number) << 8) | (bytes[at + 1] as number)) * 2 ** 32 + readU32(bytes, at + 2);
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

/** As a view it would keep the whole message alive that brought it. */
function owned(bytes: Uint8Array): Uint8Array {
  return bytes.length === bytes.buffer.byteLength ? bytes : bytes.slice();
}

function failed(problem: DeltaProblem): DecodedDelta {
  return { ok: false, problem };
}
