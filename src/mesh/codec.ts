import { Packr } from 'msgpackr/pack';
import { MESSAGE_LIMITS, type MsgpackLimits, scanMsgpack } from '../core/wire/msgpack-scan.ts';

/**
 * Values ↔ bytes for messages, signed records and the state file. A value is null, a boolean, a finite number, a string, a
 * Uint8Array, an array or a plain object of values.
 */

export type Decoded =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly problem: string };

/** `msgpackr/pack` is the build without the optional native reader: one implementation everywhere. */
const packr = new Packr({
  useRecords: false,
  variableMapSize: true,
  useToJSON: false,
  copyBuffers: true,
  mapsAsObjects: true,
});

/**
 * Equal values give equal bytes, so signatures may be made over them: map keys are sorted, properties that are undefined are left
 * out, undefined elsewhere is null, -0 is 0, half surrogate pairs become U+FFFD.
 * Throws TypeError for what is no value and RangeError for nesting deeper than a decoder admits: mistakes of the program, not input.
 */
export function encode(value: unknown): Uint8Array {
  // A copy of its own: the packer's result is a window on a shared buffer that would be kept alive as a whole.
  return new Uint8Array(packr.pack(canonical(value, 0)));
}

/** Never throws. Binary comes back as Uint8Array with memory of its own, maps as plain objects. The content is unchecked. */
export function decode(bytes: Uint8Array, limits: MsgpackLimits = MESSAGE_LIMITS): Decoded {
  const problem = scanMsgpack(bytes, limits);
  if (problem !== undefined) return { ok: false, problem };
  try {
    // A view that is no Buffer, so that what is cut out of it is none either.
    const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return { ok: true, value: packr.unpack(view) };
  } catch (error) {
    return { ok: false, problem: error instanceof Error ? error.message : String(error) };
  }
}

function canonical(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
      return value.toWellFormed();
    case 'boolean':
      return value;
    case 'undefined':
      return null;
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`cannot encode ${value}`);
      return value === 0 ? 0 : value;
    case 'object':
      return value === null ? null : canonicalObject(value, depth);
    default:
      throw new TypeError(`cannot encode a ${typeof value}`);
  }
}

function canonicalObject(value: object, depth: number): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (depth >= MESSAGE_LIMITS.depth)
    throw new RangeError(`nested deeper than ${MESSAGE_LIMITS.depth}, or a cycle`);
  if (Array.isArray(value)) return Array.from(value, (item) => canonical(item, depth + 1));
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(`cannot encode a ${value.constructor?.name ?? 'strange object'}`);
  }
  const fields = new Map<string, unknown>();
  for (const [name, key] of orderedKeys(value, depth)) {
    const item = (value as Readonly<Record<string, unknown>>)[name];
    if (item !== undefined) fields.set(key, canonical(item, depth + 1));
  }
  // Integer-like keys would come first in an object whatever the order of insertion; a Map keeps it.
  return fields;
}

type Keys = readonly (readonly [name: string, key: string])[];

/** At each depth the properties of the object that was encoded last, and their order: in a list of a thousand records all are alike. */
const last: { readonly names: readonly string[]; readonly keys: Keys }[] = [];

function orderedKeys(value: object, depth: number): Keys {
  const names = Object.keys(value);
  const before = last[depth];
  if (before?.names.length === names.length && names.every((name, at) => name === before.names[at])) {
    return before.keys;
  }
  const keys = names
    .map((name) => [name, canonicalKey(name)] as const)
    .sort(([, a], [, b]) => compareKeys(a, b));
  last[depth] = { names, keys };
  return keys;
}

function canonicalKey(key: string): string {
  if (key === '__proto__') throw new TypeError('cannot encode a property named __proto__');
  if (Buffer.byteLength(key) > MESSAGE_LIMITS.key)
    throw new RangeError(`property name over ${MESSAGE_LIMITS.key} bytes`);
  return key.toWellFormed();
}

/** By UTF-8 bytes, which is by code point; JavaScript compares UTF-16 units, which differs beyond U+D7FF. */
function compareKeys(a: string, b: string): number {
  if (!/[\ud800-\uffff]/.test(a + b)) return a < b ? -1 : a > b ? 1 : 0;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
