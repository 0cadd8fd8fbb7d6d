import { join } from 'node:path';
import type { Status } from '../../src/doors/control.ts';
import { execute } from '../lab/command.ts';
import type { DockerLab } from '../lab/docker.ts';
import type { DockerHost } from '../lab/docker-host.ts';
import { tokenIn } from '../lab/mesh.ts';
import { until } from '../lab/wait.ts';

/** What the managed plugin is called with its tag, everywhere but in `docker plugin`. */
export const DRIVER = 'weft:latest';
const FOLDER = join(import.meta.dirname, '..', '..', 'docker-plugin', 'managed');

/** Builds the plugin and creates it, not enabled yet, on all hosts of the lab. */
export async function createPlugins(lab: DockerLab, ...settings: readonly string[]): Promise<void> {
  const built = join(lab.folder, 'plugin');
  await execute(['sh', join(FOLDER, 'build.sh'), built], { timeout: 120_000 });
  await Promise.all(
    lab.hosts.map(async (host) => {
      await host.ask('plugin', 'create', 'weft', built);
      if (settings.length > 0) await host.ask('plugin', 'set', 'weft', ...settings);
    }),
  );
}

/** `weft …` of the plugin on the host; resolves to what it printed. */
export async function pluginWeft(host: DockerHost, ...args: readonly string[]): Promise<string> {
  const { stdout } = await host.run([join(FOLDER, 'weft'), ...args], { say: ['weft', ...args].join(' ') });
  return stdout;
}

/** Enables the plugins: the first host makes a mesh, the others join it by the token in their settings. */
export async function enablePlugins({ hosts }: DockerLab): Promise<void> {
  const [first, ...others] = hosts;
  if (first === undefined) return;
  await first.ask('plugin', 'enable', 'weft');
  let token = tokenIn(await pluginWeft(first, 'up'));
  for (const [index, host] of others.entries()) {
    if (index > 0) token = tokenIn(await pluginWeft(first, 'invite'));
    await host.docker(['plugin', 'set', 'weft', `WEFT_JOIN=${token}`], {
      say: 'docker plugin set weft WEFT_JOIN=wf1_…',
    });
    await host.ask('plugin', 'enable', 'weft');
  }
  for (const host of hosts) {
    await until(
      `the plugin of ${host.name} to see the others`,
      async () => {
        const up = (await pluginStatus(host)).peers.filter(({ state }) => state === 'up');
        return up.length === hosts.length - 1;
      },
      30_000,
    );
  }
}

/** What `weft status --json` of the plugin prints. */
export async function pluginStatus(host: DockerHost): Promise<Status> {
  return JSON.parse(await pluginWeft(host, 'status', '--json')) as Status;
}

/** Networks of the plugin that the host's Docker lists, sorted. */
export async function pluginNetworks(host: DockerHost): Promise<string[]> {
  const flags = ['--filter', `driver=${DRIVER}`, '--format', '{{.Name}}'];
  const { stdout } = await host.docker(['network', 'ls', ...flags], { say: null });
  return stdout.split('\n').filter(Boolean).sort();
}

/** Takes the plugin away, and resolves to what is left of it on the host. */
export async function removePlugin(host: DockerHost): Promise<string> {
  await host.ask('plugin', 'disable', '--force', 'weft');
  // Without the engine's socket nobody makes a network again that is removed here.
  await host.ask('plugin', 'set', 'weft', 'engine.source=/dev/null');
  await host.ask('plugin', 'enable', 'weft');
  for (const network of await pluginNetworks(host)) await host.ask('network', 'rm', network);
  await host.ask('plugin', 'disable', 'weft');
  await host.ask('plugin', 'rm', 'weft');
  const look = `
    ip -o link | grep -oE '(weft|wft)[^:@ ]*'
    ip rule | grep 173
    ip route show table all | grep -E 'weft|wft|table 173'
    nft list tables | grep weft
    iptables -S FORWARD | grep weft
    grep -o '/docker/plugins/.*' /proc/self/mountinfo
    ls /run/docker/plugins
    ls /var/lib/docker/plugins | grep -vxE 'storage|tmp'
    grep -lx node /proc/[0-9]*/comm
    true`;
  const { stdout } = await host.run(['sh', '-c', look], { say: null });
  return stdout;
}
