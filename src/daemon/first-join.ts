import { codeOf, toProblem } from '../doors/errors.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Runner } from './runner.ts';

/** Brings a host that was set up by a script, not by a person, into its mesh. */
export interface FirstJoin {
  /** Does nothing on a host that has a mesh. Asks again until it, or somebody by hand, has brought the host into one. Never rejects. */
  run(): Promise<void>;
  stop(): void;
}

/** Between two tries, ms: doubled each time up to the longest. The host that invited may be started after this one. */
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 60_000;

export function createFirstJoin(parts: {
  /** Null: there is nothing to do. */
  readonly token: string | null;
  readonly runner: Pick<Runner, 'phases' | 'join'>;
  readonly clock: Clock;
  readonly log: Log;
}): FirstJoin {
  const { token, runner, clock, log } = parts;
  let stopped = false;
  let timer: Timer | undefined;
  let wake = () => {};

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      wake = resolve;
      timer = clock.setTimer(ms, resolve);
    });
  }

  return {
    async run() {
      let wait = FIRST_PAUSE;
      while (token !== null && !stopped && runner.phases.get().state === 'idle') {
        try {
          await runner.join({ token });
          return;
        } catch (error) {
          log.warn('could not join the mesh of the configured token', { error: toProblem(error).detail });
          if (codeOf(error) === 'bad-token') return;
        }
        await pause(wait);
        wait = Math.min(LONGEST_PAUSE, 2 * wait);
      }
    },
    stop() {
      stopped = true;
      timer?.cancel();
      wake();
    },
  };
}
