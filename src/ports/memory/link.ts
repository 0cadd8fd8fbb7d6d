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

export function createEnd(options: EndOptions): End {
  const { wires, clock, lane, other, onEnd, alive, remote, remoteAddress, door, direction } = options;
  let state: 'open' | 'closing' | 'ended' = 'open';
  let handlers: LinkHandlers | undefined;
  /** What has arrived before `receive` was called; undefined once delivery is direct. */
  let inbox: Uint8Array[] | undefined = [];
  let ended: string | undefined;
  let outstanding = 0;
  let closing: Timer | undefined;

  function tellClosed(): void {
    if (handlers === undefined || inbox !== undefined || ended === undefined || !alive()) return;
    handlers.closed(ended);
  }

  const end: End = {
    remote,
    remoteAddress,
    door,
    direction,
    get other() {
      return other();
    },

    send(message) {
      if (message.length > MAX_MESSAGE) {
        throw new RangeError(`message of ${message.length} bytes, limit ${MAX_MESSAGE}`);
      }
      if (state !== 'open') return false;
      if (outstanding + message.length > MAX_QUEUED_BYTES) {
        end.reset('the other side reads too slowly');
        return false;
      }
      outstanding += message.length;
      wires.carry(lane, () => {
        outstanding -= message.length;
        end.other.arrive(message);
      });
      return true;
    },

    receive(given) {
      if (handlers !== undefined) throw new Error('receive was called twice on one link');
      handlers = given;
      queueMicrotask(() => {
        for (const message of inbox ?? []) if (alive()) given.message(message);
        inbox = undefined;
        tellClosed();
      });
    },

    close() {
      if (state !== 'open') return;
      state = 'closing';
      closing = clock.setTimer(CLOSE_TIMEOUT, () => end.end('closed on this side'));
      wires.carry(lane, () => {
        end.end('closed on this side');
        end.other.end('closed by the other side');
      });
    },

    arrive(message) {
      if (state !== 'open' || !alive()) return;
      if (inbox === undefined) handlers?.message(message);
      else inbox.push(message);
    },

    end(reason) {
      if (state === 'ended') return;
      state = 'ended';
      ended = reason;
      closing?.cancel();
      onEnd(end);
      if (inbox === undefined) queueMicrotask(tellClosed);
    },

    reset(reason) {
      if (state === 'ended') return;
      end.end(reason);
      wires.carry(lane, () => end.other.end('reset by the other side'));
    },
  };
  return end;
}
