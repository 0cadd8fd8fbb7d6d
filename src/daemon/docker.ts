import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { DockerDoor } from '../../docker-plugin/door.ts';
import { createPluginServer } from '../../docker-plugin/server.ts';
import { listenOnSocket } from '../doors/api/socket.ts';
import { ControlError, codeOf, toProblem } from '../doors/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Config } from './options.ts';
import type { Runner } from './runner.ts';
import { dismissStandIn } from './stand-in/dismiss.ts';
import { keepStandIn, type StandInKeeper } from './stand-in/keeper.ts';
import { inheritedSocket } from './systemd.ts';

/** The socket by which Docker finds its network driver; up before the mesh is, and as long as the daemon runs. */
export interface DockerService {
  /** Rejects with ControlError, but where nobody asked for Docker: then the problem is kept. */
  listen(): Promise<void>;
  /** Why Docker cannot find this daemon; undefined when it can or need not. */
  problem(): string | undefined;
  close(): Promise<void>;
}

/** Docker waits as long as we do, and its callers with it. */
const START_PATIENCE = 10_000;

export function createDockerService(parts: {
  readonly config: Config;
  readonly runner: Runner;
  readonly clock: Clock;
  readonly log: Log;
  /** What keeps a stand-in beside this daemon. */
  readonly keep?: typeof keepStandIn;
}): DockerService {
  const { config, runner, clock, log, keep = keepStandIn } = parts;
  const scope = config.dockerScope;
  const plugin = createPluginServer({ door, explain, scope, clock, log });
  let problem: string | undefined;
  let standIn: StandInKeeper | undefined;

  /** A mesh that is starting is waited for; none that is not there. */
  async function door(): Promise<DockerDoor> {
    if (runner.phases.get().state === 'starting') await started();
    runner.phases.requireReady();
    const network = runner.network();
    if (network === undefined) throw new ControlError('starting');
    return network.docker;
  }

  function started(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel();
        stop();
        resolve();
      };
      const timer = clock.setTimer(START_PATIENCE, done);
      const stop = runner.phases.watch(({ state }) => {
        if (state !== 'starting') done();
      });
    });
  }

  function explain(error: unknown): string {
    const { detail, remedy } = toProblem(error);
    // For a start under way, what it waits for says more than that it starts.
    const waiting = codeOf(error) === 'starting' ? ` (${runner.phases.get().text})` : '';
    return `weft: ${detail}${waiting}: ${remedy}`;
  }

  /** Whether systemd holds the socket. */
  async function bind(): Promise<boolean> {
    const given = inheritedSocket('docker');
    if (given === undefined) {
      await dismissStandIn(config.dockerSocket, clock);
      await listenOnSocket(plugin.server, config.dockerSocket);
      return false;
    }
    await new Promise<void>((resolve, reject) => {
      plugin.server.once('error', reject);
      plugin.server.listen({ fd: given }, resolve);
    });
    return true;
  }

  return {
    async listen() {
      if (config.docker === 'off' || (config.docker === 'auto' && !hasDocker())) return;
      try {
        const lent = await bind();
        const place = { socket: config.dockerSocket, lent, scope } as const;
        standIn = keep({ server: plugin.server, place, clock, log });
        standIn.start();
        log.info('docker finds weft here', { socket: config.dockerSocket });
      } catch (error) {
        if (config.docker === 'on') throw error;
        problem = toProblem(error).detail;
        log.warn('docker does not find weft here', { socket: config.dockerSocket, why: problem });
      }
    },
    problem: () => problem,
    async close() {
      // First, so that it does not take the calls that this daemon takes no more.
      await standIn?.stop();
      await plugin.close();
    },
  };
}

const FOLDERS = ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/usr/local/sbin', '/snap/bin'];

/** Before the first start of Docker there is no folder of its own. */
function hasDocker(): boolean {
  return existsSync('/run/docker') || FOLDERS.some((folder) => existsSync(join(folder, 'dockerd')));
}
