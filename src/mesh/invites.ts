import { toHex } from '../core/bytes.ts';
import { type Chain, MAX_CHAIN } from '../core/certificate.ts';
import type { Crypto } from '../core/crypto.ts';
import type { MeshId, PeerId } from '../core/ids.ts';
import { encodeToken, isTokenAddress, joinDoor, MAX_TOKEN_ADDRESSES, readJoinDoor } from '../core/token.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Random } from '../ports/random.ts';
import type { Admission } from '../ports/transport.ts';
import type { Invite, InviteStateSection } from './invite-state.ts';

/**
 * The tokens that this peer issued. It alone judges them, and of a token's lifetime it counts only time that it has itself seen go by on
 * its monotonic clock: no wall clock, its own or a joiner's, lets anybody in or keeps anybody out.
 *
 * What is left of the lifetime goes to disk, always as it will be CHARGED_AHEAD later and anew before that time has come. So a crash can
 * only shorten it, by at most CHARGED_AHEAD; after an orderly stop it is exact. While the daemon is down a token does not age.
 */
export interface Invites {
  /** On disk when it resolves to the text to paste. Rejects with InviteError. */
  issue(options: { readonly ttl: number; readonly uses: number }): Promise<IssuedInvite>;
  /** Never with the secret. Oldest first. */
  list(): readonly InviteStatus[];
  /** False when there is no such token. On disk when it resolves: from then on it is an unknown one. */
  revoke(id: string): Promise<boolean>;
  /** For the Doorkeeper, for doors that begin with `join/`. */
  accepts(doorName: string): Admission;
  /** Takes one use for the peer unless it has one already. On disk when it resolves. */
  redeem(id: string, peer: PeerId): Promise<'ok' | 'unknown-token' | 'expired' | 'used-up'>;
  /** The peer has all it needs and will not come back with this token. */
  settle(id: string, peer: PeerId): Promise<void>;
  /** Stops the clock of every token, on disk when it resolves. */
  close(): Promise<void>;
}

export interface IssuedInvite {
  readonly id: string;
  /** To be shown once and never logged. */
  readonly token: string;
  readonly expires: number;
}

export interface InviteStatus {
  readonly id: string;
  readonly state: 'open' | 'expired' | 'used-up';
  readonly uses: number;
  /** Who used it. */
  readonly peers: readonly PeerId[];
  /** Milliseconds of its lifetime that are left. */
  readonly left: number;
  /** By the wall clock when it was issued: for people. */
  readonly issued: number;
}

export class InviteError extends Error {
  readonly code = 'bad-request';
  constructor(message: string) {
    super(message);
    this.name = 'InviteError';
  }
}

export const MIN_TTL = 1_000;
export const MAX_TTL = 366 * 86_400_000;
export const MAX_USES = 1_000;
/** How much a crash may take from a token's lifetime. */
export const CHARGED_AHEAD = 60_000;
const MAX_OPEN = 1_000;
/** Tokens that open nothing any more are remembered so that a joiner hears why. */
const MAX_CLOSED = 64;

export interface InviteParts {
  readonly crypto: Crypto;
  readonly random: Random;
  readonly clock: Clock;
  readonly mesh: MeshId;
  /** How far this peer is from the root key. */
  readonly membership: { readonly chain: Chain };
  readonly state: InviteStateSection;
  readonly log: Log;
  /** `host:port` where this peer can be dialled. */
  readonly addresses: () => readonly string[];
}

interface Open extends Invite {
  /** On the monotonic clock. */
  readonly deadline: number;
}

export function createInvites(parts: InviteParts): Invites {
  const { crypto, random, clock, mesh, membership, state, log, addresses } = parts;
  let invites: readonly Open[] = state
    .get()
    .map((invite) => ({ ...invite, deadline: clock.now() + invite.left }));
  let timer: Timer | undefined;
  let closed = false;

  const isExpired = (invite: Open) => clock.now() >= invite.deadline;
  const isUsedUp = (invite: Open) => invite.peers.length >= invite.uses;
  const find = (id: string) => invites.find((invite) => invite.id === id);

  /** What is left is rounded down: a token never gains by being written. */
  function store(ahead: number): Promise<void> {
    const now = clock.now();
    return state.set(
      invites.map(({ deadline, ...invite }) => ({
        ...invite,
        left: Math.max(0, Math.floor(deadline - now - ahead)),
      })),
    );
  }

  function change(next: readonly Open[]): Promise<void> {
    invites = next;
    charge();
    return store(CHARGED_AHEAD);
  }

  /** Writes anew, in good time, while any token is alive. */
  function charge(): void {
    if (timer !== undefined || closed || invites.every(isExpired)) return;
    timer = clock.setTimer(CHARGED_AHEAD / 2, () => {
      timer = undefined;
      store(CHARGED_AHEAD).catch((error) => {
        log.error('the lifetime of join tokens could not be stored', { error: String(error) });
      });
      charge();
    });
  }

  function withoutForgotten(): readonly Open[] {
    const isClosed = (invite: Open) => isExpired(invite) || isUsedUp(invite);
    const forgotten = new Set(invites.filter(isClosed).slice(0, -MAX_CLOSED));
    return invites.filter((invite) => !forgotten.has(invite));
  }

  function checkOptions(ttl: number, uses: number, reachable: readonly string[]): void {
    if (!Number.isFinite(ttl) || ttl < MIN_TTL || ttl > MAX_TTL) {
      throw new InviteError('a token lives for one second to 366 days');
    }
    if (!Number.isInteger(uses) || uses < 1 || uses > MAX_USES) {
      throw new InviteError(`a token is for 1 to ${MAX_USES} hosts`);
    }
    if (membership.chain.length >= MAX_CHAIN) {
      throw new InviteError(
        `${MAX_CHAIN} hosts have joined one through the other up to this one: make the token on another host`,
      );
    }
    if (reachable.length === 0) {
      throw new InviteError(
        'this host listens on no address that others could dial: make the token on another host',
      );
    }
    if (invites.filter((invite) => !isExpired(invite)).length >= MAX_OPEN) {
      throw new InviteError(`there are ${MAX_OPEN} open tokens: withdraw some first`);
    }
  }

  charge();
  if (invites.length > 0) {
    store(CHARGED_AHEAD).catch((error) =>
      log.error('join tokens could not be stored', { error: String(error) }),
    );
  }
  return {
    async issue({ ttl, uses }) {
      const reachable = addresses().filter(isTokenAddress).slice(0, MAX_TOKEN_ADDRESSES);
      checkOptions(ttl, uses, reachable);
      const id = toHex(random.bytes(16));
      const secret = random.bytes(32);
      const issued = clock.wall();
      const expires = Math.max(0, Math.round(issued + ttl));
      const token = encodeToken({ mesh, id, secret, expires, uses, addresses: reachable }, crypto);
      const invite = { id, secret, uses, peers: [], issued, left: ttl, deadline: clock.now() + ttl };
      try {
        await change([...withoutForgotten(), invite]);
      } catch (error) {
        // Nobody will ever hold this token.
        invites = invites.filter((one) => one !== invite);
        throw error;
      }
      return { id, token, expires };
    },
    list: () =>
      invites.map((invite) => ({
        id: invite.id,
        state: isExpired(invite) ? 'expired' : isUsedUp(invite) ? 'used-up' : 'open',
        uses: invite.uses,
        peers: invite.peers.map(({ peer }) => peer),
        left: Math.max(0, invite.deadline - clock.now()),
        issued: invite.issued,
      })),
    async revoke(id) {
      if (find(id) === undefined) return false;
      await change(invites.filter((invite) => invite.id !== id));
      return true;
    },
    accepts(doorName) {
      const door = readJoinDoor(doorName);
      if (door === undefined) return { admit: false, reason: 'unknown-token' };
      if (door.mesh !== mesh.slice(0, 16)) return { admit: false, reason: 'wrong-mesh' };
      const invite = find(door.id);
      if (invite === undefined) return { admit: false, reason: 'unknown-token' };
      if (isExpired(invite)) return { admit: false, reason: 'expired' };
      // While one of its peers may have to come back, the door stays open; `redeem` knows who it is.
      if (isUsedUp(invite) && invite.peers.every(({ settled }) => settled))
        return { admit: false, reason: 'used-up' };
      return { admit: true, secret: joinDoor({ mesh, ...invite }, crypto).secret };
    },
    async redeem(id, peer) {
      const invite = find(id);
      if (invite === undefined) return 'unknown-token';
      if (isExpired(invite)) return 'expired';
      const known = invite.peers.some((user) => user.peer === peer);
      if (!known && isUsedUp(invite)) return 'used-up';
      const used = known ? invite : { ...invite, peers: [...invite.peers, { peer, settled: false }] };
      // A known peer waits for the disk as well: its first attempt may not have got there.
      await change(invites.map((one) => (one === invite ? used : one)));
      return 'ok';
    },
    async settle(id, peer) {
      const settle = (user: Invite['peers'][number]) => (user.peer === peer ? { peer, settled: true } : user);
      await change(invites.map((one) => (one.id === id ? { ...one, peers: one.peers.map(settle) } : one)));
    },
    async close() {
      closed = true;
      timer?.cancel();
      await store(0);
    },
  };
}
