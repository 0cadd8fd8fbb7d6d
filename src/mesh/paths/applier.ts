import type { Clock, Timer } from '../../ports/clock.ts';
import type { FastPathPlan, FastPathState, Host } from '../../ports/host.ts';
import type { Log } from '../../ports/log.ts';

/** Brings the kernel to the plan, one change at a time, and looks now and then whether somebody has changed it. */
export interface PathApplier {
  /** The plan may have changed. */
  soon(): void;
  /** Bytes of an inner packet on the routes that the kernel has for the peer with this MAC; undefined when it has none. */
  routed(mac: string): number | undefined;
  /** What was read from the kernel. */
  found(state: FastPathState | null): void;
  /** Resolves when the change under way is over. */
  close(): Promise<void>;
}

export interface PathApplierParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly host: Pick<Host, 'setFastPath' | 'fastPath'>;
  /** Undefined: leave it as it is for now. */
  readonly plan: () => FastPathPlan | null | undefined;
  /** After each change: whether there is a device now, or what went wrong. */
  readonly onResult: (result: { readonly open: boolean } | { readonly problem: string }) => void;
}

/** Somebody may flush what is not theirs, ms. */
const AGAIN_AFTER = 15_000;

export function createPathApplier({ clock, log, host, plan, onResult }: PathApplierParts): PathApplier {
  let running: Promise<void> | undefined;
  let wanted = false;
  let closed = false;
  let again: Timer | undefined;
  /** What the kernel was last brought to. */
  let applied: FastPathPlan | null = null;
  /** An earlier life may have left something that is not wanted any more. */
  let first = true;
  let routes: ReadonlyMap<string, number> = new Map();

  async function run(): Promise<void> {
    while (wanted && !closed) {
      wanted = false;
      const next = plan();
      if (next === undefined || (next === null && applied === null && !first)) continue;
      try {
        await host.setFastPath(next);
        first = false;
        applied = next;
        routes = routesIn((next?.peers ?? []).filter(({ ranges }) => ranges.length > 0));
        onResult({ open: next !== null });
      } catch (error) {
        const problem = error instanceof Error ? error.message : String(error);
        log.warn('the fast path cannot be set up', { error: problem });
        // Half of it may have been done.
        routes = routesIn((await host.fastPath().catch(() => null))?.peers ?? []);
        onResult({ problem });
      }
    }
    running = undefined;
    if (wanted && !closed) soon();
  }

  function soon(): void {
    if (closed) return;
    wanted = true;
    again?.cancel();
    again = clock.setTimer(AGAIN_AFTER, soon);
    running ??= Promise.resolve().then(run);
  }

  return {
    soon,
    routed: (mac) => routes.get(mac),
    found(state) {
      routes = routesIn(state?.peers ?? []);
    },
    async close() {
      closed = true;
      again?.cancel();
      await running;
    },
  };
}

function routesIn(
  peers: readonly { readonly mac: string; readonly mtu: number | null }[],
): ReadonlyMap<string, number> {
  return new Map(peers.flatMap(({ mac, mtu }) => (mtu === null ? [] : [[mac, mtu]])));
}
