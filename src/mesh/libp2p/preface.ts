import type { Refusal } from '../../ports/transport.ts';

/**
 * What crosses a new connection in clear before Noise, so that a door can be refused with a reason before any cryptography:
 *
 *   dialler → responder    57 45 46 54 | version u8 | length u8 | door name (ASCII)
 *   responder → dialler    answer u8: 0 = go on with Noise, else why not
 */
export const PREFACE_VERSION = 1;
export const MAX_DOOR_NAME = 64;
/** Up to and including the length. */
export const PREFACE_HEAD = 6;

const MAGIC = Uint8Array.of(0x57, 0x45, 0x46, 0x54);
const NAME = /^[a-z0-9/-]{1,64}$/;

export const ADMITTED = 0;
/** Numbers are for ever. */
const REFUSAL_CODES: Readonly<Record<Refusal, number>> = {
  'wrong-mesh': 1,
  'unknown-token': 2,
  expired: 3,
  'used-up': 4,
  removed: 5,
  'old-epoch': 6,
  busy: 7,
};
export const WRONG_VERSION = 255;

/** Throws RangeError for a name that no door can have. */
export function encodePreface(door: string): Uint8Array {
  if (!NAME.test(door)) throw new RangeError(`not the name of a door: ${JSON.stringify(door)}`);
  const name = new TextEncoder().encode(door);
  return Uint8Array.of(...MAGIC, PREFACE_VERSION, name.length, ...name);
}

export type PrefaceHead =
  | { readonly ok: true; readonly nameLength: number }
  | { readonly ok: false; readonly problem: 'magic' | 'version' | 'length' };

/** `head` has PREFACE_HEAD bytes. */
export function decodePrefaceHead(head: Uint8Array): PrefaceHead {
  if (MAGIC.some((byte, at) => head[at] !== byte)) return { ok: false, problem: 'magic' };
  if (head[4] !== PREFACE_VERSION) return { ok: false, problem: 'version' };
  const nameLength = head[5] ?? 0;
  if (nameLength < 1 || nameLength > MAX_DOOR_NAME) return { ok: false, problem: 'length' };
  return { ok: true, nameLength };
}

/** Undefined when the bytes are no name of a door. */
export function decodeDoorName(bytes: Uint8Array): string | undefined {
  const name = String.fromCharCode(...bytes);
  return NAME.test(name) ? name : undefined;
}

export function encodeRefusal(reason: Refusal): number {
  return REFUSAL_CODES[reason];
}

export function decodeRefusal(code: number): Refusal | undefined {
  for (const [reason, known] of Object.entries(REFUSAL_CODES)) {
    if (known === code) return reason as Refusal;
  }
  return undefined;
}

/** Mixed into the handshake by both sides: it fails unless door and secret are the same at both ends. */
export function prologueOf(door: string, secret: Uint8Array): Uint8Array {
  const preface = encodePreface(door);
  const prologue = new Uint8Array(preface.length + secret.length);
  prologue.set(preface);
  prologue.set(secret, preface.length);
  return prologue;
}
