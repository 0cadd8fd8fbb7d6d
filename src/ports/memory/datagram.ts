import { type CipherSuite, RELAY_BYTES } from '../datapath.ts';

/** The datagram of native/src/wire.h, and a cipher for the twin: see openMemoryDatapath. */
export interface DatagramHeader {
  readonly type: number;
  readonly lane: number;
  readonly index: number;
  readonly counter: bigint;
}

export const HEADER_BYTES = 16;
export const TAG_BYTES = 16;
const LANES = 5;

export function writeHeader(out: Uint8Array, header: DatagramHeader): void {
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  view.setUint8(0, header.type);
  view.setUint8(1, header.lane);
  view.setUint16(2, 0);
  view.setUint32(4, header.index);
  view.setBigUint64(8, header.counter);
}

/** Undefined when it is too short or carries what nobody has given a meaning. */
export function parseDatagram(datagram: Uint8Array): DatagramHeader | undefined {
  if (datagram.length < HEADER_BYTES + TAG_BYTES) return undefined;
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  const type = view.getUint8(0);
  const lane = view.getUint8(1);
  if (type < 1 || type > 3 || lane >= LANES || view.getUint16(2) !== 0) return undefined;
  return { type, lane, index: view.getUint32(4), counter: view.getBigUint64(8) };
}

/** What stands before a datagram that is carried; see native/src/wire.h. */
export interface RelayHeader {
  readonly type: 4 | 5;
  readonly index: number;
  readonly name: bigint;
}

export function isCarried(datagram: Uint8Array): boolean {
  return datagram[0] === 4 || datagram[0] === 5;
}

export function writeRelayed(header: RelayHeader, datagram: Uint8Array): Uint8Array {
  const out = new Uint8Array(RELAY_BYTES + datagram.length);
  const view = new DataView(out.buffer);
  view.setUint8(0, header.type);
  view.setUint8(1, datagram[1] ?? 0);
  view.setUint32(4, header.index);
  view.setBigUint64(8, header.name);
  out.set(datagram, RELAY_BYTES);
  return out;
}

/** Undefined unless a well-formed datagram is behind it. */
export function parseRelayed(datagram: Uint8Array): (RelayHeader & { datagram: Uint8Array }) | undefined {
  if (datagram.length < RELAY_BYTES || !isCarried(datagram)) return undefined;
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  const inner = datagram.subarray(RELAY_BYTES);
  if (view.getUint16(2) !== 0 || parseDatagram(inner)?.lane !== view.getUint8(1)) return undefined;
  const type = view.getUint8(0) as 4 | 5;
  return { type, index: view.getUint32(4), name: view.getBigUint64(8), datagram: inner };
}

export function sealMemory(
  key: Uint8Array,
  suite: CipherSuite,
  header: DatagramHeader,
  body: Uint8Array,
): Uint8Array {
  const datagram = new Uint8Array(HEADER_BYTES + body.length + TAG_BYTES);
  writeHeader(datagram, header);
  datagram.set(body, HEADER_BYTES);
  const end = datagram.length - TAG_BYTES;
  datagram.set(tagOf(key, suite, datagram.subarray(0, end)), end);
  return datagram;
}

/** The body, or undefined when the tag is wrong. */
export function openMemory(
  key: Uint8Array,
  suite: CipherSuite,
  datagram: Uint8Array,
): Uint8Array | undefined {
  const end = datagram.length - TAG_BYTES;
  const tag = tagOf(key, suite, datagram.subarray(0, end));
  return tag.every((byte, at) => byte === datagram[end + at]) ? datagram.slice(HEADER_BYTES, end) : undefined;
}

/** Four FNV-1a sums that start apart. */
function tagOf(key: Uint8Array, suite: CipherSuite, data: Uint8Array): Uint8Array {
  const sums = new Uint32Array([0x811c9dc5, 0x01000193, 0x9e3779b9, suite === 'aes-256-gcm' ? 1 : 2]);
  for (const bytes of [key, data])
    for (const byte of bytes)
      for (let lane = 0; lane < 4; lane++)
        sums[lane] = Math.imul((sums[lane] as number) ^ byte, 0x01000193 + 2 * lane);
  const tag = new Uint8Array(TAG_BYTES);
  const view = new DataView(tag.buffer);
  for (const [lane, sum] of sums.entries()) view.setUint32(4 * lane, sum);
  return tag;
}
