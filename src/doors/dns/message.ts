import { decode, answer as encoder, name as names } from 'dns-packet';
import { LARGEST_QUERY, type Over } from '../../ports/name-sockets.ts';

/** DNS messages (RFC 1035 4, EDNS: RFC 6891): what may be asked, and how answers look. */

export interface Query {
  /** The message as it came. */
  readonly bytes: Uint8Array;
  readonly name: string;
  /** `A`, `AAAA`, …; `UNKNOWN_65` for what has no name here. */
  readonly type: string;
  /** The question as it came, which an answer repeats byte for byte. */
  readonly question: Uint8Array;
  readonly edns: boolean;
  /** Largest answer in bytes. */
  readonly room: number;
}

export type ReadQuery =
  | { readonly ok: true; readonly query: Query }
  /** `reply` says what is wrong with it; undefined for what gets no answer at all. */
  | { readonly ok: false; readonly reply: Uint8Array | undefined };

/** RFC 1035 4.1.1, RFC 6895 2.3. */
export const RCODE = {
  ok: 0,
  formatError: 1,
  serverFailure: 2,
  noName: 3,
  notImplemented: 4,
  refused: 5,
  badVersion: 16,
} as const;
export type Rcode = (typeof RCODE)[keyof typeof RCODE];

const HEADER = 12;
const RESPONSE = 0x8000;
const AUTHORITATIVE = 0x0400;
const TRUNCATED = 0x0200;
const RECURSION_AVAILABLE = 0x0080;
/** Opcode and recursion desired: an answer repeats them. */
const REPEATED = 0x7900;
const OPCODE = 0x7800;
/** What we say that we take, and never exceed: crosses every wire without fragments (RFC 9715). */
const ROOM = 1_232;
const PLAIN_ROOM = 512;
const STREAM_ROOM = 65_535;
/** RFC 1035 3.2.2, 3.2.4. */
const TYPE = { A: 1, PTR: 12 } as const;
const CLASS_IN = 1;
/** Seconds. A name dies with its container, and nobody shall remember it for long. */
export const TTL = 2;
/** OPT, and what else a resolver may add: a signature (TSIG), which is not looked at. */
const MOST_ADDITIONALS = 2;
/** Copies of whole zones (AXFR, IXFR). */
const TRANSFERS = ['AXFR', 'IXFR'];

/**
 * Never throws. Header and question are checked by hand before the decoder sees anything: it makes room for what the header announces,
 * up to 4 × 65,535 records. One question, no pointers in it, no answers.
 */
export function readQuery(message: Uint8Array, over: Over): ReadQuery {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  if (bytes.length < HEADER || bytes.length > LARGEST_QUERY[over]) return { ok: false, reply: undefined };
  const flags = bytes.readUInt16BE(2);
  if ((flags & RESPONSE) !== 0) return { ok: false, reply: undefined };
  const refusal = (rcode: Rcode, question?: Uint8Array): ReadQuery => ({
    ok: false,
    reply: assemble(bytes, question, flagsFor(flags, rcode), []),
  });
  if ((flags & OPCODE) !== 0) return refusal(RCODE.notImplemented);
  const [questions, answers, authorities, additionals = 0] = [4, 6, 8, 10].map((at) =>
    bytes.readUInt16BE(at),
  );
  const end = questionEnd(bytes);
  if (questions !== 1 || answers !== 0 || authorities !== 0 || additionals > MOST_ADDITIONALS || end === 0) {
    return refusal(RCODE.formatError);
  }
  const question = bytes.subarray(HEADER, end);
  const decoded = tryDecode(bytes);
  const asked = decoded?.questions[0];
  if (decoded === undefined || asked === undefined) return refusal(RCODE.formatError, question);
  const options = decoded.additionals.filter(({ type }) => type === 'OPT');
  if (options.length > 1) return refusal(RCODE.formatError, question);
  const [opt] = options;
  const room =
    over === 'tcp' ? STREAM_ROOM : Math.min(ROOM, Math.max(PLAIN_ROOM, opt?.udpPayloadSize ?? PLAIN_ROOM));
  const query = { bytes, name: asked.name, type: asked.type, question, edns: opt !== undefined, room };
  if ((opt?.ednsVersion ?? 0) !== 0)
    return { ok: false, reply: writeAnswer(query, { rcode: RCODE.badVersion }) };
  if (asked.class !== 'IN' || TRANSFERS.includes(asked.type)) return refusal(RCODE.refused, question);
  return { ok: true, query };
}

/** Where the one question ends: labels, a zero, type and class (RFC 1035 4.1.2). 0 when it does not, or holds a pointer. */
function questionEnd(bytes: Buffer): number {
  let at = HEADER;
  for (let length = bytes[at]; length !== 0; length = bytes[at]) {
    if (length === undefined || length > 63 || at - HEADER > 254) return 0;
    at += length + 1;
  }
  const end = at + 5;
  return at - HEADER > 254 || end > bytes.length ? 0 : end;
}

function tryDecode(bytes: Buffer): ReturnType<typeof decode> | undefined {
  try {
    return decode(bytes);
  } catch {
    return undefined;
  }
}

export interface Reply {
  readonly rcode: Rcode;
  /** IPv4 addresses of the name that was asked for. */
  readonly addresses?: readonly number[];
  /** Names of the address that was asked for. */
  readonly names?: readonly string[];
  /** The answer is ours to give, and not what somebody else failed to. */
  readonly authoritative?: boolean;
}

/** An answer that fits into the room that the query leaves: the rest is cut off, and said to be. */
export function writeAnswer(query: Query, reply: Reply): Uint8Array {
  const { question, room, edns } = query;
  const records = [
    ...(reply.addresses ?? []).map((address) => record(TYPE.A, bytesOf(address))),
    ...(reply.names ?? []).map((name) => record(TYPE.PTR, names.encode(name))),
  ];
  const opt = edns ? [optRecord(reply.rcode)] : [];
  let left = room - HEADER - question.length - sizeOf(opt);
  const fitting = records.filter((one) => {
    left -= one.length;
    return left >= 0;
  });
  const flags =
    flagsFor(Buffer.from(query.bytes).readUInt16BE(2), reply.rcode) |
    (reply.authoritative === true ? AUTHORITATIVE : 0) |
    (fitting.length < records.length ? TRUNCATED : 0);
  return assemble(query.bytes, question, flags, fitting, opt);
}

/**
 * A record of the name that was asked for, as a pointer to the question: the name comes back byte for byte, also where a label holds what
 * the package's encoder takes for a dot.
 */
function record(type: number, data: Uint8Array): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc000 | HEADER, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(CLASS_IN, 4);
  head.writeUInt32BE(TTL, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function bytesOf(address: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(address);
  return bytes;
}

function optRecord(rcode: Rcode): Buffer {
  return encoder.encode({
    type: 'OPT',
    name: '.',
    udpPayloadSize: ROOM,
    extendedRcode: rcode >> 4,
    ednsVersion: 0,
    flags: 0,
    options: [],
  });
}

function flagsFor(asked: number, rcode: Rcode): number {
  return RESPONSE | (asked & REPEATED) | RECURSION_AVAILABLE | (rcode & 0xf);
}

function sizeOf(records: readonly Buffer[]): number {
  return records.reduce((sum, { length }) => sum + length, 0);
}

function assemble(
  query: Uint8Array,
  question: Uint8Array | undefined,
  flags: number,
  answers: readonly Buffer[],
  additionals: readonly Buffer[] = [],
): Uint8Array {
  const header = Buffer.alloc(HEADER);
  header.set(query.subarray(0, 2));
  header.writeUInt16BE(flags, 2);
  header.writeUInt16BE(question === undefined ? 0 : 1, 4);
  header.writeUInt16BE(answers.length, 6);
  header.writeUInt16BE(additionals.length, 10);
  return Buffer.concat([header, ...(question === undefined ? [] : [question]), ...answers, ...additionals]);
}

/** The query under another id. */
export function withId(message: Uint8Array, id: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(message);
  copy.set(id.subarray(0, 2));
  return copy;
}

/** Whether a message answers a query that was sent with `id`: a response to this very question (RFC 5452 4). Case may differ. */
export function answers(message: Uint8Array, id: Uint8Array, { question }: Query): boolean {
  const { length } = question;
  if (message.length < HEADER + length || message[0] !== id[0] || message[1] !== id[1]) return false;
  if (((message[2] as number) & 0x80) === 0 || message[4] !== 0 || message[5] !== 1) return false;
  return question.every((byte, at) => lowered(byte) === lowered(message[HEADER + at] as number));
}

function lowered(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}
