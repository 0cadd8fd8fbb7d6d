import { parseHostPort } from '../../core/address.ts';
import type { PeerId } from '../../core/ids.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import {
  DIAL_TIMEOUT,
  DialError,
  type DialFailure,
  type Door,
  type Doorkeeper,
  type Link,
  ListenError,
  type Transport,
} from '../transport.ts';
import { createEnd, type End } from './link.ts';
import { createWires, type Lane, type Wires } from './wires.ts';

/** A network of simulated hosts: one peer a host, addresses `10.0.0.1:6783` and up in the order of creation. */
export interface MemoryNetwork {
  transport(peer: PeerId, parts: MemoryTransportParts): MemoryTransport;
  /** Stops everything on the way from one peer to the other, in that direction only. Links stay; what is sent waits. */
  block(from: PeerId, to: PeerId): void;
  unblock(from: PeerId, to: PeerId): void;
  /** Blocks both ways between every peer of one group and every peer of another. */
  partition(...groups: readonly (readonly PeerId[])[]): void;
  /** Unblocks everything. */
  heal(): void;
  /** Resets the links between two peers: both sides see them closed at once, and what was under way is lost. */
  cut(a: PeerId, b: PeerId): void;
}

export interface MemoryTransportParts {
  readonly doorkeeper: Doorkeeper;
  /** The host's own clock; the network's when absent. */
  readonly clock?: Clock;
  /** The host's address instead of the next free one; a restarted peer takes its old one. */
  readonly host?: string;
}

export interface MemoryTransport extends Transport {
  readonly host: string;
  /** What kill -9 does: nothing more comes from here, other sides see their links reset. No handler here is called again. */
  kill(): void;
}

export interface MemoryNetworkOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** One-way milliseconds, default 1. */
  readonly latency?: number | ((from: PeerId, to: PeerId) => number);
  /** Share of messages that come 200 ms late because a segment was lost, default 0; a function is asked for each. */
  readonly loss?: number | (() => number);
}

interface Host {
  readonly peer: PeerId;
  readonly name: string;
  readonly clock: Clock;
  readonly doorkeeper: Doorkeeper;
  readonly ends: Set<End>;
  readonly dials: Set<Dial>;
  /** Listening ports. */
  readonly ports: Map<number, (link: Link) => void>;
  state: 'running' | 'closed' | 'dead';
}

interface Dial {
  readonly door: Door;
  readonly remoteAddress: string;
  readonly settled: () => boolean;
  resolve(link: Link): void;
  fail(reason: DialFailure, message: string): void;
}

interface Wire {
  readonly wires: Wires;
  readonly out: Lane;
  readonly back: Lane;
  readonly door: string;
  /** Of the other side, as each side sees it. */
  readonly address: string;
  readonly source: string;
}

/** Both sides of a link. They know nothing of the dial, which would live as long as they do, in thousands of copies. */
function createEnds(from: Host, to: Host, { wires, out, back, door, address, source }: Wire) {
  const common = { wires, door };
  const dialled: End = createEnd({
    ...common,
    ...sideOf(from, () => accepted),
    lane: out,
    remote: to.peer,
    remoteAddress: address,
    direction: 'dialled',
  });
  const accepted: End = createEnd({
    ...common,
    ...sideOf(to, () => dialled),
    lane: back,
    remote: from.peer,
    remoteAddress: source,
    direction: 'accepted',
  });
  return { dialled, accepted };
}

function sideOf(host: Host, other: () => End) {
  return {
    clock: host.clock,
    other,
    onEnd: (end: End) => void host.ends.delete(end),
    alive: () => host.state !== 'dead',
  };
}

export function createMemoryNetwork(options: MemoryNetworkOptions): MemoryNetwork {
  const { clock, random, latency = 1, loss = 0 } = options;
  const delay = typeof latency === 'number' ? () => latency : latency;
  const share = typeof loss === 'number' ? () => loss : loss;
  const wires = createWires({ clock, random, loss: share, latency: delay });
  const hosts = new Map<string, Host>();
  let named = 0;
  let ephemeral = 32_768;

  /** SYN, SYN-ACK, preface, answer, last handshake message: each is one crossing. */
  function connect(from: Host, to: Host, port: number, dial: Dial): void {
    const out = wires.lane(from.peer, to.peer);
    const back = wires.lane(to.peer, from.peer);
    const fail = (reason: DialFailure, message: string) =>
      wires.carry(back, () => dial.fail(reason, `${dial.remoteAddress}: ${message}`));
    const open = () => to.state === 'running' && to.ports.has(port);
    const source = `${from.name}:${ephemeral++}`;

    const link = () => {
      if (dial.settled()) return;
      const wire = { wires, out, back, door: dial.door.name, address: dial.remoteAddress, source };
      const { dialled, accepted } = createEnds(from, to, wire);
      from.ends.add(dialled);
      dial.resolve(dialled);
      wires.carry(out, () => {
        const accept = open() ? to.ports.get(port) : undefined;
        if (accept === undefined) return accepted.reset('connection refused');
        to.ends.add(accepted);
        accept(accepted);
      });
    };

    const knock = () => {
      if (!open()) return fail('unreachable', 'connection reset');
      const admission = to.doorkeeper(dial.door.name, source);
      if (!admission.admit) return fail(admission.reason, `refused: ${admission.reason}`);
      if (Buffer.compare(admission.secret, dial.door.secret) !== 0) {
        return fail('bad-secret', 'the other side has another secret for this door');
      }
      if (to.peer === from.peer) return fail('self', 'this is our own address');
      wires.carry(back, link);
    };

    wires.carry(out, () => {
      if (!open()) return fail('unreachable', 'connection refused');
      wires.carry(back, () => {
        if (!dial.settled()) wires.carry(out, knock);
      });
    });
  }

  function dial(from: Host, address: string, door: Door, signal?: AbortSignal): Promise<Link> {
    const { promise, resolve, reject } = Promise.withResolvers<Link>();
    let settled = false;
    const settle = (act: () => void) => {
      if (settled) return;
      settled = true;
      timer.cancel();
      signal?.removeEventListener('abort', abort);
      from.dials.delete(attempt);
      act();
    };
    const attempt: Dial = {
      door,
      remoteAddress: address,
      settled: () => settled,
      resolve: (link) => settle(() => resolve(link)),
      fail: (reason, message) => settle(() => reject(new DialError(reason, message))),
    };
    const abort = () => attempt.fail('timeout', `${address}: given up`);
    const timer = from.clock.setTimer(DIAL_TIMEOUT, () =>
      attempt.fail('timeout', `${address}: no answer within ${DIAL_TIMEOUT} ms`),
    );
    from.dials.add(attempt);
    signal?.addEventListener('abort', abort);
    const target = parseHostPort(address);
    if (!target.ok) attempt.fail('bad-address', target.message);
    else if (from.state !== 'running') attempt.fail('unreachable', 'the transport is closed');
    else if (signal?.aborted) abort();
    else {
      // An address that no host has is a black hole: the dial times out.
      const to = hosts.get(target.value.host);
      if (to !== undefined) connect(from, to, target.value.port, attempt);
    }
    return promise;
  }

  function transport(peer: PeerId, parts: MemoryTransportParts): MemoryTransport {
    if (parts.host === undefined) named++;
    const name = parts.host ?? `10.${named >> 16}.${(named >> 8) & 255}.${named & 255}`;
    const host: Host = {
      peer,
      name,
      clock: parts.clock ?? clock,
      doorkeeper: parts.doorkeeper,
      ends: new Set(),
      dials: new Set(),
      ports: new Map(),
      state: 'running',
    };
    hosts.set(name, host);

    async function listen(addresses: readonly string[], onLink: (link: Link) => void) {
      return addresses.map((address) => {
        const parsed = parseHostPort(address);
        if (!parsed.ok) throw new ListenError('bad-address', parsed.message);
        const { port } = parsed.value;
        if (host.ports.has(port)) throw new ListenError('in-use', `port ${port} is in use`);
        const bound = port === 0 ? ephemeral++ : port;
        host.ports.set(bound, onLink);
        return `${name}:${bound}`;
      });
    }

    return {
      peer,
      host: name,
      listen,
      dial: (address, door, signal) => dial(host, address, door, signal),
      async close() {
        if (host.state === 'running') host.state = 'closed';
        host.ports.clear();
        for (const attempt of [...host.dials]) attempt.fail('unreachable', 'the transport is closed');
        for (const end of [...host.ends]) end.close();
      },
      kill() {
        host.state = 'dead';
        host.ports.clear();
        for (const end of [...host.ends]) end.reset('killed');
      },
    };
  }

  return {
    transport,
    block: wires.block,
    unblock: wires.unblock,
    partition: (...groups) => wires.split(groups),
    heal: wires.unblockAll,
    cut(a, b) {
      for (const host of hosts.values()) {
        if (host.peer !== a) continue;
        for (const end of [...host.ends]) {
          if (end.remote !== b) continue;
          end.end('connection reset');
          end.other.end('connection reset');
        }
      }
    },
  };
}
