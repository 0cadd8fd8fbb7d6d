import type { Clock, Timer } from '../ports/clock.ts';
import type { Random } from '../ports/random.ts';

/**
 * Tries for ever. After the n-th failure in a row a target rests for about 2^(n-1) seconds, a minute at most; the exact time is random,
 * so that hosts that lost their network together do not come back together.
 */
export interface Redial<Target extends string> {
  /** From now on exactly these are tried, each first after its delay (ms) unless it rests longer. A try of any other is given up. */
  want(targets: ReadonlyMap<Target, number>): void;
  /** Being dialled, or about to be for the first time. */
  isTried(target: Target): boolean;
  /** Neither that nor resting after a failure. */
  isReady(target: Target): boolean;
  /** Targets that are wanted, or failed the last time. */
  size(): number;
  /** Targets for which `isTried` holds. */
  tried(): readonly Target[];
  /** Something changed for the better: everybody is worth a try now. */
  hurry(): void;
  /** Forgets how a target failed before. */
  forget(target: Target): void;
  /** Targets that are wanted, or failed the last time. */
  states(): ReadonlyMap<Target, RedialState>;
  close(): void;
}

export interface RedialState {
  readonly state: 'dialling' | 'backing-off';
  /** Failures in a row. */
  readonly failures: number;
  readonly lastError: string | undefined;
  /** Milliseconds until the next try; 0 while dialling. */
  readonly nextTry: number;
}

export interface RedialParts<Target extends string> {
  readonly clock: Clock;
  readonly random: Random;
  /** Resolves when the target is linked. */
  readonly dial: (target: Target, signal: AbortSignal) => Promise<void>;
  /** Called after each failure. */
  readonly onFailure?: (target: Target, error: unknown) => void;
}

export const FIRST_REST = 1_000;
export const LONGEST_REST = 60_000;
/** Over how much time `hurry` spreads the tries. */
const HURRY_SPREAD = 200;

interface Attempt {
  failures: number;
  lastError: string | undefined;
  /** When it may be tried next. */
  at: number;
  wanted: boolean;
  timer: Timer | undefined;
  /** Set while dialling. */
  controller: AbortController | undefined;
}

export function createRedial<Target extends string>(parts: RedialParts<Target>): Redial<Target> {
  const { clock, random, dial, onFailure } = parts;
  const attempts = new Map<Target, Attempt>();

  function schedule(target: Target, attempt: Attempt): void {
    attempt.timer?.cancel();
    attempt.timer = clock.setTimer(Math.max(0, attempt.at - clock.now()), () => {
      attempt.timer = undefined;
      void run(target, attempt);
    });
  }

  async function run(target: Target, attempt: Attempt): Promise<void> {
    const controller = new AbortController();
    attempt.controller = controller;
    try {
      await dial(target, controller.signal);
      if (attempt.controller === controller) attempts.delete(target);
    } catch (error) {
      // Given up meanwhile: whatever went wrong was our own doing.
      if (attempt.controller !== controller) return;
      attempt.controller = undefined;
      attempt.failures++;
      attempt.lastError = error instanceof Error ? error.message : String(error);
      attempt.at = clock.now() + rest(attempt.failures);
      if (attempt.wanted) schedule(target, attempt);
      onFailure?.(target, error);
    }
  }

  function rest(failures: number): number {
    const middle = Math.min(FIRST_REST * 2 ** (failures - 1), LONGEST_REST / 1.25);
    return Math.max(FIRST_REST, middle * (0.75 + 0.5 * random.fraction()));
  }

  function stop(attempt: Attempt): void {
    attempt.wanted = false;
    attempt.timer?.cancel();
    attempt.timer = undefined;
    const { controller } = attempt;
    attempt.controller = undefined;
    controller?.abort();
  }

  return {
    want(targets) {
      for (const [target, attempt] of attempts) {
        if (!attempt.wanted || targets.has(target)) continue;
        stop(attempt);
        if (attempt.failures === 0) attempts.delete(target);
      }
      for (const [target, delay] of targets) {
        const known = attempts.get(target);
        if (known?.wanted) continue;
        const at = Math.max(known?.at ?? 0, clock.now() + delay);
        const attempt = known ?? {
          failures: 0,
          lastError: undefined,
          at,
          wanted: true,
          timer: undefined,
          controller: undefined,
        };
        attempt.at = at;
        attempt.wanted = true;
        attempts.set(target, attempt);
        schedule(target, attempt);
      }
    },
    isReady(target) {
      const attempt = attempts.get(target);
      return attempt === undefined || (attempt.controller === undefined && attempt.at <= clock.now());
    },
    isTried: (target) => isTried(attempts.get(target)),
    tried: () => [...attempts].flatMap(([target, attempt]) => (isTried(attempt) ? target : [])),
    size: () => attempts.size,
    hurry() {
      for (const [target, attempt] of attempts) {
        if (attempt.controller !== undefined) continue;
        attempt.failures = Math.min(attempt.failures, 1);
        attempt.at = Math.min(attempt.at, clock.now() + random.fraction() * HURRY_SPREAD);
        if (attempt.wanted) schedule(target, attempt);
      }
    },
    forget(target) {
      const attempt = attempts.get(target);
      if (attempt === undefined) return;
      stop(attempt);
      attempts.delete(target);
    },
    states() {
      const now = clock.now();
      return new Map(
        [...attempts].map(([target, { controller, failures, lastError, at }]) => {
          const state = controller === undefined ? 'backing-off' : 'dialling';
          return [target, { state, failures, lastError, nextTry: controller ? 0 : Math.max(0, at - now) }];
        }),
      );
    },
    close() {
      for (const attempt of attempts.values()) stop(attempt);
      attempts.clear();
    },
  };
}

function isTried(attempt: Attempt | undefined): boolean {
  return attempt?.wanted === true && (attempt.controller !== undefined || attempt.failures === 0);
}
