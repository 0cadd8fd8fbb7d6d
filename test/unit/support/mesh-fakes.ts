import type { Range } from '../../../src/core/address.ts';
import type { Crypto, Identity } from '../../../src/core/crypto.ts';
import type { MeshId, PeerId } from '../../../src/core/ids.ts';
import { type Lineage, successionOf, successorOf } from '../../../src/core/succession.ts';
import { type Keeper, openKeeper } from '../../../src/mesh/keeper.ts';
import type { Membership, OpenMembership } from '../../../src/mesh/membership.ts';
import { type Messenger, RequestError } from '../../../src/mesh/messenger.ts';
import type { RecordEntry, Records } from '../../../src/mesh/records.ts';
import type { Clock } from '../../../src/ports/clock.ts';
import { type ClockView, createVirtualClock, type VirtualClock } from '../../../src/ports/memory/clock.ts';
import { createMemoryCrypto } from '../../../src/ports/memory/crypto.ts';
import { createSeededRandom } from '../../../src/ports/memory/random.ts';
import { createMemoryStore, type MemoryStore } from '../../../src/ports/memory/store.ts';
import type { Random } from '../../../src/ports/random.ts';
import type { Store } from '../../../src/ports/store.ts';

/**
 * A mesh in memory for one part of it at a time: membership is given, records and messages travel with loss, delay and reordering,
 * hosts crash. A crashed host keeps its disk only; what it knew of others is gone.
 */
export interface FakeMesh {
  readonly clock: VirtualClock;
  readonly crypto: Crypto;
  readonly random: Random;
  readonly mesh: MeshId;
  /** Share of messages and record updates that are lost; records are made up for later. */
  loss: number;
  host(name: string): FakeHost;
  /** Who witnesses whom. Set before and changed by tests; hosts hear of it at once. */
  setHeir(peer: FakeHost, heir: FakeHost | undefined): void;
  addMember(host: FakeHost): void;
  /** From now on these hosts know that `host` was removed; all do when none are named. */
  remove(host: FakeHost, ...knownTo: readonly FakeHost[]): void;
  /** The root key names who takes over. */
  setAdopter(peer: FakeHost, adopter: FakeHost): void;
  /** Hosts of different groups cannot reach each other; no groups: all can. */
  partition(...groups: readonly (readonly FakeHost[])[]): void;
}

export interface FakeHost {
  readonly name: string;
  readonly identity: Identity;
  readonly peer: PeerId;
  readonly store: MemoryStore;
  /** Undefined while the host is down. */
  readonly life: FakeLife | undefined;
  /** Crashes at the write of this number, counted from the next start: before it reaches the disk, or after, unacknowledged. */
  crashAt: { readonly write: number; readonly when: 'before' | 'after' } | undefined;
  boot(): Promise<FakeLife>;
  crash(): void;
  /** Sets the wall clock of this life this many milliseconds off. */
  setWallOffset(ms: number): void;
}

export interface FakeLife {
  readonly keeper: Keeper;
  readonly records: Records;
  readonly messenger: Messenger;
  readonly membership: FakeMembership;
  readonly clock: Clock;
  /** Takes records over from another host. */
  hear(entries: readonly SentEntry[]): void;
  all(): readonly SentEntry[];
  answer(from: PeerId, kind: string, body: unknown): Promise<unknown>;
}

export type FakeMembership = Membership & Pick<OpenMembership, 'isKnown' | 'issuedBy'>;

const SHORTEST_DELAY = 2;
const LONGEST_DELAY = 60;
/** Every host tells every other all it knows this often, ms. */
const EXCHANGE = 400;
const WRITE_TIME = 3;

export function createFakeMesh(creatorName: string, seed = 1): FakeMesh {
  const clock = createVirtualClock();
  const crypto = createMemoryCrypto();
  const random = createSeededRandom(seed);
  const { fraction } = random;
  const hosts = new Map<string, FakeHost>();
  const heirs = new Map<PeerId, PeerId>();
  const adopters = new Map<PeerId, PeerId>();
  const members = new Set<PeerId>();
  /** Whom each host knows to be removed. */
  const removals = new Map<PeerId, Set<PeerId>>();
  const watchers = new Set<() => void>();
  let groups: readonly (readonly FakeHost[])[] = [];

  const byPeer = (peer: PeerId) => [...hosts.values()].find((host) => host.peer === peer);
  const reaches = (a: FakeHost, b: FakeHost) =>
    groups.length === 0 || groups.some((group) => group.includes(a) && group.includes(b));
  const changed = () => {
    for (const watcher of [...watchers]) watcher();
  };

  /** Runs `action` at `to` after a while, unless it is lost on the way or there is no way when it arrives. */
  function travel(from: FakeHost, to: FakeHost, action: (life: FakeLife) => void): void {
    if (fraction() < mesh.loss) return;
    clock.setTimer(SHORTEST_DELAY + fraction() * (LONGEST_DELAY - SHORTEST_DELAY), () => {
      if (to.life !== undefined && reaches(from, to)) action(to.life);
    });
  }

  function tellAll(from: FakeHost, entries: readonly SentEntry[]): void {
    for (const to of hosts.values()) {
      if (to !== from) travel(from, to, (life) => life.hear(entries));
    }
  }

  function exchange(): void {
    for (const host of hosts.values()) {
      if (host.life !== undefined) tellAll(host, host.life.all());
    }
    clock.setTimer(EXCHANGE, exchange);
  }

  function createHost(name: string): FakeHost {
    const privateSeed = crypto.hash(new TextEncoder().encode(name));
    const publicKey = crypto.publicKey(privateSeed);
    const identity = { seed: privateSeed, publicKey, peer: crypto.peerId(publicKey) };
    let life: FakeLife | undefined;
    let machine: ClockView = clock.view();
    const host: FakeHost = {
      name,
      identity,
      peer: identity.peer,
      store: createMemoryStore({ clock, latency: WRITE_TIME }),
      crashAt: undefined,
      get life() {
        return life;
      },
      async boot() {
        machine = clock.view();
        const alive = { now: true };
        stopLife = () => {
          alive.now = false;
        };
        const keeper = await openKeeper({ store: mortalStore(host, alive) });
        const messenger = createMessenger(host, machine, alive);
        const records = createRecords(host, keeper, (entries) => tellAll(host, entries));
        life = { keeper, ...records, ...messenger, membership: createMembership(host), clock: machine };
        return life;
      },
      setWallOffset: (ms) => machine.setWallOffset(ms),
      crash() {
        stopLife();
        machine.stop();
        host.store.crash();
        life = undefined;
      },
    };
    let stopLife = () => {};
    return host;
  }

  function createMembership(host: FakeHost): FakeMembership {
    const lineage: Lineage = {
      heirOf: (peer) => heirs.get(peer),
      adopterOf: (peer) => adopters.get(peer),
      namedBy: () => [],
      handedFor: () => [],
      isRemoved: (peer) => removals.get(host.peer)?.has(peer) === true,
    };
    const unused = () => {
      throw new Error('not part of this fake');
    };
    return {
      self: host.peer,
      mesh: mesh.mesh,
      creator: mesh.host(creatorName).peer,
      members: () => [...members].filter((peer) => !lineage.isRemoved(peer)).sort(),
      isMember: (peer) => members.has(peer) && !lineage.isRemoved(peer),
      isRemoved: lineage.isRemoved,
      removed: () => [...(removals.get(host.peer) ?? [])].sort(),
      heirOf: lineage.heirOf,
      needsHeir: () => successorOf(host.peer, lineage) === undefined,
      ...successionOf(lineage),
      isKnown: (peer) => members.has(peer),
      issuedBy: () => [],
      proofOf: unused,
      hearProof: unused,
      credentials: unused,
      admit: unused,
      doors: unused,
      accepts: unused,
      watch(handler) {
        const guarded = () => {
          if (host.life !== undefined) handler();
        };
        watchers.add(guarded);
        return () => watchers.delete(guarded);
      },
    };
  }

  function createMessenger(host: FakeHost, machine: Clock, alive: { readonly now: boolean }) {
    const handlers = new Map<string, (from: PeerId, body: unknown) => unknown>();
    const messenger: Messenger = {
      send: () => false,
      request(to, kind, body, { timeout = 5_000 } = {}) {
        const target = byPeer(to);
        if (!alive.now) return new Promise(() => {});
        if (target?.life === undefined || !reaches(host, target)) {
          return Promise.reject(new RequestError('no-route', `no way to ${target?.name}`));
        }
        return new Promise((resolve, reject) => {
          machine.setTimer(timeout, () => reject(new RequestError('timeout', `no answer to ${kind}`)));
          travel(host, target, (life) => {
            life.answer(host.peer, kind, structuredClone(body)).then(
              (answer) => travel(target, host, () => alive.now && resolve(structuredClone(answer))),
              (error: Error) =>
                travel(target, host, () => alive.now && reject(new RequestError('refused', error.message))),
            );
          });
        });
      },
      handle: (kind, handler) => void handlers.set(kind, handler),
    };
    return {
      messenger,
      async answer(from: PeerId, kind: string, body: unknown) {
        const handler = handlers.get(kind);
        if (handler === undefined) throw new Error(`nobody handles ${kind}`);
        return handler(from, body);
      },
    };
  }

  const mesh: FakeMesh = {
    clock,
    crypto,
    random: random.fork('hosts'),
    mesh: '5a'.repeat(32) as MeshId,
    loss: 0,
    host(name) {
      const host = hosts.get(name) ?? createHost(name);
      hosts.set(name, host);
      return host;
    },
    setHeir(peer, heir) {
      if (heir === undefined) heirs.delete(peer.peer);
      else heirs.set(peer.peer, heir.peer);
      changed();
    },
    addMember(host) {
      members.add(host.peer);
      changed();
    },
    remove(removed, ...knownTo) {
      for (const { peer } of knownTo.length > 0 ? knownTo : hosts.values()) {
        removals.set(peer, (removals.get(peer) ?? new Set()).add(removed.peer));
      }
      changed();
    },
    setAdopter(peer, adopter) {
      adopters.set(peer.peer, adopter.peer);
      changed();
    },
    partition(...split) {
      groups = split;
    },
  };
  mesh.addMember(mesh.host(creatorName));
  clock.setTimer(EXCHANGE, exchange);
  return mesh;
}

/** A disk whose host may die at a write, and which a dead host cannot write to. */
function mortalStore(host: FakeHost, alive: { readonly now: boolean }): Store {
  let writes = 0;
  return {
    read: () => host.store.read(),
    async write(bytes) {
      writes += 1;
      const dies = host.crashAt?.write === writes ? host.crashAt.when : undefined;
      if (alive.now && dies !== 'before') await host.store.write(bytes);
      if (dies !== undefined) {
        host.crashAt = undefined;
        host.crash();
      }
      if (!alive.now) await new Promise(() => {});
    },
  };
}

interface Written {
  readonly value: unknown;
  /** Later writes of one author have greater ones. */
  readonly seq: number;
}

type SentEntry = RecordEntry & Written;

function createRecords(host: FakeHost, keeper: Keeper, tell: (entries: readonly SentEntry[]) => void) {
  const own = keeper.section<Record<string, Written>>(
    'records',
    (data) => data as Record<string, Written>,
    {},
  );
  const known = new Map<PeerId, Map<string, Written>>([[host.peer, new Map(Object.entries(own.get()))]]);
  const watchers = new Set<{ prefix: string; handler: (entry: RecordEntry) => void }>();
  let seq = Math.max(0, ...Object.values(own.get()).map((written) => written.seq));

  function take(entry: SentEntry): void {
    const map = known.get(entry.author) ?? new Map<string, Written>();
    known.set(entry.author, map);
    if ((map.get(entry.key)?.seq ?? 0) >= entry.seq) return;
    map.set(entry.key, { value: entry.value, seq: entry.seq });
    for (const { prefix, handler } of [...watchers]) {
      if (entry.key.startsWith(prefix)) handler(entry);
    }
  }

  const all = (): readonly SentEntry[] =>
    [...known].flatMap(([author, map]) => [...map].map(([key, written]) => ({ author, key, ...written })));
  const records: Records = {
    put: (key, value) => records.putAll(new Map([[key, value]])),
    async putAll(changes) {
      const written = [...changes].map(([key, value]) => [key, { value, seq: ++seq }] as const);
      await own.set({ ...own.get(), ...Object.fromEntries(written) });
      const entries = written.map(([key, item]) => ({ author: host.peer, key, ...item }));
      for (const entry of entries) take(entry);
      tell(entries);
    },
    keep: async () => {},
    get: (author, key) => known.get(author)?.get(key)?.value,
    entries: (prefix) => all().filter(({ key, value }) => key.startsWith(prefix) && value !== undefined),
    watch(prefix, handler) {
      const watcher = { prefix, handler };
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
  const hear = (entries: readonly SentEntry[]) => {
    for (const entry of entries) if (entry.author !== host.peer) take(entry);
  };
  return { records, hear, all };
}

/** 10.32.0.0/12. */
export const MESH_RANGE: Range = { start: 0x0a200000, last: 0x0a2fffff };
