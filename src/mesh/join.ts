import type { Crypto, Identity } from '../core/crypto.ts';
import type { MeshId, PeerId } from '../core/ids.ts';
import { joinDoor, type Token } from '../core/token.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import { DialError, type DialFailure, type Link, type Transport } from '../ports/transport.ts';
import { type Conversation, ConversationError, converse } from './conversation.ts';
import {
  checkGrant,
  decodeFromIssuer,
  encodeJoin,
  GrantError,
  type JoinGrant,
  type JoinRefusal,
  type JoinRequest,
} from './join-messages.ts';
import type { MembershipState, MembershipStateSection } from './membership-state.ts';

/**
 * The joiner's side (messages: join-messages.ts). What the issuer gives is checked against the root key's hash in the token and stored as
 * `joining`; only when the issuer has confirmed does it become `member`. Broken off anywhere, the same call with the same token goes on.
 */
export interface JoinParts {
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly identity: Identity;
  readonly transport: Transport;
  readonly state: MembershipStateSection;
  readonly log: Log;
  /** What the issuer's log and status say of this host. */
  readonly about: JoinRequest;
}

export interface Joined {
  readonly mesh: MeshId;
  /** False when this host was a member of that mesh before. */
  readonly fresh: boolean;
}

export type JoinErrorCode =
  | Exclude<DialFailure | JoinRefusal, 'timeout' | 'bad-address' | 'failed' | 'bad-request'>
  | 'dial-timeout'
  | 'bad-peer-address'
  | 'other-mesh'
  /** The issuer failed, or spoke nonsense. */
  | 'join-failed';

export class JoinError extends Error {
  readonly code: JoinErrorCode;
  /** What the host that was asked did, where asking again in a moment may do: `is busy`. */
  readonly passing: string | undefined;
  constructor(code: JoinErrorCode, message: string, passing: string | undefined = PASSING[code]) {
    super(message);
    this.name = 'JoinError';
    this.code = code;
    this.passing = passing;
  }
}

const PASSING: Readonly<Partial<Record<JoinErrorCode, string>>> = {
  busy: 'is busy',
  'dial-timeout': 'did not answer in time',
  'old-epoch': 'is changing the keys of the mesh',
};

/** An issuer serves its very first joiners one after another. */
const PATIENCE = 90_000;

/** What to do, by what went wrong. */
const ADVICE: Readonly<Record<JoinErrorCode, string>> = {
  'wrong-mesh':
    'a host of another mesh answered: check the addresses, or make a new token with `weft invite`',
  'unknown-token': 'the host that answered does not know the token: make a new one with `weft invite`',
  expired: 'the token has expired: make a new one with `weft invite`',
  'used-up': 'the token has been used as often as it may be: make a new one with `weft invite --uses N`',
  removed:
    'this host was removed from the mesh: run `weft down`, move its state folder away, and join as a new one',
  'old-epoch': 'the keys of the mesh are being changed: try again',
  busy: 'the host that answered is busy: try again in a few seconds',
  'no-space':
    'the mesh could not give addresses to this host: see `weft status ipam` on a member, and try again',
  'too-deep': 'the host that answered is too far from the creator of the mesh: make the token on another one',
  unreachable:
    'no address in the token could be reached: check them, and that TCP and UDP port 6783 are open',
  'dial-timeout': 'no address in the token answered in time: check that TCP and UDP port 6783 are open',
  'bad-secret':
    'the token is not genuine, or somebody answers in the name of its issuer: make a new one with `weft invite`',
  self: 'the token leads back to this host: run `weft join` on the host that shall join',
  'bad-peer-address': 'no address in the token can be dialled from here: make a new one with `weft invite`',
  'other-mesh': 'this host is a member of another mesh: run `weft down` and move its state folder away first',
  'join-failed': 'the host that answered failed: see its log, then run the same command again',
};

/** Of several failed addresses, the one that says most about the token comes first. */
const TELLING: readonly DialFailure[] = [
  'removed',
  'used-up',
  'expired',
  'busy',
  'bad-secret',
  'old-epoch',
  'unknown-token',
  'wrong-mesh',
  'timeout',
  'unreachable',
  'self',
  'bad-address',
];

/** Resolves when this host is a member and that is on disk. Rejects with JoinError, whose message says what to do. */
export async function joinMesh(parts: JoinParts, token: Token, signal?: AbortSignal): Promise<Joined> {
  const { state, clock } = parts;
  const before = state.get();
  if (before?.phase === 'member') {
    if (before.genesis.mesh !== token.mesh) throw failure('other-mesh');
    return { mesh: token.mesh, fresh: false };
  }
  const link = await dialAny(parts, token, signal);
  const talk = converse({ link, clock, patience: PATIENCE, decode: decodeFromIssuer });
  const abort = () => talk.close();
  signal?.addEventListener('abort', abort);
  try {
    await becomeMember(parts, token, talk, link.remote);
  } catch (error) {
    throw conversationFailure(error);
  } finally {
    signal?.removeEventListener('abort', abort);
    talk.close();
  }
  return { mesh: token.mesh, fresh: true };
}

async function becomeMember(
  { crypto, identity, state, log, about }: JoinParts,
  { mesh }: Token,
  talk: Conversation<FromIssuer>,
  issuer: PeerId,
): Promise<void> {
  talk.send(encodeJoin({ t: 'join', ...about }));
  const data = await expectGrant(talk);
  const grant = checkGrant(data, { crypto, self: identity.peer, mesh, issuer });
  const joining = stateOf(grant, state.get());
  await state.set({ ...joining, phase: 'joining' });
  talk.send(encodeJoin({ t: 'stored' }));
  const answer = await talk.next();
  if (answer.t === 'refused') throw refused(answer);
  if (answer.t !== 'complete') throw failure('join-failed');
  await state.set({ ...joining, phase: 'member' });
  talk.send(encodeJoin({ t: 'done' }));
  log.info('joined the mesh', { mesh, issuer, donor: grant.donor });
}

type FromIssuer = NonNullable<ReturnType<typeof decodeFromIssuer>>;

async function expectGrant(talk: Conversation<FromIssuer>): Promise<unknown> {
  const answer = await talk.next();
  if (answer.t === 'refused') throw refused(answer);
  if (answer.t !== 'unchecked') throw failure('join-failed');
  return answer.data;
}

/** A grant that was stored by an earlier attempt stays when the issuer, who knows this host as a member by now, sends none. */
function stateOf(reply: JoinGrant, before: MembershipState | null): Omit<MembershipState, 'phase'> {
  const { genesis, chain, epochs, donor, snapshot, members } = reply;
  const earlier = before?.genesis.mesh === genesis.mesh ? before.arrival : null;
  const grant = reply.grant ?? earlier?.grant ?? null;
  const arrival = { donor, grant, snapshot, members };
  return { genesis, chain, epochs, serial: 0, rootSeed: null, arrival, removal: [] };
}

/** The first address that answers wins; the others are given up. */
async function dialAny({ crypto, transport }: JoinParts, token: Token, signal?: AbortSignal): Promise<Link> {
  const door = joinDoor(token, crypto);
  const others = new AbortController();
  const giveUp = () => others.abort();
  signal?.addEventListener('abort', giveUp);
  if (signal?.aborted) giveUp();
  const failures = new Map<string, DialError>();
  const dials = [...new Set(token.addresses)].map(async (address) => {
    try {
      return await transport.dial(address, door, others.signal);
    } catch (error) {
      const cause = error instanceof DialError ? error : new DialError('unreachable', String(error));
      failures.set(address, cause);
      throw cause;
    }
  });
  try {
    const winner = await Promise.any(dials);
    for (const dial of dials) dial.then((link) => link !== winner && link.close()).catch(() => {});
    return winner;
  } catch {
    throw dialFailure(failures);
  } finally {
    signal?.removeEventListener('abort', giveUp);
    giveUp();
  }
}

function dialFailure(failures: ReadonlyMap<string, DialError>): JoinError {
  const reasons = [...failures.values()].map(({ reason }) => reason);
  const worst = TELLING.find((reason) => reasons.includes(reason)) ?? 'unreachable';
  const tried = [...failures].map(([address, { reason }]) => `${address}: ${reason}`);
  if (worst === 'timeout') return failure('dial-timeout', tried);
  return failure(worst === 'bad-address' ? 'bad-peer-address' : worst, tried);
}

function refused({ reason, message }: { readonly reason: JoinRefusal; readonly message: string }): JoinError {
  if (reason === 'failed' || reason === 'bad-request') return failure('join-failed', [message]);
  return failure(reason, reason === 'no-space' || reason === 'too-deep' ? [message] : []);
}

function conversationFailure(error: unknown): unknown {
  if (error instanceof ConversationError) {
    if (error.reason === 'malformed') return failure('join-failed', [error.message]);
    const message = `the link to the issuer broke off (${error.message}): run the same command again, nothing is lost`;
    return new JoinError('unreachable', message, 'broke off');
  }
  return error instanceof GrantError ? failure('bad-secret', [error.message]) : error;
}

function failure(code: JoinErrorCode, details: readonly string[] = []): JoinError {
  const told = details.length > 0 ? ` (${details.join(', ')})` : '';
  return new JoinError(code, ADVICE[code] + told);
}
