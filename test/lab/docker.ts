/**
 * A lab of Docker hosts: two engines, or more, on one machine.
 *
 *        h1 198.18.0.1                              h2 198.18.0.2
 *      ┌──────────────────────────────────┐      ┌──────────────────────────────────┐
 *      │ dockerd   /run/docker.sock       │      │ dockerd   /run/docker.sock       │   each host has its own network,
 *      │ weftd     /run/docker/plugins/…  │      │ weftd     /run/docker/plugins/…  │   processes and mounts
 *      │ containers                       │      │ containers                       │
 *      └───────────────┬──────────────────┘      └────────────────┬─────────────────┘
 *                 eth0 │                                     eth0 │
 *      ┌───────────────┴──────────────────────────────────────────┴─────────────────┐
 *      │ wire, see create.ts                                                         │
 *      └─────────────────────────────────────────────────────────────────────────────┘
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { execute } from './command.ts';
import { createLab, type Lab, type LabOptions } from './create.ts';
import type { EngineOptions } from './docker-engine.ts';
import { createDockerHost, type DockerHost } from './docker-host.ts';

export interface DockerLab extends Omit<Lab, 'hosts' | 'host'> {
  readonly hosts: readonly DockerHost[];
  host(number: number): DockerHost;
  /** Starts an engine with the image `busybox` on each host. */
  startEngines(options?: EngineOptions): Promise<void>;
}

/** Why this machine cannot have such a lab; undefined when it can. */
export function dockerIsMissing(): string | undefined {
  const missing = ['/usr/sbin/dockerd', '/usr/bin/docker', '/bin/busybox'].filter(
    (path) => !existsSync(path),
  );
  return missing.length === 0
    ? undefined
    : `${missing.join(', ')} missing: apt-get install docker.io busybox-static`;
}

export async function createDockerLab(options: LabOptions): Promise<DockerLab> {
  const lab = await createLab({ hosts: 2, ...options });
  try {
    const hosts: DockerHost[] = [];
    for (const host of lab.hosts) hosts.push(await createDockerHost(host, lab, options.echo));
    return {
      ...lab,
      hosts,
      host(number) {
        const found = hosts[number - 1];
        if (!found) throw new Error(`this lab has ${hosts.length} hosts, there is no h${number}`);
        return found;
      },
      async startEngines(engine) {
        const archive = await packBusybox(lab.folder);
        await Promise.all(
          hosts.map(async (host) => {
            await host.engine.start(engine);
            await host.docker(['import', archive, 'busybox'], { say: null });
            await host.docker(['build', '--tag', 'busybox', '-'], { say: null, input: IMAGE });
          }),
        );
      },
    };
  } catch (error) {
    lab.close();
    throw error;
  }
}

/** As process 1 of a container, busybox lets SIGTERM pass: each stop would take Docker's patience of ten seconds. */
const IMAGE = 'FROM busybox\nCMD ["sh"]\nSTOPSIGNAL SIGKILL\n';

/** An archive of a root folder with busybox under each of its names. */
async function packBusybox(folder: string): Promise<string> {
  const archive = join(folder, 'busybox.tar');
  const script = `
    mkdir -p "$0/bin" "$0/etc" "$0/tmp"
    cp /bin/busybox "$0/bin/busybox"
    for name in $(/bin/busybox --list); do [ -e "$0/bin/$name" ] || ln -s busybox "$0/bin/$name"; done
    tar -C "$0" -cf "$1" .`;
  await execute(['sh', '-ec', script, join(folder, 'busybox'), archive]);
  return archive;
}
