/**
 * A walk over msgpack bytes (https://github.com/msgpack/msgpack/blob/master/spec.md) that allocates nothing, to be done before a
 * decoder that allocates as it is told. It admits the subset that our own encoder writes:
 *
 *   nil, false, true                     c0 c2 c3
 *   integers up to 32 bits               00-7f e0-ff cc cd ce d0 d1 d2
 *   finite 64-bit floats                 cb
 *   UTF-8 strings                        a0-bf d9 da db
 *   binary                               c4 c5 c6
 *   arrays                               90-9f dc dd
 *   maps, keys are strings in strictly ascending order of their bytes   80-8f de df
 *
 * and nothing else: no extension types (they construct objects), no 64-bit integers, no 32-bit floats.
 */
export interface MsgpackLimits {
  /** Arrays and maps inside one another. */
  readonly depth: number;
  /** Values in all; a key counts as one. */
  readonly items: number;
  /** Bytes of one string. */
  readonly string: number;
  /** Bytes of one binary. */
  readonly binary: number;
  /** Bytes of one map key. */
  readonly key: number;
}

/** What one message of the control plane may hold. */
export const MESSAGE_LIMITS: MsgpackLimits = {
  depth: 16,
  items: 100_000,
  string: 1 << 16,
  binary: 1 << 20,
  key: 256,
};

/** Undefined when `bytes` is exactly one value within the limits; else what is wrong with it. Never throws. */
export function scanMsgpack(bytes: Uint8Array, limits: MsgpackLimits = MESSAGE_LIMITS): string | undefined {
  const walk: Walk = { bytes, limits, at: 0, items: 0, problem: undefined };
  if (!scanValue(walk, 0)) return walk.problem ?? 'malformed';
  if (walk.at !== bytes.length) return `${bytes.length - walk.at} bytes after the value`;
  return undefined;
}

interface Walk {
  readonly bytes: Uint8Array;
  readonly limits: MsgpackLimits;
  at: number;
  items: number;
  problem: string | undefined;
}

function fail(walk: Walk, problem: string): false {
  walk.problem ??= `${problem} at byte ${walk.at}`;
  return false;
}

/** Reads a big-endian unsigned integer of `width` bytes; -1 when the bytes end before. */
function readLength(walk: Walk, width: number): number {
  if (walk.bytes.length - walk.at < width) {
    fail(walk, 'truncated length');
    return -1;
  }
  let value = 0;
  for (let place = 0; place < width; place++) value = value * 256 + (walk.bytes[walk.at++] as number);
  return value;
}

function skip(walk: Walk, length: number): boolean {
  if (walk.bytes.length - walk.at < length) return fail(walk, 'truncated value');
  walk.at += length;
  return true;
}

function scanValue(walk: Walk, depth: number): boolean {
  if (walk.at >= walk.bytes.length) return fail(walk, 'truncated value');
  if (++walk.items > walk.limits.items) return fail(walk, `more than ${walk.limits.items} items`);
  const type = walk.bytes[walk.at++] as number;
  if (type <= 0x7f || type >= 0xe0) return true;
  if (type <= 0x8f) return scanMap(walk, type & 0x0f, depth);
  if (type <= 0x9f) return scanArray(walk, type & 0x0f, depth);
  if (type <= 0xbf) return scanString(walk, type & 0x1f, walk.limits.string);
  switch (type) {
    case 0xc0:
    case 0xc2:
    case 0xc3:
      return true;
    case 0xc4:
    case 0xc5:
    case 0xc6:
      return scanBinary(walk, readLength(walk, 1 << (type - 0xc4)));
    case 0xcb:
      return scanFloat(walk);
    case 0xcc:
    case 0xd0:
      return skip(walk, 1);
    case 0xcd:
    case 0xd1:
      return skip(walk, 2);
    case 0xce:
    case 0xd2:
      return skip(walk, 4);
    case 0xd9:
    case 0xda:
    case 0xdb:
      return scanString(walk, readLength(walk, 1 << (type - 0xd9)), walk.limits.string);
    case 0xdc:
    case 0xdd:
      return scanArray(walk, readLength(walk, 2 << (type - 0xdc)), depth);
    case 0xde:
    case 0xdf:
      return scanMap(walk, readLength(walk, 2 << (type - 0xde)), depth);
    default:
      return fail(walk, `type 0x${type.toString(16)} is not allowed`);
  }
}

/** Neither infinite nor NaN: the eleven bits of the exponent are not all ones (IEEE 754 §3.4). */
function scanFloat(walk: Walk): boolean {
  const [first, second] = [walk.bytes[walk.at], walk.bytes[walk.at + 1]];
  if (!skip(walk, 8)) return false;
  const infinite = ((first as number) & 0x7f) === 0x7f && (second as number) >= 0xf0;
  return infinite ? fail(walk, 'a number that is not finite') : true;
}

function scanBinary(walk: Walk, length: number): boolean {
  if (length < 0) return false;
  if (length > walk.limits.binary)
    return fail(walk, `binary of ${length} bytes, limit ${walk.limits.binary}`);
  return skip(walk, length);
}

function scanString(walk: Walk, length: number, limit: number): boolean {
  if (length < 0) return false;
  if (length > limit) return fail(walk, `string of ${length} bytes, limit ${limit}`);
  const start = walk.at;
  if (!skip(walk, length)) return false;
  return isUtf8(walk.bytes, start, walk.at) || fail(walk, 'string is not UTF-8');
}

/** Whether `count` more values, of at least one byte each, can follow at all. */
function fits(walk: Walk, count: number, depth: number): boolean {
  if (count < 0) return false;
  if (depth >= walk.limits.depth) return fail(walk, `nested deeper than ${walk.limits.depth}`);
  if (count > walk.bytes.length - walk.at) return fail(walk, `${count} items announced, fewer bytes left`);
  if (count > walk.limits.items - walk.items) return fail(walk, `more than ${walk.limits.items} items`);
  return true;
}

function scanArray(walk: Walk, count: number, depth: number): boolean {
  if (!fits(walk, count, depth)) return false;
  for (let index = 0; index < count; index++) if (!scanValue(walk, depth + 1)) return false;
  return true;
}

function scanMap(walk: Walk, count: number, depth: number): boolean {
  if (count < 0 || !fits(walk, 2 * count, depth)) return false;
  let previousStart = -1;
  let previousEnd = -1;
  for (let index = 0; index < count; index++) {
    const start = scanKey(walk);
    if (start < 0) return false;
    const end = walk.at;
    if (previousStart >= 0 && !ascends(walk.bytes, previousStart, previousEnd, start, end)) {
      return fail(walk, 'map keys out of order or repeated');
    }
    previousStart = start;
    previousEnd = end;
    if (!scanValue(walk, depth + 1)) return false;
  }
  return true;
}

/** Where the text of the key starts; it ends where the walk is then. -1 when it is no key. */
function scanKey(walk: Walk): number {
  if (++walk.items > walk.limits.items) return fail(walk, `more than ${walk.limits.items} items`) || -1;
  const type = walk.bytes[walk.at++] ?? 0xc1;
  let length = -1;
  if (type >= 0xa0 && type <= 0xbf) length = type & 0x1f;
  else if (type === 0xd9 || type === 0xda) length = readLength(walk, type === 0xd9 ? 1 : 2);
  else return fail(walk, 'map key is not a string') || -1;
  const start = walk.at;
  if (!scanString(walk, length, walk.limits.key)) return -1;
  if (isProto(walk.bytes, start, walk.at)) return fail(walk, 'map key __proto__') || -1;
  return start;
}

/** `__proto__` would reach the prototype of the object that a decoder builds. */
const PROTO = [...'__proto__'].map((letter) => letter.charCodeAt(0));

function isProto(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start === PROTO.length && PROTO.every((code, at) => bytes[start + at] === code);
}

/** Whether the first range of bytes comes strictly before the second. */
function ascends(bytes: Uint8Array, start: number, end: number, nextStart: number, nextEnd: number): boolean {
  const shared = Math.min(end - start, nextEnd - nextStart);
  for (let at = 0; at < shared; at++) {
    const step = (bytes[nextStart + at] as number) - (bytes[start + at] as number);
    if (step !== 0) return step > 0;
  }
  return end - start < nextEnd - nextStart;
}

/** Well-formed by the table of RFC 3629 §4: no overlong forms, no surrogates, nothing above U+10FFFF. */
export function isUtf8(bytes: Uint8Array, start = 0, end = bytes.length): boolean {
  let at = start;
  while (at < end) {
    const lead = bytes[at++] as number;
    if (lead < 0x80) continue;
    if (lead < 0xc2 || lead > 0xf4) return false;
    const tail = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    if (end - at < tail) return false;
    const second = bytes[at] as number;
    const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    if (second < low || second > high) return false;
    for (let place = 1; place < tail; place++) {
      if (((bytes[at + place] as number) & 0xc0) !== 0x80) return false;
    }
    at += tail;
  }
  return true;
}
