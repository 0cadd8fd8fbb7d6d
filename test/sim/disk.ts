import type { Clock } from '../../src/ports/clock.ts';
import { createMemoryStore } from '../../src/ports/memory/store.ts';
import type { Store } from '../../src/ports/store.ts';

/** The disk of a simulated host, and what may go wrong with it. Survives the host's lives. */
export interface Disk extends Store {
  /** Full: each write fails, nothing is lost. */
  fill(full: boolean): void;
  /** Milliseconds that a write takes from now on. */
  slow(ms: number): void;
  /** Writes that were begun. */
  begun(): number;
  /** Writes that failed. */
  failures(): number;
  /**
   * At the write with this number (from 1): `before` it reaches the medium, or `after` it did and before anybody is told, runs `action`,
   * which ends the host's life.
   */
  crashAt(write: number, when: CrashPoint, action: () => void): void;
  /** From now on writes are acknowledged and kept nowhere, as by a disk with a cache and no battery: to see that tests notice. */
  lie(): void;
  /** What was on its way is lost. */
  crash(): void;
}

export type CrashPoint = 'before' | 'after';

const USUAL = 2;

export function createDisk(clock: Clock): Disk {
  const store = createMemoryStore();
  let latency = USUAL;
  let isFull = false;
  let isLying = false;
  let begun = 0;
  let failures = 0;
  let life = 0;
  let trap: { readonly write: number; readonly when: CrashPoint; readonly action: () => void } | undefined;

  const never = () => new Promise<void>(() => {});

  function springs(when: CrashPoint, write: number): boolean {
    if (trap?.write !== write || trap.when !== when) return false;
    const { action } = trap;
    trap = undefined;
    action();
    return true;
  }

  return {
    read: () => store.read(),
    async write(bytes) {
      const write = ++begun;
      const born = life;
      const copy = bytes.slice();
      if (springs('before', write)) return never();
      await new Promise<void>((resolve) => void clock.setTimer(latency, resolve));
      if (born !== life) return never();
      if (isFull) {
        failures++;
        throw new Error('ENOSPC: no space left on device');
      }
      if (!isLying) await store.write(copy);
      return springs('after', write) ? never() : undefined;
    },
    fill(full) {
      isFull = full;
    },
    slow(ms) {
      latency = ms;
    },
    lie() {
      isLying = true;
    },
    begun: () => begun,
    failures: () => failures,
    crashAt(write, when, action) {
      trap = { write, when, action };
    },
    crash() {
      life++;
    },
  };
}
