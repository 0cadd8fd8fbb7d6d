import { limitSegments } from '../host/segment-limit.ts';
import { HostError } from '../ports/host.ts';
import { createControl } from './control.ts';
import { createDockerService } from './docker.ts';
import { createFirstJoin } from './first-join.ts';
import { openHeld, renewHeld } from './held.ts';
import type { OpenDaemon } from './run.ts';
import { createRunner } from './runner.ts';

/** Reads the state; the machine is touched when a mesh starts. */
export const openDaemon: OpenDaemon = async ({ config, clock, log }) => {
  // Whatever a daemon does needs it, also taking away what another one left.
  if (process.geteuid?.() !== 0) throw new HostError('not-root', 'only root may change the network');
  const held = await openHeld(config.state, log);
  const runner = createRunner({
    config,
    clock,
    log,
    held,
    reopen: () => openHeld(config.state, log),
    renew: (name) => renewHeld(config.state, name, log),
  });
  const unlimit = limitSegments(config.port, log);
  const docker = createDockerService({ config, runner, clock, log });
  const firstJoin = createFirstJoin({ token: config.join, runner, clock, log });
  return {
    control: createControl({ config, clock, runner, docker }),
    serve: () => docker.listen(),
    async resume() {
      await runner.resume();
      await firstJoin.run();
    },
    async stop() {
      firstJoin.stop();
      await docker.close();
      await runner.stop();
      unlimit();
    },
  };
};
