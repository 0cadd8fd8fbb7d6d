import type { Token } from '../core/token.ts';
import type { Clock } from '../ports/clock.ts';
import { JoinError, type Joined, type JoinParts, joinMesh } from './join.ts';

export interface PatientJoinParts extends JoinParts {
  /** Before each further try: what is going on, for people. */
  readonly onRetry: (text: string) => void;
}

/** Milliseconds from the first try within which the last one begins. */
export const JOIN_PATIENCE = 30_000;
/** Between two tries, ms: doubled each time up to the longest. */
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 4_000;

/**
 * Like joinMesh; asks again where the other side was only slow or busy, as hosts are that have more to do than they can. Each try
 * goes on where the one before broke off, and the last one's error is the error.
 */
export async function joinPatiently(
  parts: PatientJoinParts,
  token: Token,
  signal?: AbortSignal,
): Promise<Joined> {
  const { clock, log, onRetry } = parts;
  const until = clock.now() + JOIN_PATIENCE;
  const isGivenUp = () => signal?.aborted === true;
  for (let pause = FIRST_PAUSE; ; pause = Math.min(LONGEST_PAUSE, 2 * pause)) {
    try {
      return await joinMesh(parts, token, signal);
    } catch (error) {
      const passing = error instanceof JoinError ? error.passing : undefined;
      if (passing === undefined || isGivenUp() || clock.now() + pause > until) throw error;
      log.info('joining is tried again', { error: String(error), after: pause });
      onRetry(`${token.addresses.join(' or ')} ${passing}: asking again`);
      await sleep(clock, pause, signal);
      if (isGivenUp()) throw error;
    }
  }
}

/** Ends sooner when that is wanted. */
function sleep(clock: Clock, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      timer.cancel();
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = clock.setTimer(ms, end);
    signal?.addEventListener('abort', end);
  });
}
