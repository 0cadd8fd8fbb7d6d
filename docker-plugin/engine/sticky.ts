import type { Clock } from '../../src/ports/clock.ts';
import type { DockerContainerDetail, DockerEvent } from './api.ts';

/**
 * Which address a container had, so that it gets the same one when it is started again. Docker 20.10 to 28 ask for an address without
 * saying for whom (moby#24902). What the events told goes a long way: it is for a container that was just created, or that has
 * ended and was not removed.
 */
export interface Sticky {
  /** The address that the next container on `network` should have; undefined: any. `container`: its name, where Docker tells. */
  suggest(network: string, container?: string): string | undefined;
  onEvent(event: DockerEvent): void;
  /** A container as it is; `networks` gives the mesh's network of Docker's. */
  onContainer(container: DockerContainerDetail, networks: ReadonlyMap<string, string>): void;
}

/** After this an address is no longer suggested. Nobody else gets it soon: addresses are handed out in turn. */
export const KEPT_FOR = 5 * 60_000;
/** Containers that changed within so short a time are being restarted together, and come back in the order in which they went. */
const TOGETHER = 3_000;
/** A machine has fewer containers; names are made up by whoever may talk to Docker. */
const MOST_NAMES = 10_000;

interface Memory {
  /** Address by network of the mesh. */
  readonly addresses: Map<string, string>;
  /** When the container ended; null while it runs. */
  endedAt: number | null;
}

interface Waiting {
  readonly name: string;
  readonly since: number;
  /** Made and never started: `docker run` is about to. */
  readonly isNew: boolean;
}

export function createSticky({ clock }: { readonly clock: Clock }): Sticky {
  /** By name: a container that is made anew under its old name is the same to its users. */
  const memories = new Map<string, Memory>();
  /** Containers, by id, that are there and do not run. */
  const waiting = new Map<string, Waiting>();

  function isFresh({ endedAt }: Memory): boolean {
    return endedAt === null || clock.now() - endedAt <= KEPT_FOR;
  }

  function remembered(network: string, name: string): string | undefined {
    const memory = memories.get(name);
    return memory !== undefined && memory.endedAt !== null && isFresh(memory)
      ? memory.addresses.get(network)
      : undefined;
  }

  /** Of those that wait, the one that Docker most likely asks for. */
  function next(): readonly [string, Waiting] | undefined {
    const byAge = [...waiting].sort(([, one], [, other]) => one.since - other.since);
    const recent = byAge.filter(([, { since }]) => clock.now() - since <= TOGETHER);
    return recent.find(([, { isNew }]) => isNew) ?? recent[0] ?? byAge.at(-1);
  }

  function forgetOld(): void {
    for (const [name, memory] of memories) {
      if (!isFresh(memory) || memories.size > MOST_NAMES) memories.delete(name);
    }
    for (const [id, { since }] of waiting) if (clock.now() - since > KEPT_FOR) waiting.delete(id);
  }

  return {
    suggest(network, container) {
      forgetOld();
      if (container !== undefined) return remembered(network, container);
      const found = next();
      if (found === undefined) return undefined;
      const [id, { name }] = found;
      // One question for each network of a container; the last one settles it.
      const memory = memories.get(name);
      const address = remembered(network, name);
      if (memory === undefined || address === undefined || memory.addresses.size < 2) waiting.delete(id);
      return address;
    },
    onEvent({ type, action, id, name }) {
      if (type !== 'container' || name === null) return;
      if (action === 'start') waiting.delete(id);
      if (action === 'create' || action === 'die') {
        waiting.set(id, { name, since: clock.now(), isNew: action === 'create' });
      }
      const memory = memories.get(name);
      if (action === 'die' && memory !== undefined) memory.endedAt = clock.now();
      // A removed container may come back under its name: compose does that.
      if (action === 'destroy') waiting.delete(id);
    },
    onContainer({ name, running, attachments }, networks) {
      if (!running) return;
      const addresses = new Map<string, string>();
      for (const { network, address } of attachments) {
        const id = networks.get(network);
        if (id !== undefined && address !== null) addresses.set(id, address);
      }
      if (addresses.size > 0) memories.set(name, { addresses, endedAt: null });
    },
  };
}
