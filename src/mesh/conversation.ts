import type { Clock } from '../ports/clock.ts';
import type { Link } from '../ports/transport.ts';

/** A link on which two sides take turns. */
export interface Conversation<T> {
  /** The next message. Rejects with ConversationError. One call at a time. */
  next(): Promise<T>;
  send(bytes: Uint8Array): void;
  close(): void;
}

export class ConversationError extends Error {
  readonly reason: 'closed' | 'timeout' | 'malformed';
  constructor(reason: ConversationError['reason'], message: string) {
    super(message);
    this.name = 'ConversationError';
    this.reason = reason;
  }
}

export interface ConversationParts<T> {
  readonly link: Link;
  readonly clock: Clock;
  /** Milliseconds that the other side has for each message. */
  readonly patience: number;
  /** Undefined for what the other side may not send. */
  readonly decode: (bytes: Uint8Array) => T | undefined;
}

/** Who sends more than this without having been asked does not take turns. */
const MAX_WAITING = 4;

/** To be called in the turn of the event loop in which the link was opened. */
export function converse<T>({ link, clock, patience, decode }: ConversationParts<T>): Conversation<T> {
  const waiting: T[] = [];
  let failure: ConversationError | undefined;
  let wanted: PromiseWithResolvers<T> | undefined;

  function fail(reason: ConversationError['reason'], message: string): void {
    failure ??= new ConversationError(reason, message);
    wanted?.reject(failure);
    wanted = undefined;
    link.close();
  }

  link.receive({
    message(bytes) {
      if (failure !== undefined) return;
      const message = decode(bytes);
      if (message === undefined || waiting.length >= MAX_WAITING)
        fail('malformed', 'the other side sent nonsense');
      else if (wanted === undefined) waiting.push(message);
      else {
        wanted.resolve(message);
        wanted = undefined;
      }
    },
    closed: (reason) => fail('closed', `the other side closed the link: ${reason}`),
  });

  return {
    async next() {
      const message = waiting.shift();
      if (message !== undefined) return message;
      if (failure !== undefined) throw failure;
      const timer = clock.setTimer(patience, () => {
        fail('timeout', `the other side was silent for ${patience / 1000} s`);
      });
      wanted = Promise.withResolvers<T>();
      return wanted.promise.finally(() => timer.cancel());
    },
    send(bytes) {
      link.send(bytes);
    },
    close: () => link.close(),
  };
}
