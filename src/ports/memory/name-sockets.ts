import { HostError } from '../host.ts';
import type { Answer, NameSockets, Over, SandboxNames } from '../name-sockets.ts';

/** Sandboxes that are only a table, with what programs in them and around them may do. */
export interface MemoryNames extends NameSockets {
  addSandbox(name: string): void;
  /** Its path is gone; it lives on for as long as something is open in it. */
  removeSandbox(name: string): void;
  /** What a program in the sandbox is told; undefined when nobody answers. */
  query(name: string, message: Uint8Array, over: Over): Promise<Uint8Array | undefined>;
  /** Takes the redirect away, as root inside a sandbox can. */
  tamper(name: string): void;
  /** The daemon is killed. */
  kill(): void;
  /** Who answers in a sandbox without Weft: Docker's resolver there, or for all others (`name` undefined) the host's nameserver. */
  setResolver(name: string | undefined, answer: Answer): void;
}

interface Entry {
  redirect: Answer | undefined;
}

export function createMemoryNames(): MemoryNames {
  const sandboxes = new Map<string, Entry>();
  const resolvers = new Map<string | undefined, Answer>();

  function entryOf(name: string): Entry {
    const entry = sandboxes.get(name);
    if (entry === undefined) throw new HostError('sandbox-missing', `${name} is not there`);
    return entry;
  }

  async function open(name: string, answer: Answer): Promise<SandboxNames> {
    const entry = entryOf(name);
    entry.redirect = answer;
    let closed = false;
    return {
      namespace: name,
      isAlive: async () => sandboxes.get(name) === entry,
      async restore() {
        if (!closed) entry.redirect = answer;
      },
      async ask(query, over, isAnswer) {
        const reply = await (resolvers.get(name) ?? resolvers.get(undefined))?.(query, over);
        return reply !== undefined && !closed && isAnswer(reply) ? reply : undefined;
      },
      async close() {
        closed = true;
        if (entry.redirect === answer) entry.redirect = undefined;
      },
    };
  }

  return {
    open,
    addSandbox: (name) => void sandboxes.set(name, { redirect: undefined }),
    removeSandbox: (name) => void sandboxes.delete(name),
    query: async (name, message, over) => (entryOf(name).redirect ?? resolvers.get(name))?.(message, over),
    tamper(name) {
      entryOf(name).redirect = undefined;
    },
    kill() {
      for (const entry of sandboxes.values()) entry.redirect = undefined;
    },
    setResolver: (name, answer) => void resolvers.set(name, answer),
  };
}
