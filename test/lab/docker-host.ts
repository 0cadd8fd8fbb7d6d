import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { background, type CommandResult } from './command.ts';
import { createEngine, type Engine } from './docker-engine.ts';
import type { Echo } from './echo.ts';
import { createHost, type LabHost } from './host.ts';
import { existingNamespace, type NamespaceOptions } from './namespace.ts';
import { cgroupOf } from './teardown-docker.ts';
import { until } from './wait.ts';

/**
 * A host of the lab with a Docker of its own: besides the network also processes and mounts are its own, so that /run/docker,
 * /run/docker/plugins and /var/lib/docker are where every program expects them. Ending its process 1 ends all of it.
 */
export interface DockerHost extends LabHost {
  readonly engine: Engine;
  /** Path, on this machine, of the host's `path`. */
  file(path: string): string;
  /** `docker …` on this host. */
  docker(args: readonly string[], options?: NamespaceOptions): Promise<CommandResult>;
  /** `docker …`; resolves to what it printed, trimmed. */
  ask(...args: readonly string[]): Promise<string>;
}

const ROOT_SCRIPT = join(import.meta.dirname, 'docker-root.sh');
const CHECKOUT = join(import.meta.dirname, '..', '..');
/** Root of a system whose Docker is used instead of this machine's: test/docker/newer.sh. */
const TREE = process.env.WEFT_DOCKER_TREE;
const DOCKER = '/usr/bin/docker';

/** Makes `host` of the lab in `folder` one; its engine is not started yet. */
export async function createDockerHost(
  host: LabHost,
  lab: { readonly id: string; readonly folder: string },
  echo: Echo,
): Promise<DockerHost> {
  const folder = join(lab.folder, host.name, 'root');
  await mkdir(folder, { recursive: true });
  const first = await startRoot(host, folder);
  writeFileSync(join(lab.folder, host.name, 'first-process'), String(first));
  const enter = (argv: readonly string[]) => [
    ...['nsenter', '-t', String(first), '-m', '-u', '-n', '-p', '--'],
    ...argv,
  ];
  const namespace = existingNamespace(host.name, host.path, echo, enter);
  const file = (path: string) => `/proc/${first}/root${path}`;
  const { address, address6 } = host;
  const docker = (args: readonly string[], options: NamespaceOptions = {}) =>
    namespace.run([DOCKER, ...args], { say: ['docker', ...args].join(' '), timeout: 120_000, ...options });
  return {
    ...createHost(namespace, { address, address6, folder: lab.folder, docker: true }),
    engine: createEngine(namespace, { file, log: join(folder, 'dockerd.log'), cgroup: cgroupOf(lab.id) }),
    file,
    docker,
    ask: async (...args) => (await docker(args)).stdout.trim(),
  };
}

/** Starts process 1 of the host; resolves to its id on this machine. */
async function startRoot(host: LabHost, folder: string): Promise<number> {
  const apart = ['--mount', '--propagation', 'private', '--uts', '--pid', '--fork', '--mount-proc'];
  const root = background([
    ...['nsenter', `--net=/run/netns/${host.path}`, 'unshare', ...apart, '--kill-child'],
    ...['bash', ROOT_SCRIPT, folder, host.name, CHECKOUT, ...(TREE === undefined ? [] : [TREE])],
  ]);
  await until(`${host.name} to have a root of its own`, () => {
    if (!root.running()) throw new Error(root.output());
    return existsSync(join(folder, 'ready'));
  });
  const [child] = readFileSync(`/proc/${root.pid}/task/${root.pid}/children`, 'utf8').split(' ');
  return Number(child);
}
