import { mkdirSync, watch } from 'node:fs';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import type { Clock } from '../ports/clock.ts';

/** How long a start that lost against another waits for that one's socket, ms. */
const PATIENCE = 3_000;

/** Whether somebody listens on the socket now, or soon: looks again at each change in its folder. */
export function listensSoon(socket: string, clock: Clock): Promise<boolean> {
  const folder = dirname(socket);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return new Promise((resolve) => {
    const end = (listens: boolean) => {
      deadline.cancel();
      watcher.close();
      resolve(listens);
    };
    const look = () => {
      const probe = connect(socket);
      probe.once('connect', () => {
        probe.destroy();
        end(true);
      });
      probe.once('error', () => {});
    };
    // Unlike a timer of the clock, it also keeps this process alive.
    const watcher = watch(folder, look);
    const deadline = clock.setTimer(PATIENCE, () => end(false));
    look();
  });
}
