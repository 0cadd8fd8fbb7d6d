import { once } from 'node:events';
import type { Log } from '../ports/log.ts';
import { createFirewallGuard, type FirewallGuard } from './firewall-guard.ts';

/**
 * Has one guard at a time (firewall-guard.ts), another when somebody has ended its programs, and lets one look at the tables follow from however
 * much it tells.
 */
export interface FirewallWatch {
  /** Puts the daemon's guard in place of an earlier one. Returns the way to stop. */
  begin(): Promise<() => Promise<void>>;
  /** What the guard is to hold, now and when it begins. */
  hold(body: string): Promise<void>;
}

export interface FirewallWatchParts {
  /** The network namespace; absent: that of this process. */
  readonly path: string | undefined;
  readonly log: Log;
  /** One after the other with all that changes the host. */
  readonly exclusively: (work: () => Promise<void>) => Promise<void>;
  /** Something may have been taken out of our tables, by ourselves or by others. */
  readonly putBack: () => Promise<void>;
}

/** ms from the end of a guard's program to the next guard, so that a program that cannot run is not started again and again. */
const PAUSE = 1_000;

export function createFirewallWatch({ path, log, exclusively, putBack }: FirewallWatchParts): FirewallWatch {
  let guard: FirewallGuard | undefined;
  let held = '';
  /** How often it has begun: only who began it last may end it. */
  let lives = 0;
  let isWaiting = false;

  function lookSoon(): void {
    if (isWaiting) return;
    isWaiting = true;
    const look = () => {
      isWaiting = false;
      return putBack();
    };
    exclusively(look).catch((error: unknown) =>
      log.error('rules of the firewall cannot be put back', { error: String(error) }),
    );
  }

  async function replace(): Promise<void> {
    await guard?.stop();
    const started = createFirewallGuard({
      path,
      log,
      onTaken: lookSoon,
      onLost: () => void replaceSoon(started),
    });
    guard = started;
    await started.hold(held);
  }

  /** Nobody has told what was taken meanwhile. */
  async function replaceSoon(lost: FirewallGuard): Promise<void> {
    await once(AbortSignal.timeout(PAUSE), 'abort');
    await exclusively(async () => {
      if (guard === lost) await replace();
    });
    if (guard !== undefined) lookSoon();
  }

  return {
    async begin() {
      lives += 1;
      const life = lives;
      await replace();
      return async () => {
        if (life !== lives) return;
        const last = guard;
        guard = undefined;
        await last?.stop();
      };
    },
    async hold(body) {
      held = body;
      await guard?.hold(body);
    },
  };
}
