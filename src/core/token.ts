import {
  concat,
  equalBytes,
  frame,
  fromBase64url,
  fromHex,
  readU32,
  readU64,
  toBase64url,
  toHex,
  u32,
  u64,
  utf8,
} from './bytes.ts';
import type { Crypto } from './crypto.ts';
import type { MeshId } from './ids.ts';

/**
 * The one line that a new host is given: `wf1_` and, as base64url,
 *
 *      0   2  length of all that follows up to and with the checksum
 *      2  32  SHA-256 of the mesh's root public key: the mesh's id
 *     34  16  id of the token
 *     50  32  secret of the token
 *     82   8  when it expires, milliseconds since 1970 by the issuer's wall clock
 *     90   4  how many peers may join with it
 *     94   1  number of addresses, then for each: 1 byte of length, ASCII `host:port`
 *      …   4  first bytes of the SHA-256 of everything before
 *
 * Expiry and uses are there to be shown; whether the token still opens the door is its issuer's judgement alone.
 * Whoever holds the text can join: it is never logged.
 */
export interface Token {
  readonly mesh: MeshId;
  /** 32 hex characters. */
  readonly id: string;
  /** 32 bytes. */
  readonly secret: Uint8Array;
  readonly expires: number;
  readonly uses: number;
  /** Where its issuer listens: 1 … 16, `host:port` or `[v6]:port`. */
  readonly addresses: readonly string[];
}

export type TokenProblem =
  | 'not-a-token'
  | 'other-version'
  | 'bad-character'
  | 'truncated'
  | 'too-long'
  | 'checksum'
  | 'malformed';

export class TokenError extends Error {
  readonly code = 'bad-token';
  readonly problem: TokenProblem;
  constructor(problem: TokenProblem, message: string) {
    super(message);
    this.name = 'TokenError';
    this.problem = problem;
  }
}

export const TOKEN_PREFIX = 'wf1_';
export const MAX_TOKEN_ADDRESSES = 16;
/** Lets the longest token through: 16 addresses of 255 bytes and the fixed part, in base64. */
const MAX_TEXT = 6_000;
const FIXED = 95;
const CHECKSUM = 4;
const SHORTEST = FIXED + CHECKSUM;

export function encodeToken(token: Token, crypto: Crypto): string {
  if (token.secret.length !== 32) throw new RangeError('the secret of a token has 32 bytes');
  const addresses = token.addresses.flatMap((address) => {
    const bytes = utf8(address);
    return [Uint8Array.of(bytes.length), bytes];
  });
  const body = concat(
    hexBytes(token.mesh, 32),
    hexBytes(token.id, 16),
    token.secret,
    u64(token.expires),
    u32(token.uses),
    Uint8Array.of(token.addresses.length),
    ...addresses,
  );
  const length = body.length + CHECKSUM;
  const checked = concat(Uint8Array.of(length >> 8, length), body);
  const text = TOKEN_PREFIX + toBase64url(concat(checked, crypto.hash(checked).subarray(0, CHECKSUM)));
  decodeToken(text, crypto);
  return text;
}

/** Throws TokenError; its message says what is wrong with the paste and never repeats it. */
export function decodeToken(text: string, crypto: Crypto): Token {
  const bytes = tokenBytes(text.trim());
  const checked = bytes.subarray(0, -CHECKSUM);
  if (!equalBytes(crypto.hash(checked).subarray(0, CHECKSUM), bytes.subarray(-CHECKSUM))) {
    throw new TokenError('checksum', 'the token has a wrong character in it: copy it again, do not type it');
  }
  const expires = readU64(bytes, 82);
  const uses = readU32(bytes, 90);
  if (expires === undefined || uses === 0) throw malformed('its expiry or number of uses is out of range');
  return {
    mesh: toHex(bytes.subarray(2, 34)) as MeshId,
    id: toHex(bytes.subarray(34, 50)),
    secret: bytes.slice(50, 82),
    expires,
    uses,
    addresses: readAddresses(checked),
  };
}

/**
 * What both sides of a join must know before a link opens: see Door in ports/transport.ts. The secret itself is never sent, and never
 * compared: a handshake that is bound to another one fails.
 */
export function joinDoor(
  { mesh, id, secret }: Pick<Token, 'mesh' | 'id' | 'secret'>,
  crypto: Crypto,
): { readonly name: string; readonly secret: Uint8Array } {
  const name = `join/${mesh.slice(0, 16)}/${id}`;
  return { name, secret: crypto.derive(secret, utf8(mesh), frame('weft join door', id), 32) };
}

/** The parts of a door's name that `joinDoor` made; undefined for any other. */
export function readJoinDoor(name: string): { readonly mesh: string; readonly id: string } | undefined {
  const [, mesh, id] = /^join\/([0-9a-f]{16})\/([0-9a-f]{32})$/.exec(name) ?? [];
  return mesh === undefined || id === undefined ? undefined : { mesh, id };
}

/** True for `host:port` and `[v6]:port` as a token may carry them. Whether there is such a host shows when it is dialled. */
export function isTokenAddress(text: string): boolean {
  const parts = /^(?:\[[0-9a-f:.]{2,45}\]|[0-9A-Za-z_.-]{1,240}):([1-9][0-9]{0,4})$/.exec(text);
  return parts !== null && Number(parts[1]) <= 65_535;
}

function tokenBytes(text: string): Uint8Array {
  const version = /^wf([0-9]{1,4})_/.exec(text);
  if (version === null) {
    throw new TokenError(
      'not-a-token',
      `this is not a token: paste the word that begins with ${TOKEN_PREFIX}`,
    );
  }
  if (!text.startsWith(TOKEN_PREFIX)) {
    const told = `the token has format ${version[1]}, this program reads format 1`;
    throw new TokenError('other-version', `${told}: install the same version of weft on both hosts`);
  }
  const digits = text.slice(TOKEN_PREFIX.length);
  if (digits.length > MAX_TEXT) {
    throw new TokenError('too-long', `the token is longer than any token: paste nothing but the token`);
  }
  const strange = /[^A-Za-z0-9_-]/.exec(digits);
  if (strange !== null) {
    const where = `character ${TOKEN_PREFIX.length + strange.index + 1} of the token`;
    throw new TokenError('bad-character', `${where} is none that tokens have: paste it as one word`);
  }
  return checkLength(digits);
}

/** The text says how long it is, so that a cut-off paste is told from a mistyped one. */
function checkLength(digits: string): Uint8Array {
  const cutOff = new TokenError('truncated', 'the token is cut off: copy the whole line');
  if (digits.length < 3) throw cutOff;
  const head = fromBase64url(`${digits.slice(0, 3)}A`) as Uint8Array;
  const length = 2 + (((head[0] as number) << 8) | (head[1] as number));
  const wanted = Math.ceil((length * 8) / 6);
  if (digits.length < wanted) throw cutOff;
  if (digits.length > wanted) {
    throw new TokenError(
      'too-long',
      'there is something after the end of the token: paste nothing but the token',
    );
  }
  const bytes = fromBase64url(digits);
  if (bytes === undefined) {
    throw new TokenError('checksum', 'the token has a wrong character in it: copy it again, do not type it');
  }
  if (bytes.length < SHORTEST) throw cutOff;
  return bytes;
}

function readAddresses(checked: Uint8Array): readonly string[] {
  const count = checked[FIXED - 1] as number;
  if (count === 0 || count > MAX_TOKEN_ADDRESSES) throw malformed('its number of addresses is out of range');
  const addresses: string[] = [];
  let at = FIXED;
  for (let index = 0; index < count; index++) {
    const length = checked[at] ?? 0;
    const address = String.fromCharCode(...checked.subarray(at + 1, at + 1 + length));
    at += 1 + length;
    if (at > checked.length || !isTokenAddress(address))
      throw malformed('one of its addresses is not HOST:PORT');
    addresses.push(address);
  }
  if (at !== checked.length) throw malformed('it has bytes after its addresses');
  return addresses;
}

function malformed(problem: string): TokenError {
  return new TokenError(
    'malformed',
    `the token was made wrongly, ${problem}: make a new one with \`weft invite\``,
  );
}

/** `text` is one of our own ids; anything else is a mistake of the program. */
function hexBytes(text: string, length: number): Uint8Array {
  const bytes = fromHex(text);
  if (bytes?.length !== length) throw new RangeError(`an id of ${length} bytes in hex expected`);
  return bytes;
}
