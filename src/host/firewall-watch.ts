import type { Log } from '../ports/log.ts';
import { createFirewallGuard, type FirewallGuard } from './firewall-guard.ts';

/** Has one guard at a time (firewall-guard.ts), and lets one look at the tables follow from however much it tells. */
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

export function createFirewallWatch({ path, log, exclusively, putBack }: FirewallWatchParts): FirewallWatch {
  let guard: FirewallGuard | undefined;
  let held = '';
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

  return {
    async begin() {
      await guard?.stop();
      const started = createFirewallGuard(path, log, lookSoon);
      guard = started;
      await started.hold(held);
      return async () => {
        if (guard === started) guard = undefined;
        await started.stop();
      };
    },
    async hold(body) {
      held = body;
      await guard?.hold(body);
    },
  };
}
