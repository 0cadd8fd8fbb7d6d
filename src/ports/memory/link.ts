import type { PeerId } from '../../core/ids.ts';
import type { Clock, Timer } from '../clock.ts';
import { CLOSE_TIMEOUT, type Link, type LinkHandlers, MAX_MESSAGE, MAX_QUEUED_BYTES } from '../transport.ts';
import type { Lane, Wires } from './wires.ts';

/** One side of a simulated link. */
export interface End extends Link {
  readonly other: End;
  arrive(message: Uint8Array): void;
  /** Ends this side now; what the other side sends from then on is lost. */
  end(reason: string): void;
  /** Ends this side now and the other once the wire has carried the news. */
  reset(reason: string): void;
}

export interface EndOptions {
  readonly wires: Wires;
  readonly clock: Clock;
  /** From this side to the other. */
  readonly lane: Lane;
  readonly other: () => End;
  readonly remote: PeerId;
  readonly remoteAddress: string;
  readonly door: string;
  readonly direction: 'dialled' | 'accepted';
  /** Called once, when the side has ended. */
  readonly onEnd: (end: End) => void;
  /** Whether the host still runs: a dead one hears nothing. */
  readonly alive: () => boolean;
}

/** A class, because simulations have ten thousands of them: what they do is there once, and each has only what it is. */
class MemoryEnd implements End {
  readonly remote: PeerId;
  readonly remoteAddress: string;
  readonly door: string;
  readonly direction: 'dialled' | 'accepted';
  readonly #options: EndOptions;
  #state: 'open' | 'closing' | 'ended' = 'open';
  #handlers: LinkHandlers | undefined;
  /** What has arrived before `receive` was called; undefined once delivery is direct. */
  #inbox: Uint8Array[] | undefined = [];
  #ended: string | undefined;
  #outstanding = 0;
  #closing: Timer | undefined;

  constructor(options: EndOptions) {
    this.remote = options.remote;
    this.remoteAddress = options.remoteAddress;
    this.door = options.door;
    this.direction = options.direction;
    this.#options = options;
  }

  get other(): End {
    return this.#options.other();
  }

  send(message: Uint8Array): boolean {
    if (message.length > MAX_MESSAGE) {
      throw new RangeError(`message of ${message.length} bytes, limit ${MAX_MESSAGE}`);
    }
    if (this.#state !== 'open') return false;
    if (this.#outstanding + message.length > MAX_QUEUED_BYTES) {
      this.reset('the other side reads too slowly');
      return false;
    }
    this.#outstanding += message.length;
    this.#carry(() => {
      this.#outstanding -= message.length;
      this.other.arrive(message);
    });
    return true;
  }

  receive(given: LinkHandlers): void {
    if (this.#handlers !== undefined) throw new Error('receive was called twice on one link');
    this.#handlers = given;
    queueMicrotask(() => {
      for (const message of this.#inbox ?? []) if (this.#options.alive()) given.message(message);
      this.#inbox = undefined;
      this.#tellClosed();
    });
  }

  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#closing = this.#options.clock.setTimer(CLOSE_TIMEOUT, () => this.end('closed on this side'));
    this.#carry(() => {
      this.end('closed on this side');
      this.other.end('closed by the other side');
    });
  }

  arrive(message: Uint8Array): void {
    if (this.#state !== 'open' || !this.#options.alive()) return;
    if (this.#inbox === undefined) this.#handlers?.message(message);
    else this.#inbox.push(message);
  }

  end(reason: string): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#ended = reason;
    this.#closing?.cancel();
    this.#options.onEnd(this);
    if (this.#inbox === undefined) queueMicrotask(() => this.#tellClosed());
  }

  reset(reason: string): void {
    if (this.#state === 'ended') return;
    this.end(reason);
    this.#carry(() => this.other.end('reset by the other side'));
  }

  #carry(arrive: () => void): void {
    this.#options.wires.carry(this.#options.lane, arrive);
  }

  #tellClosed(): void {
    const closed = this.#ended;
    if (this.#handlers === undefined || this.#inbox !== undefined || closed === undefined) return;
    if (this.#options.alive()) this.#handlers.closed(closed);
  }
}

export function createEnd(options: EndOptions): End {
  return new MemoryEnd(options);
}
