import type { MeshId, PeerId } from '../ids.ts';
import type { SignedDelta } from './delta.ts';
import { isOffer, isVectorPart, isWant, type VectorPart } from './vector.ts';

/**
 * What two neighbours say to each other on a link. On the wire each is an array: a number for the type, then the fields in the order
 * in which they stand here. A type that is not known and fields after the last known one are left to later versions.
 */
export type LinkMessage =
  | Hello
  | { readonly type: 'ready' }
  | Bye
  | Beat
  | { readonly type: 'deltas'; readonly deltas: readonly SignedDelta[] }
  | { readonly type: 'summary'; readonly authors: number; readonly deltas: number; readonly sum: number }
  | ({ readonly type: 'vector' } & VectorPart)
  | { readonly type: 'want'; readonly want: Uint8Array }
  | Unicast
  | { readonly type: 'epoch'; readonly epoch: unknown }
  | { readonly type: 'offer'; readonly entries: Uint8Array };

/** First message of either side: the dialler's, then, when it was admitted, the other's, which the dialler answers with `ready`. */
export interface Hello {
  readonly type: 'hello';
  /** Of this protocol; both sides must have the same. */
  readonly protocol: number;
  readonly mesh: MeshId;
  /** 16 hex characters, random at each start of the daemon. */
  readonly boot: string;
  readonly nickname: string;
  /** Release of the software, for people. */
  readonly release: string;
  /** `host:port` of the receiver as the sender sees it. */
  readonly observed: string;
  /** Open links of the sender. */
  readonly links: number;
  /** For Membership.admit. */
  readonly credentials: unknown;
}

/** The last message before its sender closes the link. */
export interface Bye {
  readonly type: 'bye';
  /** Stable, kebab-case. */
  readonly reason: string;
  /** For people. */
  readonly message: string;
  /** With reason `removed`: for Membership.hearProof. */
  readonly proof?: unknown;
}

/** Sent when nothing else was for a while, and after much was received. */
export interface Beat {
  readonly type: 'beat';
  /** Bytes of all messages received on this link so far. */
  readonly received: number;
}

/** One message between two members, on its way. */
export interface Unicast {
  readonly type: 'unicast';
  readonly to: PeerId;
  readonly from: PeerId;
  /** Hops that it may still take. */
  readonly hops: number;
  readonly role: UnicastRole;
  /** Names a request within its sender; 0 where no answer is wanted. */
  readonly id: number;
  /** Which handler it is for; of an answer: empty. */
  readonly kind: string;
  /** Encoded by the sender and read by the receiver only. */
  readonly body: Uint8Array;
}

export const UNICAST_ROLES = ['tell', 'request', 'answer', 'refusal', 'unroutable'] as const;
export type UnicastRole = (typeof UNICAST_ROLES)[number];

export type UnpackedMessage =
  | { readonly ok: true; readonly message: LinkMessage }
  | { readonly ok: false; readonly problem: string };

export const PROTOCOL = 1;
export const MAX_NICKNAME = 64;
export const MAX_RELEASE = 64;
export const MAX_ADDRESS = 128;
export const MAX_TEXT = 512;
export const MAX_DELTAS = 4_096;
export const MAX_HOPS = 16;
export const MAX_KIND = 64;
export const MAX_UNICAST = 64 << 10;

/** By their number on the wire, which is one more than the index. */
export const MESSAGE_TYPES = [
  'hello',
  'ready',
  'bye',
  'beat',
  'deltas',
  'summary',
  'vector',
  'want',
  'unicast',
  'epoch',
  'offer',
] as const;

/** A plain array for the codec. */
export function packMessage(message: LinkMessage): unknown[] {
  return [MESSAGE_TYPES.indexOf(message.type) + 1, ...fieldsOf(message)];
}

function fieldsOf(message: LinkMessage): readonly unknown[] {
  switch (message.type) {
    case 'hello': {
      const { protocol, mesh, boot, nickname, release, observed, links, credentials } = message;
      return [protocol, mesh, boot, nickname, release, observed, links, credentials];
    }
    case 'ready':
      return [];
    case 'bye':
      return message.proof === undefined
        ? [message.reason, message.message]
        : [message.reason, message.message, message.proof];
    case 'beat':
      return [message.received];
    case 'deltas':
      return message.deltas.flatMap(({ body, signature }) => [body, signature]);
    case 'summary':
      return [message.authors, message.deltas, message.sum];
    case 'vector':
      return [message.from, message.to, message.entries];
    case 'want':
      return [message.want];
    case 'unicast': {
      const { to, from, hops, role, id, kind, body } = message;
      return [to, from, hops, UNICAST_ROLES.indexOf(role), id, kind, body];
    }
    case 'epoch':
      return [message.epoch];
    case 'offer':
      return [message.entries];
  }
}

/** Checks what the codec decoded. `isPeer` tells whether a text is a peer id. Never throws. */
export function unpackMessage(data: unknown, isPeer: (text: string) => boolean): UnpackedMessage {
  if (!Array.isArray(data) || !isCount(data[0], 255)) return { ok: false, problem: 'not a message' };
  const type = MESSAGE_TYPES[data[0] - 1];
  if (type === undefined) return { ok: false, problem: `unknown type ${data[0]}` };
  const message = READERS[type](data.slice(1), isPeer);
  return message === undefined ? { ok: false, problem: `malformed ${type}` } : { ok: true, message };
}

type Reader = (fields: readonly unknown[], isPeer: (text: string) => boolean) => LinkMessage | undefined;

const READERS: Readonly<Record<LinkMessage['type'], Reader>> = {
  hello([protocol, mesh, boot, nickname, release, observed, links, credentials]) {
    if (!isCount(protocol, 65_535) || !isHex(mesh, 64) || !isHex(boot, 16)) return undefined;
    if (!isText(nickname, MAX_NICKNAME) || !isText(release, MAX_RELEASE) || !isText(observed, MAX_ADDRESS))
      return undefined;
    if (!isCount(links, 65_535)) return undefined;
    const named = { type: 'hello', protocol, mesh: mesh as MeshId, boot, nickname } as const;
    return { ...named, release, observed, links, credentials };
  },
  ready: () => ({ type: 'ready' }),
  bye([reason, message, proof]) {
    if (!isText(reason, 32) || !/^[a-z-]+$/.test(reason) || !isText(message, MAX_TEXT)) return undefined;
    return { type: 'bye', reason, message, ...(proof === undefined ? {} : { proof }) };
  },
  beat([received]) {
    return isCount(received) ? { type: 'beat', received } : undefined;
  },
  deltas(fields) {
    if (fields.length % 2 !== 0 || fields.length > 2 * MAX_DELTAS) return undefined;
    if (!fields.every((field) => field instanceof Uint8Array)) return undefined;
    const deltas: SignedDelta[] = [];
    for (let at = 0; at < fields.length; at += 2) {
      deltas.push({ body: fields[at] as Uint8Array, signature: fields[at + 1] as Uint8Array });
    }
    return { type: 'deltas', deltas };
  },
  summary([authors, deltas, sum]) {
    if (!isCount(authors) || !isCount(deltas) || !isCount(sum)) return undefined;
    return { type: 'summary', authors, deltas, sum };
  },
  vector([from, to, entries]) {
    if (!isVectorPart(from, to, entries)) return undefined;
    return { type: 'vector', from: from as number, to: to as number, entries: entries as Uint8Array };
  },
  want([want]) {
    return isWant(want) ? { type: 'want', want } : undefined;
  },
  unicast([to, from, hops, role, id, kind, body], isPeer) {
    if (!isText(to, 64) || !isText(from, 64) || !isPeer(to) || !isPeer(from)) return undefined;
    const named = isCount(role) ? UNICAST_ROLES[role] : undefined;
    if (named === undefined || !isCount(hops, MAX_HOPS) || !isCount(id)) return undefined;
    if (!isText(kind, MAX_KIND) || !(body instanceof Uint8Array) || body.length > MAX_UNICAST)
      return undefined;
    return { type: 'unicast', to: to as PeerId, from: from as PeerId, hops, role: named, id, kind, body };
  },
  epoch: ([epoch]) => ({ type: 'epoch', epoch }),
  offer([entries]) {
    return isOffer(entries) ? { type: 'offer', entries } : undefined;
  },
};

function isCount(value: unknown, most = Number.MAX_SAFE_INTEGER): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most;
}

/** Short, and without control characters that would play tricks on a terminal. */
function isText(value: unknown, most: number): value is string {
  return (
    typeof value === 'string' && value.length <= most && !/[\p{Cc}\u2028\u2029\u202a-\u202e]/u.test(value)
  );
}

function isHex(value: unknown, length: number): value is string {
  return typeof value === 'string' && value.length === length && /^[0-9a-f]*$/.test(value);
}
