import type { Clock } from '../clock.ts';
import type { Store, Stored } from '../store.ts';

export interface MemoryStore extends Store {
  /** Writes that have been completed. */
  writes(): number;
  /** Makes the newest generation unreadable, or both. */
  damage(which: 'current' | 'both'): void;
  /** Every write from now on rejects with `error` and leaves the old value; undefined ends that. */
  failWrites(error: Error | undefined): void;
  /** A crash: a write under way never completes, and what it would have written is lost. */
  crash(): void;
}

export interface MemoryStoreOptions {
  /** With both, a write takes `latency` ms. */
  readonly clock?: Clock;
  readonly latency?: number;
}

export function createMemoryStore({ clock, latency = 0 }: MemoryStoreOptions = {}): MemoryStore {
  let current: Uint8Array | undefined;
  let previous: Uint8Array | undefined;
  let damaged: 'none' | 'current' | 'both' = 'none';
  let failure: Error | undefined;
  let completed = 0;
  let busy = false;
  /** Grows with each crash; a write that began in an earlier life is dropped. */
  let life = 0;

  const pass = () =>
    new Promise<void>((resolve) =>
      clock === undefined || latency === 0 ? resolve() : void clock.setTimer(latency, resolve),
    );

  function stored(): Stored {
    if (current === undefined) return { generation: 'none' };
    if (damaged === 'none') return { generation: 'current', bytes: current.slice() };
    const problem = 'damaged on purpose';
    if (damaged === 'both' || previous === undefined) return { generation: 'damaged', problem };
    return { generation: 'previous', bytes: previous.slice(), problem };
  }

  return {
    read: async () => stored(),
    async write(bytes) {
      if (busy) throw new Error('overlapping writes to one store');
      busy = true;
      const copy = bytes.slice();
      const born = life;
      await pass();
      if (born !== life) return new Promise<void>(() => {});
      busy = false;
      if (failure !== undefined) throw failure;
      // A damaged generation is never kept as the previous one.
      if (damaged === 'none') previous = current;
      current = copy;
      damaged = 'none';
      completed++;
    },
    writes: () => completed,
    damage(which) {
      damaged = which;
    },
    failWrites(error) {
      failure = error;
    },
    crash() {
      life++;
      busy = false;
    },
  };
}
