import type { Range } from '../../src/core/address.ts';
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
import { createRelays, type Relays } from '../../src/mesh/relays.ts';
import type { Allocation } from '../../src/mesh/space.ts';
import type { DatapathEvent } from '../../src/ports/datapath.ts';
import type { Log } from '../../src/ports/log.ts';
import type { ClockView, VirtualClock } from '../../src/ports/memory/clock.ts';
import type { MemoryWire } from '../../src/ports/memory/datagram-wire.ts';
import { type MemoryDatapath, openMemoryDatapath } from '../../src/ports/memory/datapath.ts';
import type { SeededRandom } from '../../src/ports/memory/random.ts';
import type { MemoryTransport } from '../../src/ports/memory/transport.ts';
import type { Store } from '../../src/ports/store.ts';
import type { Doorkeeper, Transport } from '../../src/ports/transport.ts';
import { createDisk, type Disk } from './disk.ts';
import type { Recorder } from './recorder.ts';

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
  /** Where the world has relays. */
  readonly relays: Relays | undefined;
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
export const DISK = 2;
const TTL = 86_400_000;

export interface HostAddress {
  readonly peer: PeerId;
  readonly address: string;
}

export interface OpenedTransport {
  readonly memory: MemoryTransport;
  /** What the host is given of it. */
  readonly transport: Transport;
}

export interface HostParts {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly crypto: Crypto;
  readonly openTransport: (host: HostAddress, doorkeeper: Doorkeeper, view: ClockView) => OpenedTransport;
  readonly wire: MemoryWire;
  readonly recorder: Recorder;
  readonly relays: boolean;
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
  relays: Relays | undefined;
}

export function createHost(parts: HostParts, number: number, wallOffset: number): SimHost {
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
      relays: undefined,
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
        const device = {
          device: 'weft0',
          port: PORT,
          address: '::',
          onEvent(event: DatapathEvent) {
            onEvent(event);
            here.relays?.take(event);
          },
        };
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
    if (parts.relays) await startRelays(here, mesh);
    member = true;
    recorder.life(number, 'up');
  }

  async function startRelays(here: Life, mesh: Mesh): Promise<void> {
    here.relays = createRelays({
      ...mesh,
      self: identity.peer,
      clock: here.clock,
      log: listeningLog(here.log),
      datapath: here.datapath as MemoryDatapath,
      carries: true,
    });
    await here.relays.start();
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
    get relays() {
      return life?.relays;
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
      here?.relays?.close();
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
