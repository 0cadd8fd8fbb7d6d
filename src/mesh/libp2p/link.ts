import type { Connection, Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface';
import type { PeerId } from '../../core/ids.ts';
import type { Clock, Timer } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import {
  CLOSE_TIMEOUT,
  type Link,
  type LinkHandlers,
  MAX_MESSAGE,
  MAX_QUEUED_BYTES,
} from '../../ports/transport.ts';
import { createFrameDecoder, encodeFrame, FRAME_HEAD } from './frames.ts';
import { updateRarely } from './window.ts';

export interface LinkParts {
  readonly connection: Connection;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly log: Log | undefined;
  readonly remoteAddress: string;
  readonly door: string;
  readonly direction: 'dialled' | 'accepted';
  /** Called once, when the connection is being let go. */
  readonly onEnd: () => void;
}

const CLOSED_HERE = 'closed on this side';

/**
 * A link on one stream of one connection; neither is shared. The stream keeps what the other side has no window for, and
 * `writeBufferLength` says how much that is: `send` compares it with the bound, because libp2p's own back-pressure does not hold.
 *
 *   open ── close() or the other side's FIN ──► closing ── both have sent FIN, or CLOSE_TIMEOUT ──► ended
 *     └──────────────── reset, too slow, garbage ─────────────────────────────────────────────────►
 */
export function createStreamLink(parts: LinkParts): Link {
  const { connection, stream, clock, log, onEnd } = parts;
  const remote = connection.remotePeer.toString() as PeerId;
  const decoder = createFrameDecoder(MAX_MESSAGE);
  let state: 'open' | 'closing' | 'ended' = 'open';
  let handlers: LinkHandlers | undefined;
  /** What has arrived before `receive` was called; undefined once delivery is direct. */
  let inbox: Uint8Array[] | undefined = [];
  let inboxBytes = 0;
  /** Why the link ended or is ending: what was known first. */
  let reason: string | undefined;
  let told = false;
  let deadline: Timer | undefined;

  /** A part that fails on a message must not take the process down with it: whoever is linked could then do that at will. */
  function hand(message: Uint8Array): void {
    try {
      handlers?.message(message);
    } catch (error) {
      log?.error('a message could not be handled', { peer: remote, error: describe(error) });
      abort('a message could not be handled');
    }
  }

  function deliver(message: Uint8Array): void {
    if (state === 'ended' || reason === CLOSED_HERE) return;
    if (inbox === undefined) {
      hand(message);
      return;
    }
    inbox.push(message);
    inboxBytes += message.length + FRAME_HEAD;
    if (inboxBytes > MAX_QUEUED_BYTES) abort('nobody takes the messages');
  }

  function tell(): void {
    if (told || handlers === undefined || inbox !== undefined) return;
    told = true;
    handlers.closed(reason ?? 'closed');
  }

  function end(why: string): void {
    if (state === 'ended') return;
    state = 'ended';
    reason ??= why;
    deadline?.cancel();
    stream.removeEventListener('message', onMessage);
    stream.removeEventListener('remoteCloseWrite', onRemoteClose);
    stream.removeEventListener('close', onClose);
    queueMicrotask(tell);
    onEnd();
  }

  /** Ends without waiting for anything. */
  function abort(why: string): void {
    end(why);
    connection.abort(new Error(why));
  }

  /** Sends what is queued and FIN, waits for the other side's FIN, then lets the connection go. */
  function finish(why: string): void {
    if (state !== 'open') return;
    state = 'closing';
    reason ??= why;
    deadline = clock.setTimer(CLOSE_TIMEOUT, () => abort(why));
    stream.close().catch(() => abort(why));
  }

  const onMessage = (event: StreamMessageEvent) => {
    if (state === 'ended') return;
    if (!decoder.push(event.data.subarray(), deliver)) abort('a message over the limit');
  };
  const onRemoteClose = () => finish('closed by the other side');
  const onClose = (event: StreamCloseEvent) => {
    const why = event.error === undefined ? 'closed by the other side' : `broken: ${event.error.message}`;
    end(why);
    if (event.error !== undefined) connection.abort(event.error);
    else release(connection, clock);
  };

  updateRarely(stream);
  stream.addEventListener('message', onMessage);
  stream.addEventListener('remoteCloseWrite', onRemoteClose);
  stream.addEventListener('close', onClose);

  return {
    remote,
    remoteAddress: parts.remoteAddress,
    door: parts.door,
    direction: parts.direction,

    send(message) {
      if (message.length > MAX_MESSAGE) {
        throw new RangeError(`message of ${message.length} bytes, limit ${MAX_MESSAGE}`);
      }
      if (state !== 'open') return false;
      if (stream.writeBufferLength + message.length + FRAME_HEAD > MAX_QUEUED_BYTES) {
        abort('the other side reads too slowly');
        return false;
      }
      try {
        stream.send(encodeFrame(message));
        return true;
      } catch (error) {
        abort(`broken: ${describe(error)}`);
        return false;
      }
    },

    receive(given) {
      if (handlers !== undefined) throw new Error('receive was called twice on one link');
      handlers = given;
      queueMicrotask(() => {
        for (const message of inbox ?? []) hand(message);
        inbox = undefined;
        if (state === 'ended') tell();
      });
    },

    close: () => finish(CLOSED_HERE),
  };
}

/** Closes in order what can be closed in time, and cuts the rest. */
function release(connection: Connection, clock: Clock): void {
  const giveUp = new AbortController();
  const timer = clock.setTimer(CLOSE_TIMEOUT, () => giveUp.abort());
  connection
    .close({ signal: giveUp.signal })
    .catch((error) => connection.abort(error))
    .finally(() => timer.cancel());
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
