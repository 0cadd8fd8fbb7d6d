import type { Cleaned } from '../doors/control.ts';
import { createSystemClock } from '../host/clock.ts';
import { HostError } from '../ports/host.ts';
import type { Log } from '../ports/log.ts';
import { openHost } from './open-host.ts';
import type { Config } from './options.ts';
import { dismissStandIn } from './stand-in/dismiss.ts';

/** Takes away what a daemon that was killed has left on the machine. The state stays: the next start attaches the same endpoints again. */
export async function cleanMachine({ config, log }: { config: Config; log: Log }): Promise<Cleaned> {
  if (process.geteuid?.() !== 0) throw new HostError('not-root', 'only root may change the network');
  if (config.docker !== 'off') await dismissStandIn(config.dockerSocket, createSystemClock());
  const host = openHost(config, log);
  const detached = (await host.plugged()).length;
  return { detached, found: await host.restore() };
}
