import type { PeerId } from '../core/ids.ts';

/**
 * Links of the control plane: authenticated, encrypted, ordered streams of whole messages between two peers.
 * The real one is libp2p (mesh/libp2p/); the twin is ports/memory/transport.ts. Both pass test/contract/transport.
 */
export interface Transport {
  /** The key that both ends of every link see as this side's. */
  readonly peer: PeerId;
  /**
   * Starts to accept links on `addresses` (`host:port`, `[v6]:port`); resolves to those bound, with real port numbers. Rejects with a
   * ListenError, and then listens nowhere. `[::]` takes IPv6 only: name `0.0.0.0` too for both.
   */
  listen(addresses: readonly string[], onLink: (link: Link) => void): Promise<readonly string[]>;
  /** Resolves to an open link or rejects with a DialError within `DIAL_TIMEOUT`. `signal` gives up earlier. */
  dial(address: string, door: Door, signal?: AbortSignal): Promise<Link>;
  /** Closes every link and stops listening. */
  close(): Promise<void>;
}

/**
 * What both ends must know before a link opens. The dialler sends `name` in clear; `secret` goes into the Noise prologue,
 * so a handshake succeeds only between holders of the same secret and neither learns it from the other.
 */
export interface Door {
  /** At most 64 bytes of [a-z0-9/-], e.g. `epoch/<mesh>/3`, `join/<token id>`. */
  readonly name: string;
  /** 32 bytes. */
  readonly secret: Uint8Array;
}

/** Asked by the transport for each arriving handshake, before any cryptography is spent on it. */
export type Doorkeeper = (name: string, remoteAddress: string) => Admission;

export type Admission =
  | { readonly admit: true; readonly secret: Uint8Array }
  | { readonly admit: false; readonly reason: Refusal };

/** Why a door stayed shut. Sent in clear as a number: see mesh/libp2p/preface.ts. */
export type Refusal =
  | 'wrong-mesh'
  | 'unknown-token'
  | 'expired'
  | 'used-up'
  | 'removed'
  | 'old-epoch'
  | 'busy';

/** `refused` carries the other side's reason; `unreachable`, `timeout` and `bad-secret` are this side's own observation. */
export type DialFailure = Refusal | 'unreachable' | 'timeout' | 'bad-secret' | 'self' | 'bad-address';

export class DialError extends Error {
  readonly reason: DialFailure;
  constructor(reason: DialFailure, message: string) {
    super(message);
    this.name = 'DialError';
    this.reason = reason;
  }
}

/** Why an address cannot be listened on. */
export type ListenFailure = 'bad-address' | 'in-use' | 'not-local' | 'not-permitted' | 'failed';

export class ListenError extends Error {
  readonly reason: ListenFailure;
  constructor(reason: ListenFailure, message: string) {
    super(message);
    this.name = 'ListenError';
    this.reason = reason;
  }
}

export interface Link {
  /** The other side's key, proven by the handshake. */
  readonly remote: PeerId;
  /** `host:port` of the other side as seen from here. For an accepted link the port is an ephemeral one. */
  readonly remoteAddress: string;
  /** The name of the door by which this link was opened. */
  readonly door: string;
  readonly direction: 'dialled' | 'accepted';
  /**
   * Queues one message of at most MAX_MESSAGE bytes. False when the link is closed or when queueing it would exceed
   * MAX_QUEUED_BYTES: the message is then not sent, and the link is closed because its reader is too slow. Throws RangeError for a
   * longer message, which is a mistake of the caller. The bytes belong to the link from then on: they must not be changed.
   */
  send(message: Uint8Array): boolean;
  /**
   * Set once. Messages that arrived earlier are delivered, in a later microtask; set it before the current turn of the event loop ends,
   * because what nobody takes counts against the bound of the reading side.
   */
  receive(handlers: LinkHandlers): void;
  /** Sends what is queued, bounded by CLOSE_TIMEOUT, then closes. Safe to call more than once. */
  close(): void;
}

export interface LinkHandlers {
  message(message: Uint8Array): void;
  /** Exactly once, whoever closed, never from within a call of `send` or `close`; `reason` is for logs. */
  closed(reason: string): void;
}

export const MAX_MESSAGE = 1 << 20;
export const MAX_QUEUED_BYTES = 4 << 20;
export const DIAL_TIMEOUT = 6_000;
export const CLOSE_TIMEOUT = 500;
