import type { Clock } from '../../ports/clock.ts';

/** Bounded waits on a virtual or a real clock. */
export interface Waiting {
  /** Resolves after `ms`, or at `close`. */
  pause(ms: number): Promise<void>;
  /** Resolves after `ms`, at `close`, or with the next call of the handler that `subscribe` is given. */
  change(subscribe: (handler: () => void) => () => void, ms: number): Promise<void>;
  /** The promise's value, or undefined when it takes longer than `ms` or `close` comes first. Rejections come through. */
  atMost<T>(promise: Promise<T>, ms: number): Promise<T | undefined>;
  readonly closed: boolean;
  close(): void;
}

export function createWaiting(clock: Clock): Waiting {
  const ends = new Set<() => void>();
  let closed = false;

  function wait(ms: number, also: (end: () => void) => () => void): Promise<void> {
    if (closed) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        ends.delete(end);
        timer.cancel();
        stop();
        resolve();
      };
      ends.add(end);
      const timer = clock.setTimer(ms, end);
      const stop = also(end);
    });
  }

  return {
    pause: (ms) => wait(ms, () => () => {}),
    change: (subscribe, ms) => wait(ms, subscribe),
    async atMost<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
      let value: T | undefined;
      let failure: { readonly error: unknown } | undefined;
      await wait(ms, (end) => {
        promise.then(
          (result) => {
            value = result;
            end();
          },
          (error: unknown) => {
            failure = { error };
            end();
          },
        );
        return () => {};
      });
      if (failure !== undefined) throw failure.error;
      return value;
    },
    get closed() {
      return closed;
    },
    close() {
      closed = true;
      for (const end of [...ends]) end();
    },
  };
}
