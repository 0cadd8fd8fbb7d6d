import type { Over } from '../../ports/name-sockets.ts';
import type { Random } from '../../ports/random.ts';
import { answers, type Query, withId } from './message.ts';

/** Asks somebody else, and gives the answer under the id of the query. */
export interface Forwarder {
  /** Undefined when nobody answers, or too many questions are open. */
  forward(query: Query, over: Over, ask: Ask, sandbox: string): Promise<Uint8Array | undefined>;
}

/** SandboxNames.ask of ports/name-sockets.ts. */
export type Ask = (
  query: Uint8Array,
  over: Over,
  isAnswer: (message: Uint8Array) => boolean,
) => Promise<Uint8Array | undefined>;

/** Open questions of one sandbox and of all: each holds a socket. */
export const MOST_OF_ONE = 64;
export const MOST_OF_ALL = 512;

export function createForwarder(random: Random): Forwarder {
  const open = new Map<string, number>();
  let all = 0;

  function count(sandbox: string, change: 1 | -1): void {
    all += change;
    const now = (open.get(sandbox) ?? 0) + change;
    if (now === 0) open.delete(sandbox);
    else open.set(sandbox, now);
  }

  return {
    async forward(query, over, ask, sandbox) {
      if (all >= MOST_OF_ALL || (open.get(sandbox) ?? 0) >= MOST_OF_ONE) return undefined;
      count(sandbox, 1);
      try {
        const id = random.bytes(2);
        const reply = await ask(withId(query.bytes, id), over, (message) => answers(message, id, query));
        return reply === undefined ? undefined : withId(reply, query.bytes);
      } finally {
        count(sandbox, -1);
      }
    },
  };
}
