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
import { createMemoryNetwork, type MemoryTransport } from '../../src/ports/memory/transport.ts';
import type { Store } from '../../src/ports/store.ts';
import type { Doorkeeper, Link, Transport } from '../../src/ports/transport.ts';
import { createDisk, type Disk } from './disk.ts';
import { type MessageFaults, withFaults } from './links.ts';
import { createRecorder, type Recorder } from './recorder.ts';

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
  /** What happened, for drawings. */
  readonly recorder: Recorder;
  /** Of all messages from now on. */
  readonly faults: MessageFaults;
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
  /** Share of segments that are lost and sent again, and of datagrams that are lost. */
  setLoss(share: number): void;
  /** All that the host sends, receives and writes takes so much longer. */
  setSlow(host: SimHost, ms: number): void;
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
  /** For tests in which a host misbehaves. */
  readonly identity: Identity;
  readonly address: string;
  /** Undefined while it is down or in no mesh. */
  readonly mesh: Mesh | undefined;
  readonly datapath: MemoryDatapath | undefined;
  /** Packets that came out of the device in this life. */
  readonly received: readonly Uint8Array[];
  /** Grows with each crash or stop: what was begun in an earlier life may never settle. */
  readonly life: number;
  readonly disk: Disk;
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
  /** Moves the wall clock, also of later lives. */
  jumpClock(ms: number): void;
  /** kill -9, and what was on the way to disk is lost. */
  crash(): void;
  /** `systemctl stop`. */
  stop(): Promise<void>;
  allocate(endpoint: string, options?: { wanted?: string; timeout?: number }): Promise<Allocation>;
  release(endpoint: string): Promise<void>;
}

export const RANGE: Range = { start: 0x0a20_0000, last: 0x0a2f_ffff };
const PORT = 6783;
/** Of a write to disk, ms. */
const DISK = 2;
const TTL = 86_400_000;

export function createMeshWorld(options: { seed: number | string; latency?: number }): MeshWorld {
  const { seed } = options;
  const clock = createVirtualClock();
  const random = createSeededRandom(seed);
  const crypto = createMemoryCrypto();
  const hosts: SimHost[] = [];
  const recorder = createRecorder(clock);
  const faults: MessageFaults = { lost: 0, doubled: 0, late: 0 };
  const slow = new Map<number, number>();
  const byPeer = new Map<PeerId, SimHost>();
  const byAddress = new Map<string, SimHost>();
  const blocked = new Set<string>();
  let latency: (from: number, to: number) => number = () => options.latency ?? 1;
  let loss = 0;
  const numberOf = (peer: PeerId) => byPeer.get(peer)?.number ?? 0;
  const delay = (from: number, to: number) => latency(from, to) + (slow.get(from) ?? 0) + (slow.get(to) ?? 0);
  const network = createMemoryNetwork({
    clock,
    random: random.fork('network'),
    loss: () => loss,
    latency: (from, to) => delay(numberOf(from), numberOf(to)),
  });
  const wire = createMemoryWire({ clock, latency: 1 });
  const chance = random.fork('datagrams');
  wire.setFilter(
    (from, to) =>
      !blocked.has(`${byAddress.get(from.address)?.peer}>${byAddress.get(to.address)?.peer}`) &&
      (loss === 0 || chance.fraction() >= loss),
  );
  const { note } = recorder;
  const sent = random.fork('messages');

  function block(from: SimHost, to: SimHost): void {
    blocked.add(`${from.peer}>${to.peer}`);
    network.block(from.peer, to.peer);
    recorder.wire(from.number, to.number, false);
  }

  function openTransport(host: HostAddress, doorkeeper: Doorkeeper, view: ClockView): OpenedTransport {
    const { peer, address } = host;
    const memory = network.transport(peer, { doorkeeper, clock: view, host: address });
    const onSend = (link: Link, message: Uint8Array) =>
      recorder.message(numberOf(peer), numberOf(link.remote), message);
    return { memory, transport: withFaults(memory, { clock: view, random: sent, faults, onSend }) };
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
    recorder,
    faults,
    note,
    settled,
    block,
    addHost({ wallOffset = 0 } = {}) {
      const parts = { clock, random, crypto, openTransport, wire, recorder };
      const host = createHost(parts, hosts.length, wallOffset);
      hosts.push(host);
      byPeer.set(host.peer, host);
      byAddress.set(host.address, host);
      return host;
    },
    unblock(from, to) {
      blocked.delete(`${from.peer}>${to.peer}`);
      network.unblock(from.peer, to.peer);
      recorder.wire(from.number, to.number, true);
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
      for (const from of hosts) for (const to of hosts) recorder.wire(from.number, to.number, true);
    },
    cut: (a, b) => network.cut(a.peer, b.peer),
    setLatency(of) {
      latency = of;
    },
    setLoss(share) {
      loss = share;
    },
    setSlow(host, ms) {
      slow.set(host.number, ms);
      host.disk.slow(DISK + ms);
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

interface HostAddress {
  readonly peer: PeerId;
  readonly address: string;
}

interface OpenedTransport {
  readonly memory: MemoryTransport;
  /** What the host is given of it. */
  readonly transport: Transport;
}

interface HostParts {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly crypto: Crypto;
  readonly openTransport: (host: HostAddress, doorkeeper: Doorkeeper, view: ClockView) => OpenedTransport;
  readonly wire: ReturnType<typeof createMemoryWire>;
  readonly recorder: Recorder;
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
  const { clock, crypto, wire, recorder } = parts;
  const { note } = recorder;
  const random = parts.random.fork(`host ${number}`);
  const name = `h${number}`;
  const address = `198.18.${number >> 8}.${(number & 255) + 1}`;
  const seed = random.bytes(32);
  const publicKey = crypto.publicKey(seed);
  const identity: Identity = { seed, publicKey, peer: crypto.peerId(publicKey) };
  const disk = createDisk(clock);
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
  let offset = wallOffset;

  /** What a dead process waits for. */
  const never = () => new Promise<never>(() => {});

  /** It does not write, even where its promises go on. */
  function diskOf(born: number): Store {
    return {
      read: () => disk.read(),
      write: (bytes) => (born === lives ? disk.write(bytes) : never()),
    };
  }

  async function start(): Promise<Life> {
    if (life !== undefined) return life;
    const view = clock.view();
    view.setWallOffset(offset);
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

  function openTransport(here: Life, doorkeeper: Doorkeeper): Transport {
    const opened = parts.openTransport({ peer: identity.peer, address }, doorkeeper, here.clock);
    here.transports.add(opened.memory);
    return opened.transport;
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
      openTransport: async (doorkeeper) => (life === here ? openTransport(here, doorkeeper) : never()),
      async openDatapath(onEvent) {
        if (life !== here) return never();
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
    recorder.life(number, 'up');
  }

  function up(): Mesh {
    if (life?.mesh === undefined) throw new Error(`${name} is not up`);
    return life.mesh;
  }

  function end(): void {
    if (life !== undefined) recorder.life(number, 'down');
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
    identity,
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
    disk,
    jumpClock(ms) {
      offset += ms;
      life?.clock.setWallOffset(offset);
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
      recorder.life(number, 'joining');
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
