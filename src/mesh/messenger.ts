import type { PeerId } from '../core/ids.ts';

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
