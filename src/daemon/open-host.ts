import { join } from 'node:path';
import { createLinuxHost } from '../host/linux.ts';
import type { Host } from '../ports/host.ts';
import type { Log } from '../ports/log.ts';
import type { Config } from './options.ts';

/** What the network is built from and taken away by; `restore` also works when nothing is up. */
export function openHost(config: Config, log: Log): Host {
  return createLinuxHost({
    stateDirectory: join(config.state, 'host'),
    shortcut: config.shortcut,
    log,
  });
}
