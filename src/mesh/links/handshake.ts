import type { Hello, LinkMessage } from '../../core/wire/messages.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Channel } from './channel.ts';

/**
 * The first messages on a link.
 *
 *   dialler                          acceptor
 *     hello ───────────────────────▶ checks it, or bye
 *     checks it, or bye ◀─────────── hello
 *     linked;  ready ──────────────▶ linked
 *
 * So the acceptor shows its certificate only to members, and neither side counts a link that the other refused.
 */
export interface HandshakeParts {
  readonly channel: Channel;
  readonly clock: Clock;
  readonly hello: () => Hello;
  /** Undefined: welcome. Asked right before this side commits itself. */
  readonly check: (hello: Hello) => Refused | undefined;
  /** Synchronous, so that the next message finds its handler. */
  readonly done: (hello: Hello) => void;
  readonly failed: (failure: Refused) => void;
}

export interface Refused {
  /** Of the `bye`, whoever sent it; or `closed`, `silent`. */
  readonly reason: string;
  readonly message: string;
  /** What shows who was removed that it was, said or heard. */
  readonly proof?: unknown;
}

export interface Handshake {
  readonly channel: Channel;
  abandon(reason: string, message: string, proof?: unknown): void;
}

export const HANDSHAKE_TIMEOUT = 5_000;

export function startHandshake(parts: HandshakeParts): Handshake {
  const { channel, clock, hello, check, done, failed } = parts;
  const dialled = channel.link.direction === 'dialled';
  let theirs: Hello | undefined;
  let over = false;
  const timer = clock.setTimer(HANDSHAKE_TIMEOUT, () =>
    abandon('silent', `no answer to a greeting within ${HANDSHAKE_TIMEOUT} ms`),
  );

  function end(act: () => void): void {
    if (over) return;
    over = true;
    timer.cancel();
    act();
  }

  function abandon(reason: string, message: string, proof?: unknown): void {
    end(() => {
      channel.leave(reason, message, proof);
      failed({ reason, message });
    });
  }

  /** `check` refuses what it does not like; undefined when that ended the greeting. */
  function checked(message: Hello): Hello | undefined {
    const refused = check(message);
    if (refused === undefined) return message;
    abandon(refused.reason, refused.message, refused.proof);
    return undefined;
  }

  function greeted(message: Hello): void {
    theirs = checked(message);
    if (theirs === undefined) return;
    channel.send(dialled ? { type: 'ready' } : hello());
    if (dialled) end(() => done(message));
  }

  function receive(message: LinkMessage): void {
    if (message.type === 'bye') {
      end(() => {
        channel.link.close();
        failed({ reason: message.reason, message: `refused: ${message.message}`, proof: message.proof });
      });
    } else if (message.type === 'hello' && theirs === undefined) {
      greeted(message);
    } else if (message.type === 'ready' && theirs !== undefined) {
      // Again, because what was true when our hello left may have changed: another link to this peer may have opened.
      const hello = checked(theirs);
      if (hello !== undefined) end(() => done(hello));
    } else {
      abandon('incompatible', `unexpected message in a greeting: ${message.type}`);
    }
  }

  channel.attach({
    message: receive,
    closed: (reason) => end(() => failed({ reason: 'closed', message: `closed in the greeting: ${reason}` })),
  });
  if (dialled) channel.send(hello());
  return { channel, abandon };
}
