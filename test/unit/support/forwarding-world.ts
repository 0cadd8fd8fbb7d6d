import { toHex } from '../../../src/core/bytes.ts';
import type { Identity } from '../../../src/core/crypto.ts';
import { DEFAULT_NETWORK, type PeerId } from '../../../src/core/ids.ts';
import { createForwarding, type Forwarding } from '../../../src/mesh/forwarding.ts';
import type { LinksWatcher, Neighbour } from '../../../src/mesh/links.ts';
import { KEY, type PeerRecord, type Records } from '../../../src/mesh/records.ts';
import { createRelays, type Relays } from '../../../src/mesh/relays.ts';
import { createSessions, type Sessions } from '../../../src/mesh/sessions.ts';
import type { RingSegment } from '../../../src/mesh/space.ts';
import type { DatapathEvent, UdpEndpoint } from '../../../src/ports/datapath.ts';
import { createVirtualClock } from '../../../src/ports/memory/clock.ts';
import { createMemoryCrypto } from '../../../src/ports/memory/crypto.ts';
import { createMemoryWire } from '../../../src/ports/memory/datagram-wire.ts';
import { type MemoryDatapath, openMemoryDatapath } from '../../../src/ports/memory/datapath.ts';
import { createSeededRandom } from '../../../src/ports/memory/random.ts';
import { silent } from './membership-world.ts';
import { MESH } from './session-pair.ts';
import { createSharedRecords } from './shared-records.ts';

const BASE = 0x0a20_0000;

/** One host: real sessions, forwarding and data path; membership, liveness and messages are as told. */
export interface Host {
  readonly identity: Identity;
  readonly peer: PeerId;
  /** Its address in the mesh, and its address on the wire. */
  readonly inner: number;
  readonly outer: string;
  readonly forwarding: Forwarding;
  readonly sessions: Sessions;
  readonly relays: Relays;
  readonly records: Records;
  readonly datapath: MemoryDatapath;
  readonly received: number[];
  readonly events: DatapathEvent[];
  /** Where the other side's link is seen to come from. */
  readonly neighbours: Map<PeerId, string>;
  linkUp(peer: PeerId, address: string): void;
  up(peer: PeerId): void;
  down(peer: PeerId): void;
  send(to: Host): void;
  stop(): Promise<void>;
}

export interface HostOptions {
  readonly identity?: Identity;
  readonly outer?: string;
  /** Its address of the other family on the wire. */
  readonly other?: string;
  /** `host:port` that it announces; its own address by default. */
  readonly data?: readonly string[];
  readonly aes?: boolean;
  /** Looks whom it reaches, and carries for others or not; absent: does not look. */
  readonly relay?: 'on' | 'off';
  /** It is up for everybody at once; default true. */
  readonly live?: boolean;
}

export function createForwardingWorld() {
  const clock = createVirtualClock();
  const crypto = createMemoryCrypto();
  const random = createSeededRandom('forwarding');
  const wire = createMemoryWire({ clock, latency: 1 });
  const shared = createSharedRecords();
  const hosts = new Map<PeerId, Host>();
  const members = new Set<PeerId>();
  const handlers = new Map<PeerId, (from: PeerId, body: unknown) => unknown>();
  const memberWatchers = new Set<() => void>();
  const ringWatchers = new Set<() => void>();
  let ring: readonly RingSegment[] = [];
  let said = 0;

  function draw(): void {
    const owners = [...inners].sort(([, a], [, b]) => a - b);
    ring = owners.map(([owner, start]) => ({ start, last: start + 255, owner, network: DEFAULT_NETWORK }));
    for (const handler of [...ringWatchers]) handler();
  }
  const inners = new Map<PeerId, number>();

  function setMember(peer: PeerId, isMember: boolean): void {
    if (isMember) members.add(peer);
    else members.delete(peer);
    for (const handler of [...memberWatchers]) handler();
  }

  function newIdentity(): Identity {
    const seed = random.bytes(32);
    const publicKey = crypto.publicKey(seed);
    return { seed, publicKey, peer: crypto.peerId(publicKey) };
  }

  async function start(options: HostOptions = {}): Promise<Host> {
    const { identity = newIdentity(), aes = true, live = true } = options;
    const { peer } = identity;
    const inner = inners.get(peer) ?? BASE + 256 * inners.size;
    inners.set(peer, inner);
    const outer = options.outer ?? `192.0.2.${(inner >> 8) & 255}`;
    const boot = toHex(random.bytes(8));
    const received: number[] = [];
    const events: DatapathEvent[] = [];
    const alive = new Set<PeerId>([peer]);
    const upHandlers = new Set<(peer: PeerId) => void>();
    const downHandlers = new Set<(peer: PeerId) => void>();
    const linkWatchers = new Set<LinksWatcher>();
    const neighbours = new Map<PeerId, string>();
    const view = clock.view();
    const records = recordsOf(peer);
    const datapath = await openMemoryDatapath(
      {
        device: 'weft0',
        port: 6783,
        address: '0.0.0.0',
        carries: options.relay !== 'off',
        onEvent: (event) => {
          events.push(event);
          forwarding.take(event);
          sessions.take(event);
          relays.take(event);
        },
      },
      {
        wire,
        clock: view,
        host: outer,
        ...(options.other === undefined ? {} : { other: options.other }),
        onPacket: (packet) => received.push(sourceOf(packet)),
      },
    );
    const common = {
      self: peer,
      identity,
      mesh: MESH,
      boot,
      crypto,
      clock: view,
      random,
      log: silent,
      records,
    };
    const membership = {
      members: () => [...members].sort(),
      isMember: (other: PeerId) => members.has(other),
      watch: (handler: () => void) => subscribe(memberWatchers, handler),
    };
    setMember(peer, true);
    const forwarding: Forwarding = createForwarding({
      ...common,
      membership,
      datapath,
      links: {
        neighbour: (other) => neighbourAt(other, neighbours.get(other)),
        watch: (watcher) => subscribe(linkWatchers, watcher),
      },
      space: { ring: () => ring, watch: (handler) => subscribe(ringWatchers, handler) },
    });
    const sessions: Sessions = createSessions({
      ...common,
      membership,
      forwarding,
      datapath,
      aes,
      messenger: {
        send(to, _kind, body) {
          said++;
          clock.setTimer(1, () => handlers.get(to)?.(peer, body));
          return true;
        },
        handle: (_kind, handler) => void handlers.set(peer, handler),
      },
      liveness: {
        up: () => [...alive].sort(),
        count: () => alive.size,
        isUp: (other) => alive.has(other),
        onPeerUp: (handler) => subscribe(upHandlers, handler),
        onPeerDown: (handler) => subscribe(downHandlers, handler),
      },
    });
    const relays: Relays = createRelays({
      ...common,
      membership,
      datapath,
      forwarding,
      sessions,
      liveness: { isUp: (other) => alive.has(other) },
      carries: options.relay !== 'off',
    });
    const host: Host = {
      identity,
      peer,
      inner,
      outer,
      forwarding,
      sessions,
      relays,
      records,
      datapath,
      received,
      events,
      neighbours,
      linkUp(other, address) {
        neighbours.set(other, address);
        const neighbour = neighbourAt(other, address);
        for (const watcher of linkWatchers) if (neighbour !== undefined) watcher.up?.(neighbour);
      },
      up(other) {
        alive.add(other);
        for (const handler of [...upHandlers]) handler(other);
      },
      down(other) {
        alive.delete(other);
        for (const handler of [...downHandlers]) handler(other);
      },
      send: (to) => datapath.send(packet(inner, to.inner)),
      async stop() {
        hosts.delete(peer);
        handlers.delete(peer);
        relays.close();
        sessions.close();
        forwarding.close();
        view.stop();
        await datapath.close();
        for (const other of hosts.values()) other.down(peer);
      },
    };
    const data = options.data ?? [`${outer}:6783`];
    const about = { nickname: 'x', version: '1', control: [], free: 0, degree: 8 };
    await records.put(KEY.peer, { ...about, data, boot } satisfies PeerRecord);
    if (options.relay !== undefined) await relays.start();
    shared.sync();
    draw();
    if (live) {
      for (const other of hosts.values()) {
        other.up(peer);
        host.up(other.peer);
      }
    }
    hosts.set(peer, host);
    return host;
  }

  const replicas = new Map<PeerId, Records>();
  function recordsOf(peer: PeerId): Records {
    const records = replicas.get(peer) ?? shared.of(peer);
    replicas.set(peer, records);
    shared.sync();
    return records;
  }

  return { clock, wire, shared, hosts, start, setMember, setRing, said: () => said };

  function setRing(segments: readonly RingSegment[]): void {
    ring = segments;
    for (const handler of [...ringWatchers]) handler();
  }
}

export function areConnected(a: Host, b: Host): boolean {
  return [a.sessions.status(b.peer), b.sessions.status(a.peer)].every(
    (status) => status?.state === 'established',
  );
}

function neighbourAt(peer: PeerId, address: string | undefined): Neighbour | undefined {
  if (address === undefined) return undefined;
  const facts = {
    peer,
    address,
    direction: 'accepted',
    nickname: '',
    release: '',
    boot: '',
    observed: '',
    links: 0,
    since: 0,
  } as const;
  return { ...facts, send: () => true, room: () => 0 };
}

function subscribe<T>(set: Set<T>, item: T): () => void {
  set.add(item);
  return () => set.delete(item);
}

function packet(source: number, destination: number): Uint8Array {
  const bytes = new Uint8Array(28);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, 0x45);
  view.setUint16(2, bytes.length);
  view.setUint32(12, source);
  view.setUint32(16, destination);
  return bytes;
}

function sourceOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(12);
}

export type ForwardingWorld = ReturnType<typeof createForwardingWorld>;

export const endpoint = (address: string, port = 6783): UdpEndpoint => ({ address, port });
