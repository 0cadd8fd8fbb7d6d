import type { Networks } from '../mesh/networks.ts';
import type { Space } from '../mesh/space.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Host } from '../ports/host.ts';
import type { Log } from '../ports/log.ts';

/** Tells the host which networks are to be kept apart. */
export interface Isolation {
  /** Resolves when the networks known now are apart. */
  start(): Promise<void>;
  stop(): void;
}

/** After a failure; attaching tries it again at once. */
const RETRY = 1_000;

export function createIsolation(parts: {
  readonly networks: Pick<Networks, 'isolated' | 'watch'>;
  readonly space: Pick<Space, 'watchAllocations'>;
  readonly host: Pick<Host, 'setNetworks'>;
  readonly clock: Clock;
  readonly log: Log;
}): Isolation {
  const { networks, space, host, clock, log } = parts;
  let told: string | undefined;
  let timer: Timer | undefined;
  let stops: readonly (() => void)[] = [];

  /** Told in the turn in which a network appears: whatever attaches to it comes after this on the host. */
  async function tell(): Promise<void> {
    const subnets = networks.isolated();
    const text = subnets.join(' ');
    if (text === told) return;
    told = text;
    try {
      await host.setNetworks(subnets);
    } catch (error) {
      told = undefined;
      throw error;
    }
  }

  function tellNow(): void {
    tell().catch((error: unknown) => {
      log.error('networks are not kept apart yet', { error: String(error) });
      timer?.cancel();
      timer = clock.setTimer(RETRY, tellNow);
    });
  }

  return {
    async start() {
      stops = [networks.watch(tellNow), space.watchAllocations(tellNow)];
      await tell();
    },
    stop() {
      timer?.cancel();
      for (const stop of stops) stop();
    },
  };
}
