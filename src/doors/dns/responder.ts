import type { Resolution } from '../../core/names.ts';
import type { Answer, Over } from '../../ports/name-sockets.ts';
import type { Random } from '../../ports/random.ts';
import { type Query, RCODE, type Reply, readQuery, writeAnswer } from './message.ts';

/** What is answered inside one sandbox. */
export interface ResponderParts {
  readonly random: Random;
  /** As the networks of the sandbox are now. */
  readonly resolve: (question: { readonly name: string; readonly type: string }) => Resolution;
  /** Whether questions may leave the sandbox; false where all of its networks are internal. */
  readonly mayForward: () => boolean;
  readonly forward: (query: Query, over: Over) => Promise<Uint8Array | undefined>;
}

export function createResponder({ random, resolve, mayForward, forward }: ResponderParts): Answer {
  async function elsewhere(query: Query, over: Over): Promise<Uint8Array> {
    // Not `refused` and not a failure: musl takes both for silence and waits for five seconds.
    if (!mayForward()) return writeAnswer(query, { rcode: RCODE.noName });
    return (await forward(query, over)) ?? writeAnswer(query, { rcode: RCODE.serverFailure });
  }

  return async (message, over) => {
    try {
      const read = readQuery(message, over);
      if (!read.ok) return read.reply;
      const found = resolve(read.query);
      if (found.kind === 'elsewhere') return await elsewhere(read.query, over);
      return writeAnswer(read.query, { authoritative: true, ...replyOf(found, random) });
    } catch {
      // A question that trips us up gets no answer; the next one does.
      return undefined;
    }
  };
}

function replyOf(found: Exclude<Resolution, { kind: 'elsewhere' }>, random: Random): Reply {
  switch (found.kind) {
    case 'addresses':
      return { rcode: RCODE.ok, addresses: shuffled(found.addresses, random) };
    case 'names':
      return { rcode: RCODE.ok, names: found.names };
    case 'no-data':
      return { rcode: RCODE.ok };
    case 'no-name':
      return { rcode: RCODE.noName };
  }
}

/** Most programs take the first address: the order is how load is spread. */
function shuffled<T>(items: readonly T[], random: Random): readonly T[] {
  const result = [...items];
  for (let last = result.length - 1; last > 0; last--) {
    const other = Math.floor(random.fraction() * (last + 1));
    [result[last], result[other]] = [result[other] as T, result[last] as T];
  }
  return result;
}
