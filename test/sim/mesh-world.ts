import { parseIpv4 } from '../../src/core/address.ts';
import type { Crypto } from '../../src/core/crypto.ts';
import type { PeerId } from '../../src/core/ids.ts';
import { type ClockView, createVirtualClock, type VirtualClock } from '../../src/ports/memory/clock.ts';
import { createMemoryCrypto } from '../../src/ports/memory/crypto.ts';
import { createMemoryWire } from '../../src/ports/memory/datagram-wire.ts';
import { createSeededRandom, type SeededRandom } from '../../src/ports/memory/random.ts';
import { createMemoryNetwork } from '../../src/ports/memory/transport.ts';
import type { Doorkeeper, Link } from '../../src/ports/transport.ts';
import { type MessageFaults, withFaults } from './links.ts';
import { createRecorder, type Recorder } from './recorder.ts';
import { createHost, DISK, type HostAddress, type OpenedTransport, type SimHost } from './sim-host.ts';

export { RANGE, type SimHost } from './sim-host.ts';

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
  /** No datagrams pass between the two, in either direction; the control plane does not notice. */
  wall(a: SimHost, b: SimHost): void;
  /** Whether datagrams pass. */
  passes(from: SimHost, to: SimHost): boolean;
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

export interface MeshWorldOptions {
  readonly seed: number | string;
  /** ms from host to host, default 1. */
  readonly latency?: number;
  /** Whether hosts look whom they reach by datagrams, and carry for each other; default false. */
  readonly relays?: boolean;
}

export function createMeshWorld(options: MeshWorldOptions): MeshWorld {
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
  const walls = new Set<string>();
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
  const passes = (from: SimHost | undefined, to: SimHost | undefined) => {
    const way = `${from?.peer}>${to?.peer}`;
    return !blocked.has(way) && !walls.has(way);
  };
  wire.setFilter(
    (from, to) =>
      passes(byAddress.get(from.address), byAddress.get(to.address)) &&
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
    passes,
    wall(a, b) {
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        walls.add(`${from.peer}>${to.peer}`);
      }
      note(`no datagrams between ${a.name} and ${b.name}`);
    },
    addHost({ wallOffset = 0 } = {}) {
      const parts = { clock, random, crypto, openTransport, wire, recorder, relays: options.relays === true };
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
      walls.clear();
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
