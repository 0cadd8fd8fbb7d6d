import type { PeerId } from '../core/ids.ts';
import type { Topology } from '../core/topology.ts';
import { MAX_HOPS, MAX_UNICAST, type Unicast, type UnicastRole } from '../core/wire/messages.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Random } from '../ports/random.ts';
import { decode, encode } from './codec.ts';
import { createFairQueue, type FairQueue } from './fair-queue.ts';
import type { Links, Neighbour } from './links.ts';
import type { Membership } from './membership.ts';

/**
 * UNICAST over the mesh: messages between any two members, by the fewest hops (core/topology.ts), whether or not they have a link.
 * Best effort and unordered; hop-by-hop encrypted only, so what must stay secret from a forwarding member protects itself.
 */
export interface Messenger {
  /** Sends one message. False when there is no way to `to` right now. `body` is anything msgpack can hold, at most 64 KiB. */
  send(to: PeerId, kind: string, body: unknown): boolean;
  /**
   * Sends and waits for the answer. Rejects with RequestError: `no-route` at once, `timeout` after `timeout` ms (default 5,000),
   * `refused` with the other side's words.
   */
  request(to: PeerId, kind: string, body: unknown, options?: { timeout?: number }): Promise<unknown>;
  /** One handler a kind; `body` is unchecked input. What it returns (or resolves to) answers a request; what it throws refuses it. */
  handle(kind: string, handler: (from: PeerId, body: unknown) => unknown): void;
}

export class RequestError extends Error {
  readonly reason: 'no-route' | 'timeout' | 'refused' | 'closed';
  constructor(reason: 'no-route' | 'timeout' | 'refused' | 'closed', message: string) {
    super(message);
    this.name = 'RequestError';
    this.reason = reason;
  }
}

export interface OpenMessenger extends Messenger {
  readonly counters: MessengerCounters;
  /** Rejects what is waiting with `closed`. */
  close(): void;
}

export interface MessengerCounters {
  sent: number;
  delivered: number;
  forwarded: number;
  /** No way to the receiver, or too many hops. */
  unroutable: number;
  /** The queue of its source was full. */
  overflowed: number;
  /** Its sender is no member, or cannot have sent it. */
  rejected: number;
}

export interface MessengerParts {
  readonly self: PeerId;
  readonly links: Pick<Links, 'neighbour' | 'handle' | 'watch'>;
  readonly topology: Pick<Topology, 'nextHop'>;
  readonly membership: Pick<Membership, 'isMember'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export const REQUEST_TIMEOUT = 5_000;
/** Bytes that wait for one neighbour, of one source (this peer, or the neighbour that a message came from). */
const MAX_QUEUED = 512 << 10;
/** How far messages may go beyond the window that gossip respects, so that a big comparison does not hold up a handshake. */
const AHEAD = 256 << 10;
/** Requests of one peer that are being answered. */
const MAX_ANSWERING = 256;
const MAX_REFUSAL = 512;
const NOTHING = new Uint8Array();

interface Pending {
  readonly to: PeerId;
  readonly timer: Timer;
  resolve(value: unknown): void;
  reject(error: RequestError): void;
}

/**
 * A forwarding member could claim any `from`: sources are authenticated hop by hop only. So what is said here by a member is as good as the
 * mesh's least honest member on the way; contents that matter (donations, session offers) are signed by those who make them.
 */
export function createMessenger(parts: MessengerParts): OpenMessenger {
  const { self, links, topology, membership, clock, random, log } = parts;
  const handlers = new Map<string, (from: PeerId, body: unknown) => unknown>();
  const pending = new Map<number, Pending>();
  const answering = new Map<PeerId, number>();
  const queues = new Map<Neighbour, FairQueue<Unicast>>();
  const counters: MessengerCounters = {
    sent: 0,
    delivered: 0,
    forwarded: 0,
    unroutable: 0,
    overflowed: 0,
    rejected: 0,
  };
  let lastId = Math.floor(random.fraction() * 2 ** 40);

  // --- out

  function originate(message: Pick<Unicast, 'to' | 'role' | 'id' | 'kind' | 'body'>): boolean {
    if (message.body.length > MAX_UNICAST) {
      throw new RangeError(`a message of ${message.body.length} bytes is over ${MAX_UNICAST}`);
    }
    counters.sent++;
    const whole: Unicast = { type: 'unicast', from: self, hops: MAX_HOPS, ...message };
    if (whole.to !== self) return route(whole, self);
    // Never before `send` has returned, as with any other receiver.
    clock.setTimer(0, () => deliver(whole));
    return true;
  }

  /** `source` is whose share of the way it uses. */
  function route(message: Unicast, source: PeerId): boolean {
    const next = topology.nextHop(message.to);
    const neighbour = next === undefined ? undefined : links.neighbour(next);
    if (neighbour === undefined || message.hops === 0) {
      counters.unroutable++;
      return false;
    }
    const onward = { ...message, hops: message.hops - 1 };
    if (queueTo(neighbour).add(source, message.body.length + 200, onward)) return true;
    counters.overflowed++;
    return false;
  }

  function queueTo(neighbour: Neighbour): FairQueue<Unicast> {
    let queue = queues.get(neighbour);
    if (queue === undefined) {
      queue = createFairQueue<Unicast>({
        hasRoom: () => neighbour.room() > -AHEAD,
        send: (message) => void neighbour.send(message),
        maxBytes: MAX_QUEUED,
      });
      queues.set(neighbour, queue);
    }
    return queue;
  }

  // --- in

  function receive(from: Neighbour, message: Unicast): void {
    if (message.from === self) {
      counters.rejected++;
    } else if (message.to === self) {
      deliver(message);
    } else if (route(message, from.peer)) {
      counters.forwarded++;
    } else if (message.role === 'request') {
      answer(message, 'unroutable', NOTHING);
    }
  }

  function deliver(message: Unicast): void {
    if (!membership.isMember(message.from)) {
      counters.rejected++;
      log.debug('a message of a stranger', { from: message.from, kind: message.kind });
      if (message.role === 'request') refuse(message, 'the sender is not known as a member here');
      return;
    }
    counters.delivered++;
    if (message.role === 'tell' || message.role === 'request') void serve(message);
    else settle(message);
  }

  async function serve(message: Unicast): Promise<void> {
    const { from, kind, role } = message;
    const handler = handlers.get(kind);
    const body = decode(message.body);
    const busy = answering.get(from) ?? 0;
    if (handler === undefined) return refuse(message, `this peer does not know ${kind}`);
    if (!body.ok) return refuse(message, `unreadable: ${body.problem}`);
    if (busy >= MAX_ANSWERING) return refuse(message, 'too many requests at once');
    answering.set(from, busy + 1);
    try {
      const result = await handler(from, body.value);
      if (role === 'request') answer(message, 'answer', encode(result));
    } catch (error) {
      refuse(message, error instanceof Error ? error.message : String(error));
    } finally {
      const left = (answering.get(from) ?? 1) - 1;
      if (left === 0) answering.delete(from);
      else answering.set(from, left);
    }
  }

  function refuse(message: Unicast, why: string): void {
    const { from, kind } = message;
    log.debug('refused a message', { from, kind, error: why });
    if (message.role === 'request') answer(message, 'refusal', encode(why.slice(0, MAX_REFUSAL)));
  }

  function answer({ from, id }: Unicast, role: UnicastRole, body: Uint8Array): void {
    originate({ to: from, role, id, kind: '', body });
  }

  function settle({ from, role, id, body }: Unicast): void {
    const request = pending.get(id);
    // Whoever found no way may say so; an answer comes from the one who was asked.
    if (request === undefined || (request.to !== from && role !== 'unroutable')) return;
    const decoded = decode(body);
    if (role === 'answer' && decoded.ok) request.resolve(decoded.value);
    else if (role === 'unroutable') request.reject(noRoute(request.to));
    else {
      const words = decoded.ok && typeof decoded.value === 'string' ? decoded.value : 'no reason given';
      request.reject(new RequestError('refused', words));
    }
  }

  function request(to: PeerId, kind: string, body: unknown, timeout: number): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const id = ++lastId;
    const finish = () => {
      pending.delete(id);
      timer.cancel();
    };
    const timer = clock.setTimer(timeout, () => {
      finish();
      reject(new RequestError('timeout', `${to} did not answer ${kind} within ${timeout} ms`));
    });
    pending.set(id, {
      to,
      timer,
      resolve(value) {
        finish();
        resolve(value);
      },
      reject(error) {
        finish();
        reject(error);
      },
    });
    if (!originate({ to, role: 'request', id, kind, body: encode(body) }))
      pending.get(id)?.reject(noRoute(to));
    return promise;
  }

  links.handle('unicast', receive);
  const stop = links.watch({
    room: (neighbour) => queues.get(neighbour)?.drain(),
    down: (neighbour) => void queues.delete(neighbour),
  });

  return {
    counters,
    send: (to, kind, body) => originate({ to, role: 'tell', id: 0, kind, body: encode(body) }),
    request: async (to, kind, body, { timeout = REQUEST_TIMEOUT } = {}) => request(to, kind, body, timeout),
    handle(kind, handler) {
      if (handlers.has(kind)) throw new Error(`messages of kind ${kind} have a handler already`);
      handlers.set(kind, handler);
    },
    close() {
      stop();
      for (const { reject } of [...pending.values()]) {
        reject(new RequestError('closed', 'this peer is shutting down'));
      }
    },
  };
}

function noRoute(to: PeerId): RequestError {
  return new RequestError('no-route', `there is no way to ${to} right now`);
}
