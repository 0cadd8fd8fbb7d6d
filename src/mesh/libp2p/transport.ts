import type { Connection, Listener, Stream } from '@libp2p/interface';
import { parseHostPort } from '../../core/address.ts';
import type { Identity } from '../../core/crypto.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import type { Random } from '../../ports/random.ts';
import {
  DIAL_TIMEOUT,
  DialError,
  type Door,
  type Doorkeeper,
  type Link,
  ListenError,
  type Transport,
} from '../../ports/transport.ts';
import { fromMultiaddr, remoteAddressOf, toMultiaddr } from './addresses.ts';
import { type Attempt, type AttemptOptions, createGate } from './gate.ts';
import { createHandshakeLimiter, type HandshakeLimits } from './limiter.ts';
import { createStreamLink } from './link.ts';
import { openListener } from './listener.ts';
import { startNode } from './node.ts';

export const LINK_PROTOCOL = '/weft/link/1';

export interface Libp2pTransportParts {
  readonly identity: Identity;
  readonly doorkeeper: Doorkeeper;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
  /** Defaults are in limiter.ts. */
  readonly limits?: HandshakeLimits;
}

/** Links over libp2p: TCP, our gate (gate.ts), yamux, and one stream with length-prefixed messages (link.ts). */
export async function createLibp2pTransport(parts: Libp2pTransportParts): Promise<Transport> {
  const { identity, doorkeeper, clock, random, log } = parts;
  const links = new Set<Link>();
  const listeners: Listener[] = [];
  /** Doors that arriving handshakes have proved, by the timeline object that a raw connection shares with the finished one. */
  const proven = new WeakMap<object, string>();
  const dials = new Set<AbortController>();
  let onLink: ((link: Link) => void) | undefined;
  let closing: Promise<void> | undefined;
  let onLastLinkGone: (() => void) | undefined;

  const node = await startNode({
    identity,
    gate: createGate({
      self: identity.peer,
      doorkeeper: (name, remoteAddress) =>
        onLink === undefined || closing !== undefined
          ? { admit: false, reason: 'busy' }
          : doorkeeper(name, remoteAddress),
      limiter: createHandshakeLimiter(clock, parts.limits),
      log,
      staticKey: random.bytes(32),
      remoteAddressOf,
      onProven: (connection, door) => proven.set(connection.timeline, door),
    }),
  });
  const { transportManager } = node.services.wiring;

  function addLink(
    connection: Connection,
    stream: Stream,
    facts: Pick<Link, 'remoteAddress' | 'door' | 'direction'>,
  ) {
    const link = createStreamLink({
      ...facts,
      connection,
      stream,
      clock,
      log,
      onEnd: () => {
        links.delete(link);
        if (links.size === 0) onLastLinkGone?.();
      },
    });
    links.add(link);
    return link;
  }

  function accept(stream: Stream, connection: Connection): void {
    const door = proven.get(connection.timeline);
    proven.delete(connection.timeline);
    // Only the dialler opens a stream, and only one.
    if (door === undefined || onLink === undefined || closing !== undefined) {
      connection.abort(new Error('a stream that nobody expects'));
      return;
    }
    const remoteAddress = fromMultiaddr(connection.remoteAddr);
    onLink(addLink(connection, stream, { remoteAddress, door, direction: 'accepted' }));
  }

  await node.handle(LINK_PROTOCOL, accept, { maxInboundStreams: 1, maxOutboundStreams: 1 });
  node.addEventListener('connection:open', ({ detail: connection }) => {
    if (connection.direction !== 'inbound') return;
    // A peer that proved a door and then opens no stream would hold a connection for nothing.
    const deadline = clock.setTimer(DIAL_TIMEOUT, () => {
      if (proven.has(connection.timeline)) connection.abort(new Error('no link was opened in time'));
    });
    connection.addEventListener('close', () => deadline.cancel());
  });

  async function listen(addresses: readonly string[], accepted: (link: Link) => void): Promise<string[]> {
    if (closing !== undefined) throw new ListenError('failed', 'the transport is closed');
    const acceptedBefore = onLink;
    onLink = accepted;
    const opened: Listener[] = [];
    const bound: string[] = [];
    try {
      for (const address of addresses) {
        const parsed = parseHostPort(address);
        if (!parsed.ok) throw new ListenError('bad-address', parsed.message);
        const [listener, port] = await openListener(node.services.wiring, parsed.value);
        opened.push(listener);
        bound.push(address.replace(/\d+$/, String(port)));
      }
    } catch (error) {
      onLink = acceptedBefore;
      await Promise.all(opened.map((listener) => listener.close()));
      throw error;
    }
    listeners.push(...opened);
    return bound;
  }

  async function dial(address: string, door: Door, signal?: AbortSignal): Promise<Link> {
    const parsed = parseHostPort(address);
    if (!parsed.ok) throw new DialError('bad-address', parsed.message);
    if (closing !== undefined) throw new DialError('unreachable', 'the transport is closed');
    const attempt: Attempt = { door, failure: undefined };
    const controller = new AbortController();
    const giveUp = (message: string) => {
      attempt.failure ??= new DialError('timeout', message);
      controller.abort();
    };
    const timer = clock.setTimer(DIAL_TIMEOUT, () => giveUp(`no answer within ${DIAL_TIMEOUT} ms`));
    const onAbort = () => giveUp('given up');
    signal?.addEventListener('abort', onAbort);
    if (signal?.aborted) onAbort();
    dials.add(controller);
    let connection: Connection | undefined;
    try {
      const options: AttemptOptions & { signal: AbortSignal } = { signal: controller.signal, attempt };
      connection = await transportManager.dial(toMultiaddr(parsed.value), options);
      const stream = await connection.newStream(LINK_PROTOCOL, { signal: controller.signal });
      return addLink(connection, stream, { remoteAddress: address, door: door.name, direction: 'dialled' });
    } catch (error) {
      const cause = error instanceof Error ? error : new Error(String(error));
      connection?.abort(cause);
      const { reason, message } = attempt.failure ?? new DialError('unreachable', cause.message);
      throw new DialError(reason, `${address}: ${message}`);
    } finally {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
      dials.delete(controller);
    }
  }

  async function shutDown(): Promise<void> {
    for (const controller of dials) controller.abort();
    if (links.size > 0) {
      // Each link ends within CLOSE_TIMEOUT.
      const { promise, resolve } = Promise.withResolvers<void>();
      onLastLinkGone = resolve;
      for (const link of [...links]) link.close();
      await promise;
    }
    await Promise.all(listeners.splice(0).map((listener) => listener.close()));
    await node.stop();
  }

  return {
    peer: identity.peer,
    listen,
    dial,
    close() {
      closing ??= shutDown();
      return closing;
    },
  };
}
