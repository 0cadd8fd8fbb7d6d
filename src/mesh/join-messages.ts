import { type Chain, checkChain, checkGenesis, type Genesis } from '../core/certificate.ts';
import type { Crypto } from '../core/crypto.ts';
import type { MeshId, PeerId } from '../core/ids.ts';
import { isDonorsWord, type RingEntry } from '../core/ring-entry.ts';
import type { Refusal } from '../ports/transport.ts';
import { decode, encode } from './codec.ts';
import {
  type Epoch,
  isFields,
  type MemberAddresses,
  readAddresses,
  readEpochs,
  readMembers,
} from './membership-state.ts';
import { readEntries } from './space/protocol.ts';

/**
 * What passes over a link that was opened by the join door, in this order:
 *
 *   joiner → issuer   join       who I am
 *   issuer → joiner   grant      all that makes you a member        or   refused
 *   joiner → issuer   stored     it is on my disk
 *   issuer → joiner   complete   it is on mine that you are one: every member will know
 *   joiner → issuer   done       I shall not come back with this token
 *
 * Broken off anywhere, the joiner begins again with `join` and is given the same.
 */
export interface JoinRequest {
  readonly nickname: string;
  readonly version: string;
  /** `host:port` where the joiner's control plane and data path listen. */
  readonly control: readonly string[];
  readonly data: readonly string[];
}

export interface JoinGrant {
  readonly genesis: Genesis;
  /** The issuer's own certificates. */
  readonly issuer: Chain;
  /** The joiner's own. */
  readonly chain: Chain;
  readonly epochs: readonly Epoch[];
  /** Who gave the joiner its first addresses: its heir. */
  readonly donor: PeerId;
  /** Ring entries of the grant; null for a peer that is a member already and has them. */
  readonly grant: unknown;
  /** The issuer's records; null when they are too many for one message: gossip brings them. */
  readonly snapshot: unknown;
  readonly members: readonly MemberAddresses[];
}

export type JoinRefusal = Refusal | 'no-space' | 'too-deep' | 'bad-request' | 'failed';

export type JoinMessage =
  | ({ readonly t: 'join' } & JoinRequest)
  | ({ readonly t: 'grant' } & JoinGrant)
  | { readonly t: 'refused'; readonly reason: JoinRefusal; readonly message: string }
  | { readonly t: 'stored' }
  | { readonly t: 'complete' }
  | { readonly t: 'done' };

/** Bytes of a snapshot; the rest of the grant is far below what is left of a message. */
export const MAX_SNAPSHOT = 768 << 10;
const REASONS: readonly string[] = [
  'wrong-mesh',
  'unknown-token',
  'expired',
  'used-up',
  'removed',
  'old-epoch',
  'busy',
  'no-space',
  'too-deep',
  'bad-request',
  'failed',
] satisfies readonly JoinRefusal[];

export function encodeJoin(message: JoinMessage): Uint8Array {
  return encode(message);
}

/** What the issuer may receive; undefined for anything else. */
export function decodeFromJoiner(bytes: Uint8Array): JoinMessage | undefined {
  const data = open(bytes);
  if (data?.t === 'stored' || data?.t === 'done') return { t: data.t };
  if (data?.t !== 'join') return undefined;
  const [control, data_] = [readAddresses(data.control), readAddresses(data.data)];
  const { nickname, version } = data;
  if (!isName(nickname) || !isName(version) || control === undefined || data_ === undefined) return undefined;
  return { t: 'join', nickname, version, control, data: data_ };
}

/** What the joiner may receive, short of `grant`; undefined for anything else. */
export function decodeFromIssuer(
  bytes: Uint8Array,
): JoinMessage | { readonly t: 'unchecked'; data: unknown } | undefined {
  const data = open(bytes);
  if (data?.t === 'complete') return { t: 'complete' };
  if (data?.t === 'grant') return { t: 'unchecked', data };
  if (data?.t !== 'refused' || typeof data.message !== 'string') return undefined;
  const reason = REASONS.includes(data.reason as string) ? (data.reason as JoinRefusal) : 'failed';
  return { t: 'refused', reason, message: printable(data.message) };
}

/** The other side gave what does not hold together; the message names it. */
export class GrantError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'GrantError';
  }
}

export interface GrantChecks {
  readonly crypto: Crypto;
  readonly self: PeerId;
  /** From the token. */
  readonly mesh: MeshId;
  /** The other end of the link, proven by the handshake. */
  readonly issuer: PeerId;
}

/** Everything that a joiner has to believe hangs on the root key's hash in the token. Throws GrantError. */
export function checkGrant(data: unknown, { crypto, self, mesh, issuer }: GrantChecks): JoinGrant {
  if (!isFields(data)) throw new GrantError('it is no grant');
  const genesis = checkGenesis(data.genesis, mesh, crypto);
  if (!genesis.ok) throw new GrantError(genesis.message);
  const chain = checkChain(data.chain, self, mesh, crypto);
  if (!chain.ok) throw new GrantError(chain.message);
  const host = checkChain(data.issuer, issuer, mesh, crypto);
  if (!host.ok) throw new GrantError(`the host that answered is no member: ${host.message}`);
  const epochs = readEpochs(data.epochs);
  if (epochs === undefined) throw new GrantError('the epoch secrets are malformed');
  const members = readMembers(data.members, crypto);
  if (members === undefined) throw new GrantError('the list of members is malformed');
  const { donor, grant, snapshot } = data;
  if (typeof donor !== 'string' || chain.value[0]?.heir !== donor)
    throw new GrantError('the donor is not the heir');
  const isGiven = (entry: RingEntry) => entry.owner === self && isDonorsWord(crypto, mesh, entry);
  if (grant !== null && !readEntries(grant)?.every(isGiven)) {
    throw new GrantError('the addresses are not given to this host');
  }
  return {
    genesis: genesis.value,
    issuer: host.value,
    chain: chain.value,
    epochs,
    donor: donor as PeerId,
    grant,
    snapshot,
    members,
  };
}

function open(bytes: Uint8Array): Record<string, unknown> | undefined {
  const decoded = decode(bytes);
  return decoded.ok && isFields(decoded.value) ? decoded.value : undefined;
}

function isName(data: unknown): data is string {
  return typeof data === 'string' && data.length >= 1 && data.length <= 63 && !/\p{C}/u.test(data);
}

/** Words of another host go to a terminal: one short line without control characters. */
function printable(text: string): string {
  return text.replace(/[\p{C}\p{Z}]+/gu, ' ').slice(0, 300);
}
