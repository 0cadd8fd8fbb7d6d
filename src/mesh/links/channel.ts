import type { Crypto } from '../../core/crypto.ts';
import { type LinkMessage, packMessage, unpackMessage } from '../../core/wire/messages.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import type { Link } from '../../ports/transport.ts';
import { decode, encode } from '../codec.ts';

/**
 * Messages on one link: encoded, checked, and counted, so that either side knows how much of what it sent the other has read. The
 * transport closes a link whose reader is too slow; who looks at `room` before sending much never gets there.
 */
export interface Channel {
  readonly link: Link;
  send(message: LinkMessage): boolean;
  /** Bytes that may be sent before the other side has read more; below 0 when it was exceeded. */
  room(): number;
  /** When anything arrived, and when anything was sent, by the clock. */
  lastHeard(): number;
  lastSent(): number;
  /** Moves `lastHeard` on by time in which this process could not listen. */
  forgive(ms: number): void;
  beat(): void;
  /** Replaces the handlers. */
  attach(handlers: ChannelHandlers): void;
  /** Says why, then closes. */
  leave(reason: string, message: string, proof?: unknown): void;
}

export interface ChannelHandlers {
  /** All but beats. */
  message(message: LinkMessage): void;
  /** The other side has read; `room` has grown. */
  room?(): void;
  closed(reason: string): void;
}

/** Unread bytes on the way. Fills a path of 50 Mbit/s and 160 ms, and is a quarter of what the transport queues. */
export const WINDOW = 1 << 20;
/** A beat tells what was read after this many bytes. */
const TELL_EVERY = 64 << 10;

export function createChannel(parts: { link: Link; crypto: Crypto; clock: Clock; log: Log }): Channel {
  const { link, crypto, clock, log } = parts;
  const isPeer = (text: string) => crypto.publicKeyOf(text) !== undefined;
  let handlers: ChannelHandlers | undefined;
  let sent = 0;
  let read = 0;
  let received = 0;
  let told = 0;
  let heard = clock.now();
  let spoke = clock.now();

  function send(message: LinkMessage): boolean {
    const bytes = encode(packMessage(message));
    sent += bytes.length;
    spoke = clock.now();
    return link.send(bytes);
  }

  function beat(): void {
    told = received;
    send({ type: 'beat', received });
  }

  function receive(bytes: Uint8Array): void {
    received += bytes.length;
    heard = clock.now();
    const decoded = decode(bytes);
    const unpacked = decoded.ok ? unpackMessage(decoded.value, isPeer) : decoded;
    if (!unpacked.ok) {
      log.debug('ignored a message', { peer: link.remote, problem: unpacked.problem });
    } else if (unpacked.message.type === 'beat') {
      // Never more than was sent, whatever the other side says.
      read = Math.max(read, Math.min(sent, unpacked.message.received));
      handlers?.room?.();
    } else {
      handlers?.message(unpacked.message);
    }
    if (received - told >= TELL_EVERY) beat();
  }

  link.receive({ message: receive, closed: (reason) => handlers?.closed(reason) });

  return {
    link,
    send,
    room: () => WINDOW - (sent - read),
    lastHeard: () => heard,
    lastSent: () => spoke,
    forgive(ms) {
      heard = Math.min(clock.now(), heard + ms);
    },
    beat,
    attach(next) {
      handlers = next;
    },
    leave(reason, message, proof) {
      send({ type: 'bye', reason, message, ...(proof === undefined ? {} : { proof }) });
      link.close();
    },
  };
}
