import type { Identity } from '../../../src/core/crypto.ts';
import { DEFAULT_NETWORK, type PeerId } from '../../../src/core/ids.ts';
import { type RingEntry, signChange } from '../../../src/core/ring-entry.ts';
import { decodeToken, type Token } from '../../../src/core/token.ts';
import { type Admissions, createAdmissions, openAdmissionState } from '../../../src/mesh/admissions.ts';
import { openInviteState } from '../../../src/mesh/invite-state.ts';
import { createInvites, type Invites } from '../../../src/mesh/invites.ts';
import { type Joined, joinMesh } from '../../../src/mesh/join.ts';
import { openKeeper } from '../../../src/mesh/keeper.ts';
import { createMembership, type OpenMembership } from '../../../src/mesh/membership.ts';
import {
  foundMesh,
  type MembershipStateSection,
  openMembershipState,
} from '../../../src/mesh/membership-state.ts';
import { createRecords, type OpenRecords } from '../../../src/mesh/replicated.ts';
import type { Space } from '../../../src/mesh/space.ts';
import type { Log } from '../../../src/ports/log.ts';
import { type ClockView, createVirtualClock } from '../../../src/ports/memory/clock.ts';
import { createMemoryCrypto } from '../../../src/ports/memory/crypto.ts';
import { createSeededRandom } from '../../../src/ports/memory/random.ts';
import { createMemoryStore, type MemoryStore } from '../../../src/ports/memory/store.ts';
import { createMemoryNetwork, type MemoryTransport } from '../../../src/ports/memory/transport.ts';
import { RANGE } from './membership-world.ts';

/** One machine: what is on its disk stays through crashes, everything else is made anew. */
export interface Machine {
  readonly identity: Identity;
  readonly store: MemoryStore;
  readonly host: string | undefined;
}

export interface Issuer extends Machine {
  readonly clock: ClockView;
  readonly transport: MemoryTransport;
  readonly membership: OpenMembership;
  readonly records: OpenRecords;
  readonly invites: Invites;
  readonly admissions: Admissions;
  readonly spoken: readonly string[];
}

export interface Joiner extends Machine {
  readonly clock: ClockView;
  readonly transport: MemoryTransport;
  readonly state: MembershipStateSection;
  join(token: string | Token, signal?: AbortSignal): Promise<Joined>;
}

export function createJoinWorld({ crypto = createMemoryCrypto(), latency = 1, disk = 2 } = {}) {
  const clock = createVirtualClock();
  const random = createSeededRandom('join');
  const network = createMemoryNetwork({ clock, random: random.fork('network'), latency });
  /** Survives like the ring does: what was given to a peer is repeated to it. */
  const given = new Map<PeerId, RingEntry>();

  function newMachine(): Machine {
    const seed = random.bytes(32);
    const publicKey = crypto.publicKey(seed);
    const identity = { seed, publicKey, peer: crypto.peerId(publicKey) };
    return { identity, store: createMemoryStore({ clock, latency: disk }), host: undefined };
  }

  function createSpace(
    { identity }: Machine,
    membership: OpenMembership,
  ): Pick<Space, 'grant' | 'grantFromBest' | 'pendingDonations'> {
    async function grant(to: PeerId): Promise<readonly RingEntry[]> {
      await new Promise<void>((resolve) => void clock.setTimer(1, resolve));
      const start = RANGE.start + 0x100 * (given.size + 1);
      const change = { start, last: start + 0xff, network: DEFAULT_NETWORK, owner: to, epoch: 0, version: 1 };
      const entry =
        given.get(to) ?? signChange(crypto, identity, membership.mesh, { ...change, donor: identity.peer });
      given.set(to, entry);
      return [entry];
    }
    return {
      grant,
      grantFromBest: async (to) => ({ donor: identity.peer, entries: await grant(to) }),
      pendingDonations: () => [...given.values()].map((entry) => ({ ...entry, witness: entry.owner })),
    };
  }

  async function startIssuer(machine: Machine, makeSpace = createSpace): Promise<Issuer> {
    const { identity, store } = machine;
    const view = clock.view();
    const spoken: string[] = [];
    const log = listeningLog(spoken);
    const keeper = await openKeeper({ store });
    const state = openMembershipState(keeper, { crypto, identity });
    if (state.get() === null) await foundMesh({ crypto, random, identity, state, range: RANGE });
    const mesh = state.get()?.genesis.mesh ?? ('' as never);
    const records = createRecords({ identity, mesh, crypto, clock: view, keeper, log });
    const membership = createMembership({ crypto, identity, state, records, log });
    await membership.publish();
    let host = machine.host ?? '';
    const addresses = () => [`${host}:6783`];
    const invites = createInvites({
      crypto,
      random,
      clock: view,
      mesh,
      membership,
      state: openInviteState(keeper),
      log,
      addresses,
    });
    const admissions = createAdmissions({
      crypto,
      clock: view,
      membership,
      invites,
      space: makeSpace(machine, membership),
      records,
      state: openAdmissionState(keeper, { crypto, mesh }),
      book: { learn() {} },
      log,
      snapshot: records.snapshot,
    });
    const transport = network.transport(identity.peer, {
      clock: view,
      doorkeeper: (name) => invites.accepts(name),
      ...(machine.host === undefined ? {} : { host: machine.host }),
    });
    host = transport.host;
    await transport.listen(['0.0.0.0:6783'], admissions.accept);
    return {
      identity,
      store,
      host,
      clock: view,
      transport,
      membership,
      records,
      invites,
      admissions,
      spoken,
    };
  }

  async function startJoiner(machine: Machine = newMachine()): Promise<Joiner> {
    const { identity, store } = machine;
    const view = clock.view();
    const state = openMembershipState(await openKeeper({ store }), { crypto, identity });
    const transport = network.transport(identity.peer, {
      clock: view,
      doorkeeper: () => ({ admit: false, reason: 'busy' }),
      ...(machine.host === undefined ? {} : { host: machine.host }),
    });
    const log = listeningLog([]);
    const about = { nickname: 'joiner', version: '1', control: [], data: [] };
    return {
      identity,
      store,
      host: transport.host,
      clock: view,
      transport,
      state,
      join(token, signal) {
        const parsed = typeof token === 'string' ? decodeToken(token, crypto) : token;
        return joinMesh({ crypto, clock: view, identity, transport, state, log, about }, parsed, signal);
      },
    };
  }

  /** kill -9 of a daemon, and of the machine's page cache. */
  function crash(machine: Issuer | Joiner): Machine {
    machine.transport.kill();
    machine.clock.stop();
    machine.store.crash();
    return machine;
  }

  return { crypto, clock, network, given, newMachine, createSpace, startIssuer, startJoiner, crash };
}

export type JoinWorld = ReturnType<typeof createJoinWorld>;

export async function within<T>(clock: JoinWorld['clock'], promise: Promise<T>, limit = 300_000): Promise<T> {
  let settled = false;
  const watched = promise.finally(() => {
    settled = true;
  });
  watched.catch(() => {});
  await clock.runUntil(() => settled, limit);
  return watched;
}

function listeningLog(spoken: string[]): Log {
  const say = (message: string, fields?: unknown) => void spoken.push(`${message} ${JSON.stringify(fields)}`);
  return { debug: say, info: say, warn: say, error: say };
}
