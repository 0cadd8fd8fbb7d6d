import { endianness } from 'node:os';
import { concat, utf8 } from '../core/bytes.ts';
import { HostError } from '../ports/host.ts';

/**
 * Messages and attributes of netlink(7), as they lie in memory: all numbers in the machine's order, both kinds padded to four bytes.
 *
 *   message    length (4)  type (2)  flags (2)  sequence (4)  port (4)  body
 *   attribute  length (2)  type (2)  value
 *
 * Reading checks each length before it uses it and throws HostError `command-failed` for what the kernel cannot have sent.
 */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly body: Uint8Array;
}

export type Attributes = ReadonlyMap<number, Uint8Array>;

export const FLAGS = {
  request: 0x1,
  acknowledge: 0x4,
  /** In a question: of all that there is. In an answer to a change: NLM_F_REPLACE and NLM_F_EXCL have the same bits. */
  dump: 0x300,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
  /** In an answer: something changed meanwhile, so that an entry may be missing. */
  interrupted: 0x10,
  /** In an answer: attributes follow that explain it. */
  explained: 0x200,
} as const;

export const TYPES = { error: 2, done: 3 } as const;

const HEADER = 16;
const ATTRIBUTE_HEADER = 4;
/** Whether it is nested, and whose order its numbers have, is in the two highest bits. */
const ATTRIBUTE_TYPE = 0x3fff;
const NESTED = 0x8000;
/** The length of an attribute has 16 bits. */
const LONGEST_ATTRIBUTE = 0xffff;
/** Kinds of messages and attributes of the explanation: linux/netlink.h. */
const EXPLANATION_TEXT = 1;

export function writeMessage(type: number, flags: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(align(HEADER + body.length));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, HEADER + body.length, little());
  view.setUint16(4, type, true);
  view.setUint16(6, flags | FLAGS.request, true);
  bytes.set(body, HEADER);
  return bytes;
}

/** One after the other, each with its place in the list as its number. */
export function joinMessages(messages: readonly Uint8Array[]): Uint8Array {
  messages.forEach((message, index) => {
    viewOf(message).setUint32(8, index, true);
  });
  return Buffer.concat(messages);
}

export function readMessages(bytes: Uint8Array): readonly Message[] {
  const view = viewOf(bytes);
  const messages: Message[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.length - at < HEADER ? 0 : view.getUint32(at, little());
    if (length < HEADER || length > bytes.length - at) throw malformed('a message');
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      body: bytes.subarray(at + HEADER, at + length),
    });
    at += align(length);
  }
  return messages;
}

export interface Refusal {
  /** Number of the system's error, above 0. */
  readonly errno: number;
  /** In the kernel's words; often empty. */
  readonly text: string;
}

/** What a message that ends an answer says; undefined: all is well. */
export function readRefusal({ type, flags, body }: Message): Refusal | undefined {
  const isError = type === TYPES.error;
  if (body.length < 4) {
    if (isError) throw malformed('an acknowledgement');
    return undefined;
  }
  const errno = -viewOf(body).getInt32(0, little());
  if (errno <= 0) return undefined;
  // An acknowledgement repeats the header of the request, the end of a list nothing.
  const explanation = isError ? 4 + HEADER : 4;
  const explained = (flags & FLAGS.explained) !== 0 && body.length > explanation;
  const text = explained ? readAttributes(body, explanation).get(EXPLANATION_TEXT) : undefined;
  return { errno, text: text === undefined ? '' : readText(text) };
}

/** What comes twice counts the last time. */
export function readAttributes(bytes: Uint8Array, from = 0): Attributes {
  const view = viewOf(bytes);
  const attributes = new Map<number, Uint8Array>();
  for (let at = from; at < bytes.length; ) {
    const length = bytes.length - at < ATTRIBUTE_HEADER ? 0 : view.getUint16(at, true);
    if (length < ATTRIBUTE_HEADER || length > bytes.length - at) throw malformed('an attribute');
    const type = view.getUint16(at + 2, true) & ATTRIBUTE_TYPE;
    attributes.set(type, bytes.subarray(at + ATTRIBUTE_HEADER, at + length));
    at += align(length);
  }
  return attributes;
}

export function readNumber(bytes: Uint8Array | undefined): number | undefined {
  if (bytes === undefined) return undefined;
  if (bytes.length < 4) throw malformed('a number');
  return viewOf(bytes).getUint32(0, true);
}

/** Up to the first zero. */
export function readText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end === -1 ? bytes : bytes.subarray(0, end));
}

export function attribute(type: number, value: Uint8Array): Uint8Array {
  const length = ATTRIBUTE_HEADER + value.length;
  if (length > LONGEST_ATTRIBUTE) throw new HostError('bad-request', 'more than a netlink attribute holds');
  const bytes = new Uint8Array(align(length));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, length, little());
  view.setUint16(2, type, true);
  bytes.set(value, ATTRIBUTE_HEADER);
  return bytes;
}

export function nested(type: number, parts: readonly Uint8Array[]): Uint8Array {
  return attribute(type | NESTED, concat(...parts));
}

/** A name for the kernel; no name that this program uses holds a zero, which would cut it short. */
export function textAttribute(type: number, text: string): Uint8Array {
  if (text.includes('\0')) throw new HostError('bad-request', 'a zero byte in a name');
  return attribute(type, utf8(`${text}\0`));
}

export function numberAttribute(type: number, value: number): Uint8Array {
  return attribute(type, words(value));
}

/** Numbers of four bytes. */
export function words(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => {
    view.setUint32(index * 4, value, little());
  });
  return bytes;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Numbers are written as these machines have them; no other one has the data path either. */
function little(): true {
  if (endianness() === 'LE') return true;
  throw new HostError('command-failed', 'netlink on big-endian machines is not known here');
}

function align(length: number): number {
  return (length + 3) & ~3;
}

export function malformed(what: string): HostError {
  return new HostError('command-failed', `the kernel's answer has ${what} that cannot be read`);
}
