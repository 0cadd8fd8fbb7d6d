import { isDeepStrictEqual } from 'node:util';
import type { Crypto, Identity } from '../../src/core/crypto.ts';
import type { MeshId, PeerId } from '../../src/core/ids.ts';
import { createAddressBook } from '../../src/mesh/address-book.ts';
import { createGossip, type Gossip } from '../../src/mesh/gossip.ts';
import { openKeeper } from '../../src/mesh/keeper.ts';
import { createLinks, type Links } from '../../src/mesh/links.ts';
import { createLiveness, type Liveness } from '../../src/mesh/liveness.ts';
import type { Membership } from '../../src/mesh/membership.ts';
import { createMessenger, type OpenMessenger } from '../../src/mesh/messenger.ts';
import { KEY, type PeerRecord } from '../../src/mesh/records.ts';
import { createRecords, type OpenRecords } from '../../src/mesh/replicated.ts';
import type { Log } from '../../src/ports/log.ts';
import { type ClockView, createVirtualClock, type VirtualClock } from '../../src/ports/memory/clock.ts';
import { createMemoryCrypto } from '../../src/ports/memory/crypto.ts';
import { createSeededRandom, type SeededRandom } from '../../src/ports/memory/random.ts';
import { createMemoryStore, type MemoryStore } from '../../src/ports/memory/store.ts';
import {
  createMemoryNetwork,
  type MemoryNetwork,
  type MemoryTransport,
} from '../../src/ports/memory/transport.ts';
import { noRemovals } from '../unit/support/no-removals.ts';

/**
 * The mesh's gossip under a virtual clock: the real records, links, gossip, liveness and messenger of many peers on a network in memory.
 * Everybody is a member. All that happens follows from the seed.
 */
export interface Simulation {
  readonly seed: number | string;
  readonly clock: VirtualClock;
  readonly network: MemoryNetwork;
  readonly random: SeededRandom;
  readonly peers: readonly SimulatedPeer[];
  /** Links and liveness of all peers as they changed: `1234 p3 up p5`. */
  readonly trace: readonly string[];
  /** Boots all peers, one after the other; resolves when every one reaches every other and all records agree. */
  start(): Promise<void>;
  running(): readonly SimulatedPeer[];
  /** Lets time pass until the condition holds, looked at every `step` ms (default 10); rejects when it does not within `limit` ms. */
  until(condition: () => boolean, limit: number, step?: number): Promise<void>;
  /** Whether the running peers hold the same records. */
  agree(peers?: readonly SimulatedPeer[]): boolean;
  /** Whether each of them finds exactly the others up. */
  seeEachOther(peers?: readonly SimulatedPeer[]): boolean;
  /** The number of open links between running peers. */
  linkCount(): number;
}

export interface SimulatedPeer {
  readonly name: string;
  readonly identity: Identity;
  readonly peer: PeerId;
  readonly store: MemoryStore;
  /** Undefined while it is down. */
  readonly life: Life | undefined;
  boot(): Promise<Life>;
  /** The process is killed: neighbours see resets at once. What was on its way to disk is lost. */
  kill(): void;
  /** The machine loses its power: nothing more is heard of it, and nobody is told. */
  vanish(): void;
  /** Ends as a daemon does that is told to. */
  stop(): Promise<void>;
}

export interface Life {
  readonly address: string;
  readonly clock: ClockView;
  readonly records: OpenRecords;
  readonly links: Links;
  readonly liveness: Liveness;
  readonly gossip: Gossip;
  readonly messenger: OpenMessenger;
}

export interface SimulationOptions {
  readonly peers: number;
  readonly seed: number | string;
  /** One-way milliseconds between peers by number; default 1. */
  readonly latency?: (from: number, to: number) => number;
  readonly loss?: number;
  /** Most links that a peer accepts. */
  readonly degree?: number;
}

export const MESH = '5e'.repeat(32) as MeshId;
const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

export function createSimulation(options: SimulationOptions): Simulation {
  const { seed, latency = () => 1, loss = 0 } = options;
  const clock = createVirtualClock();
  const random = createSeededRandom(seed);
  const crypto = createMemoryCrypto();
  const trace: string[] = [];
  const numbers = new Map<PeerId, number>();
  const network = createMemoryNetwork({
    clock,
    random: random.fork('network'),
    loss,
    latency: (from, to) => latency(numbers.get(from) ?? 0, numbers.get(to) ?? 0),
  });
  const peers: SimulatedPeer[] = [];
  const world: World = { options, clock, random, crypto, network, peers, trace, members: [] };
  for (let number = 0; number < options.peers; number++) {
    const peer = createPeer(world, number);
    numbers.set(peer.peer, number);
    peers.push(peer);
  }
  world.members.push(...peers.map(({ peer }) => peer).sort());

  const running = () => peers.filter(({ life }) => life !== undefined);
  const agree = (some = running()) => {
    const wanted = some[0]?.life?.records.replica.digest();
    return some.every(({ life }) => isDeepStrictEqual(life?.records.replica.digest(), wanted));
  };
  const seeEachOther = (some = running()) => {
    const everybody = some
      .map(({ peer }) => peer)
      .sort()
      .join();
    return some.every(({ life }) => life?.liveness.up().join() === everybody);
  };

  async function until(condition: () => boolean, limit: number, step = 10): Promise<void> {
    const end = clock.now() + limit;
    while (!condition()) {
      if (clock.now() >= end) throw new Error(`not within ${limit} ms: ${condition}`);
      await clock.advance(step);
    }
  }

  return {
    seed,
    clock,
    network,
    until,
    random,
    peers,
    trace,
    async start() {
      for (const peer of peers) {
        await peer.boot();
        await clock.advance(5);
      }
      await until(() => agree() && seeEachOther(), 120_000);
    },
    running,
    agree,
    seeEachOther,
    linkCount: () => running().reduce((sum, { life }) => sum + (life?.links.neighbours().length ?? 0), 0) / 2,
  };
}

/** Runs `story`; a failure says with which seed to see it again. */
export async function withSeed(
  seed: number | string,
  story: (seed: number | string) => Promise<void>,
): Promise<void> {
  try {
    await story(seed);
  } catch (error) {
    throw new Error(`with seed ${JSON.stringify(seed)}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}

interface World {
  readonly options: SimulationOptions;
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly crypto: Crypto;
  readonly network: MemoryNetwork;
  readonly peers: readonly SimulatedPeer[];
  readonly members: PeerId[];
  readonly trace: string[];
}

function createPeer(world: World, number: number): SimulatedPeer {
  const { clock, crypto, peers, trace } = world;
  const random = world.random.fork(`peer ${number}`);
  const name = `p${number}`;
  const seed = random.bytes(32);
  const publicKey = crypto.publicKey(seed);
  const identity: Identity = { seed, publicKey, peer: crypto.peerId(publicKey) };
  const store = createMemoryStore({ clock, latency: 2 });
  const host = `10.0.${number >> 8}.${number & 255}`;
  let life: Life | undefined;
  let transport: MemoryTransport | undefined;
  let vanished = false;
  const nameOf = (peer: PeerId) => peers.find((other) => other.peer === peer)?.name ?? peer;
  const note = (what: string, peer: PeerId) => trace.push(`${clock.now()} ${name} ${what} ${nameOf(peer)}`);

  function wire(act: 'block' | 'unblock'): void {
    for (const { peer } of peers) {
      world.network[act](identity.peer, peer);
      world.network[act](peer, identity.peer);
    }
  }

  async function boot(): Promise<Life> {
    if (vanished) wire('unblock');
    vanished = false;
    const view = clock.view();
    const born = world.network.transport(identity.peer, {
      doorkeeper: () => ({ admit: true, secret: new Uint8Array(32) }),
      clock: view,
      host,
    });
    transport = born;
    const keeper = await openKeeper({ store });
    const records = createRecords({ identity, mesh: MESH, crypto, clock: view, keeper, log: SILENT });
    const membership = everybody(identity.peer, world.members);
    const common = {
      self: identity.peer,
      mesh: MESH,
      crypto,
      clock: view,
      random,
      membership,
      records,
      log: SILENT,
    };
    const boot = Buffer.from(random.bytes(8)).toString('hex');
    const links = createLinks({
      ...common,
      boot,
      nickname: name,
      release: '0.0.0',
      transport: born,
      book: createAddressBook({ keeper, records }),
      view: {
        isUp: (peer) => liveness.isUp(peer),
        count: () => liveness.count(),
        degree: (peer) => liveness.degree(peer),
      },
      ...(world.options.degree === undefined ? {} : { degree: world.options.degree }),
    });
    const liveness = createLiveness({ ...common, links });
    const gossip = createGossip({ ...common, links });
    const messenger = createMessenger({ ...common, links, topology: liveness.topology });
    links.watch({
      up: ({ peer }) => note('links', peer),
      down: ({ peer }) => note('loses', peer),
    });
    liveness.onPeerUp((peer) => note('sees', peer));
    liveness.onPeerDown((peer) => note('misses', peer));
    const [address] = (await born.listen([`${host}:6783`], links.accept)) as [string];
    life = { address, clock: view, records, links, liveness, gossip, messenger };
    const record: PeerRecord = {
      nickname: name,
      version: '0.0.0',
      control: [address],
      data: [],
      boot,
      free: 0,
      degree: 64,
    };
    void records.put(KEY.peer, record);
    const others = peers.filter((other) => other.life !== undefined && other.name !== name);
    const friend = others[Math.floor(random.fraction() * others.length)];
    if (friend?.life !== undefined) links.connect([friend.life.address]);
    return life;
  }

  function end(): void {
    life?.clock.stop();
    life = undefined;
    store.crash();
  }

  return {
    name,
    identity,
    peer: identity.peer,
    store,
    get life() {
      return life;
    },
    boot,
    kill() {
      transport?.kill();
      end();
    },
    vanish() {
      // Cut off first, so that its neighbours are not told: they are when the wires are whole again, as by the kernel of a machine that is back.
      wire('block');
      transport?.kill();
      vanished = true;
      end();
    },
    async stop() {
      if (life === undefined) return;
      const { links, gossip, liveness, messenger, records } = life;
      for (const part of [gossip, liveness, messenger, links]) part.close();
      await Promise.all([records.flush(), clock.advance(20)]);
      records.close();
      await transport?.close();
      end();
    },
  };
}

/** A membership that was settled before the story begins. Thousands of peers share one `set` of their members. */
export function everybody(
  self: PeerId,
  members: readonly PeerId[],
  set: ReadonlySet<PeerId> = new Set(members),
): Membership {
  return {
    self,
    mesh: MESH,
    creator: members[0] ?? self,
    members: () => members,
    isMember: (peer) => set.has(peer),
    ...noRemovals(),
    credentials: () => null,
    admit: () => ({ ok: true }),
    doors: () => [{ name: 'epoch/0000000000000000/1', secret: new Uint8Array(32) }],
    accepts: () => ({ admit: true, secret: new Uint8Array(32) }),
    watch: () => () => {},
  };
}
