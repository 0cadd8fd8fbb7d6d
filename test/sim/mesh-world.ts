import { parseIpv4, type Range } from '../../src/core/address.ts';
import type { Crypto, Identity } from '../../src/core/crypto.ts';
import { DEFAULT_NETWORK, type EndpointId, type PeerId } from '../../src/core/ids.ts';
import { decodeToken } from '../../src/core/token.ts';
import { type Joined, joinMesh } from '../../src/mesh/join.ts';
import { type OpenedKeeper, openKeeper } from '../../src/mesh/keeper.ts';
import {
  foundMesh,
  type MembershipStateSection,
  openMembershipState,
} from '../../src/mesh/membership-state.ts';
import { type Mesh, startMesh } from '../../src/mesh/mesh.ts';
import type { Allocation } from '../../src/mesh/space.ts';
import type { Log } from '../../src/ports/log.ts';
import { type ClockView, createVirtualClock, type VirtualClock } from '../../src/ports/memory/clock.ts';
import { createMemoryCrypto } from '../../src/ports/memory/crypto.ts';
import { createMemoryWire } from '../../src/ports/memory/datagram-wire.ts';
import { type MemoryDatapath, openMemoryDatapath } from '../../src/ports/memory/datapath.ts';
import { createSeededRandom, type SeededRandom } from '../../src/ports/memory/random.ts';
import { createMemoryStore } from '../../src/ports/memory/store.ts';
import {
  createMemoryNetwork,
  type MemoryNetwork,
  type MemoryTransport,
} from '../../src/ports/memory/transport.ts';
import type { Store } from '../../src/ports/store.ts';
import type { Doorkeeper } from '../../src/ports/transport.ts';

/**
 * Whole hosts but for the kernel: `startMesh` as the daemon runs it, over a network, disks and packet paths in memory and under a virtual
 * clock. Hosts found and join a mesh with real tokens. All that happens follows from the seed.
 */
export interface MeshWorld {
  readonly seed: number | string;
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly crypto: Crypto;
  readonly hosts: readonly SimHost[];
  /** What happened, a line each: `1234 h3 joins through h1`. */
  readonly trace: readonly string[];
  /** A machine on which weft is installed. */
  addHost(options?: { wallOffset?: number }): SimHost;
  /** One way only; control and data plane. */
  block(from: SimHost, to: SimHost): void;
  unblock(from: SimHost, to: SimHost): void;
  partition(...groups: readonly (readonly SimHost[])[]): void;
  heal(): void;
  /** Resets the links between two hosts. */
  cut(a: SimHost, b: SimHost): void;
  setLatency(of: (from: number, to: number) => number): void;
  /** Hosts whose mesh runs. */
  running(): readonly SimHost[];
  note(line: string): void;
  /** Lets time pass until the promise has settled; rejects when that takes longer than `limit` virtual ms. */
  settled<T>(promise: Promise<T>, limit?: number): Promise<T>;
  until(condition: () => boolean, limit: number, step?: number): Promise<void>;
}

/** A host in its lives. Identity and disk stay; everything else is made anew. */
export interface SimHost {
  readonly name: string;
  readonly number: number;
  readonly peer: PeerId;
  readonly address: string;
  /** Undefined while it is down or in no mesh. */
  readonly mesh: Mesh | undefined;
  readonly datapath: MemoryDatapath | undefined;
  /** Packets that came out of the device in this life. */
  readonly received: readonly Uint8Array[];
  /** Grows with each crash or stop: what was begun in an earlier life may never settle. */
  readonly life: number;
  /** Of this life. */
  readonly log: readonly string[];
  isMember(): boolean;
  /** Whether it has ever been up as a member. */
  wasMember(): boolean;
  found(range?: Range): Promise<void>;
  invite(uses?: number): Promise<string>;
  join(token: string, signal?: AbortSignal): Promise<Joined>;
  /** A daemon that starts again on what is on disk; in a mesh only when it was in one. */
  boot(): Promise<void>;
  /** kill -9, and what was on the way to disk is lost. */
  crash(): void;
  /** `systemctl stop`. */
  stop(): Promise<void>;
  allocate(endpoint: string, options?: { wanted?: string; timeout?: number }): Promise<Allocation>;
  release(endpoint: string): Promise<void>;
}

export const RANGE: Range = { start: 0x0a20_0000, last: 0x0a2f_ffff };
const PORT = 6783;
const DISK = 2;
const TTL = 86_400_000;

export function createMeshWorld(options: { seed: number | string; latency?: number }): MeshWorld {
  const { seed } = options;
  const clock = createVirtualClock();
  const random = createSeededRandom(seed);
  const crypto = createMemoryCrypto();
  const hosts: SimHost[] = [];
  const trace: string[] = [];
  const byPeer = new Map<PeerId, SimHost>();
  const byAddress = new Map<string, SimHost>();
  const blocked = new Set<string>();
  let latency: (from: number, to: number) => number = () => options.latency ?? 1;
  const network = createMemoryNetwork({
    clock,
    random: random.fork('network'),
    latency: (from, to) => latency(byPeer.get(from)?.number ?? 0, byPeer.get(to)?.number ?? 0),
  });
  const wire = createMemoryWire({ clock, latency: 1 });
  wire.setFilter(
    (from, to) => !blocked.has(`${byAddress.get(from.address)?.peer}>${byAddress.get(to.address)?.peer}`),
  );
  const note = (line: string) => void trace.push(`${Math.round(clock.now())} ${line}`);

  function block(from: SimHost, to: SimHost): void {
    blocked.add(`${from.peer}>${to.peer}`);
    network.block(from.peer, to.peer);
  }

  function settled<T>(promise: Promise<T>, limit = 300_000): Promise<T> {
    let done = false;
    const watched = promise.finally(() => {
      done = true;
    });
    watched.catch(() => {});
    return clock.runUntil(() => done, limit).then(() => watched);
  }

  return {
    seed,
    clock,
    random,
    crypto,
    hosts,
    trace,
    note,
    settled,
    block,
    addHost({ wallOffset = 0 } = {}) {
      const host = createHost({ clock, random, crypto, network, wire, note }, hosts.length, wallOffset);
      hosts.push(host);
      byPeer.set(host.peer, host);
      byAddress.set(host.address, host);
      return host;
    },
    unblock(from, to) {
      blocked.delete(`${from.peer}>${to.peer}`);
      network.unblock(from.peer, to.peer);
    },
    partition(...groups) {
      for (const group of groups) {
        for (const other of groups) {
          if (other === group) continue;
          for (const from of group) for (const to of other) block(from, to);
        }
      }
    },
    heal() {
      blocked.clear();
      network.heal();
    },
    cut: (a, b) => network.cut(a.peer, b.peer),
    setLatency(of) {
      latency = of;
    },
    running: () => hosts.filter(({ mesh }) => mesh !== undefined),
    async until(condition, limit, step = 10) {
      const end = clock.now() + limit;
      while (!condition()) {
        if (clock.now() >= end) throw new Error(`not within ${limit} ms: ${condition}`);
        await clock.advance(step);
      }
    },
  };
}

interface HostParts {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly crypto: Crypto;
  readonly network: MemoryNetwork;
  readonly wire: ReturnType<typeof createMemoryWire>;
  readonly note: (line: string) => void;
}

/** One process: what it holds is gone with it. */
interface Life {
  readonly clock: ClockView;
  readonly keeper: OpenedKeeper;
  readonly state: MembershipStateSection;
  readonly transports: Set<MemoryTransport>;
  readonly received: Uint8Array[];
  readonly log: string[];
  datapath: MemoryDatapath | undefined;
  mesh: Mesh | undefined;
}

function createHost(parts: HostParts, number: number, wallOffset: number): SimHost {
  const { clock, crypto, network, wire, note } = parts;
  const random = parts.random.fork(`host ${number}`);
  const name = `h${number}`;
  const address = `198.18.${number >> 8}.${(number & 255) + 1}`;
  const seed = random.bytes(32);
  const publicKey = crypto.publicKey(seed);
  const identity: Identity = { seed, publicKey, peer: crypto.peerId(publicKey) };
  const disk = createMemoryStore({ clock, latency: DISK });
  const settings = {
    nickname: name,
    release: '0.0.0',
    listen: [`0.0.0.0:${PORT}`],
    reach: { control: [`${address}:${PORT}`], data: [`${address}:${PORT}`] },
    aes: number % 2 === 0,
  };
  let life: Life | undefined;
  let lives = 0;
  let member = false;

  /** A dead process does not write, even where its promises go on. */
  function diskOf(born: number): Store {
    const dead = () => new Promise<never>(() => {});
    return {
      read: () => disk.read(),
      write: (bytes) => (born === lives ? disk.write(bytes) : dead()),
    };
  }

  async function start(): Promise<Life> {
    if (life !== undefined) return life;
    const view = clock.view();
    view.setWallOffset(wallOffset);
    const log: string[] = [];
    const keeper = await openKeeper({ store: diskOf(lives), log: listeningLog(log) });
    const state = openMembershipState(keeper, { crypto, identity });
    life = {
      clock: view,
      keeper,
      state,
      transports: new Set(),
      received: [],
      log,
      datapath: undefined,
      mesh: undefined,
    };
    return life;
  }

  function openTransport(here: Life, doorkeeper: Doorkeeper): MemoryTransport {
    const transport = network.transport(identity.peer, { doorkeeper, clock: here.clock, host: address });
    here.transports.add(transport);
    return transport;
  }

  async function bringUp(here: Life): Promise<void> {
    const mesh = await startMesh({
      identity,
      crypto,
      clock: here.clock,
      random,
      log: listeningLog(here.log),
      keeper: here.keeper,
      state: here.state,
      openTransport: async (doorkeeper) => openTransport(here, doorkeeper),
      async openDatapath(onEvent) {
        const device = { device: 'weft0', port: PORT, address: '::', onEvent };
        const onPacket = (packet: Uint8Array) => void here.received.push(packet);
        here.datapath = await openMemoryDatapath(device, {
          wire,
          clock: here.clock,
          host: address,
          onPacket,
        });
        return here.datapath;
      },
      settings,
    });
    if (life !== here) throw new Error(`${name} crashed while it came up`);
    here.mesh = mesh;
    member = true;
  }

  function up(): Mesh {
    if (life?.mesh === undefined) throw new Error(`${name} is not up`);
    return life.mesh;
  }

  function end(): void {
    lives++;
    life?.clock.stop();
    life = undefined;
    disk.crash();
  }

  return {
    name,
    number,
    address,
    peer: identity.peer,
    get mesh() {
      return life?.mesh;
    },
    get datapath() {
      return life?.datapath;
    },
    get received() {
      return life?.received ?? [];
    },
    get life() {
      return lives;
    },
    get log() {
      return life?.log ?? [];
    },
    isMember: () => life?.state.get()?.phase === 'member',
    wasMember: () => member,
    async found(range = RANGE) {
      const here = await start();
      await foundMesh({ crypto, random, identity, state: here.state, range });
      await bringUp(here);
    },
    async invite(uses = 1) {
      return (await up().invites.issue({ ttl: TTL, uses })).token;
    },
    async join(text, signal) {
      const token = decodeToken(text, crypto);
      const here = await start();
      note(`${name} joins`);
      const transport = openTransport(here, () => ({ admit: false, reason: 'busy' }));
      const about = { nickname: name, version: settings.release, ...settings.reach };
      const { state, clock: view } = here;
      try {
        const parts = { crypto, clock: view, identity, transport, state, log: listeningLog(here.log), about };
        const joined = await joinMesh(parts, token, signal);
        await transport.close();
        if (life === here && here.mesh === undefined) await bringUp(here);
        return joined;
      } finally {
        await transport.close();
      }
    },
    async boot() {
      const here = await start();
      if (here.mesh === undefined && here.state.get()?.phase === 'member') await bringUp(here);
    },
    crash() {
      note(`${name} crashes`);
      for (const transport of life?.transports ?? []) transport.kill();
      void life?.datapath?.close();
      end();
    },
    async stop() {
      const here = life;
      note(`${name} stops`);
      await here?.mesh?.close();
      await here?.keeper.flush();
      if (life === here) end();
    },
    allocate(endpoint, { wanted, timeout } = {}) {
      return up().space.allocate({
        endpoint: endpoint as EndpointId,
        network: DEFAULT_NETWORK,
        ...(wanted === undefined ? {} : { wanted }),
        ...(timeout === undefined ? {} : { timeout }),
      });
    },
    release: (endpoint) => up().space.release(endpoint as EndpointId),
  };
}

function listeningLog(lines: string[]): Log {
  const at = (level: string) => (message: string, fields?: unknown) =>
    void lines.push(`${level} ${message} ${fields === undefined ? '' : JSON.stringify(fields)}`);
  return { debug() {}, info: at('info'), warn: at('warn'), error: at('error') };
}

/** An IPv4 packet without options: RFC 791 §3.1. The checksum of the header is the kernel's concern. */
export function packetOf(source: string, destination: string, text: string): Uint8Array {
  const body = Buffer.from(text);
  const packet = Buffer.alloc(20 + body.length);
  packet[0] = 0x45;
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt32BE(numberOf(source), 12);
  packet.writeUInt32BE(numberOf(destination), 16);
  body.copy(packet, 20);
  return new Uint8Array(packet);
}

export function textOf(packet: Uint8Array): string {
  return Buffer.from(packet.subarray(20)).toString();
}

export function numberOf(text: string): number {
  const parsed = parseIpv4(text);
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.value;
}
