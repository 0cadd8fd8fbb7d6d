import type { DockerLab } from '../lab/docker.ts';
import type { EngineOptions } from '../lab/docker-engine.ts';
import type { DockerHost } from '../lab/docker-host.ts';
import { converged, joinAll } from '../lab/mesh.ts';
import { until } from '../lab/wait.ts';

/** Engines on all hosts, one mesh, and the network `weft` in every Docker. */
export async function meshed(lab: DockerLab, options?: EngineOptions): Promise<void> {
  await lab.startEngines(options);
  await joinAll(lab.hosts);
  await converged(lab.hosts);
  await Promise.all(lab.hosts.map((host) => hasNetwork(host, 'weft')));
}

/** Networks of the driver in the host's Docker, by name; sorted. */
export async function networksOf(host: DockerHost): Promise<string[]> {
  const names = await host.docker(['network', 'ls', '--filter', 'driver=weft', '--format', '{{.Name}}'], {
    say: null,
  });
  return names.stdout.split('\n').filter(Boolean).sort();
}

export async function hasNetwork(host: DockerHost, name: string, timeout = 10_000): Promise<void> {
  await until(
    `${name} in the Docker of ${host.name}`,
    async () => (await networksOf(host)).includes(name),
    timeout,
  );
}

export async function hasNoNetwork(host: DockerHost, name: string, timeout = 10_000): Promise<void> {
  const isGone = async () => !(await networksOf(host)).includes(name);
  await until(`${name} to be gone from the Docker of ${host.name}`, isGone, timeout);
}

/** `docker network create` with the driver for both parts. */
export function createNetwork(host: DockerHost, name: string, ...flags: string[]): Promise<string> {
  return host.ask('network', 'create', '-d', 'weft', '--ipam-driver', 'weft', ...flags, name);
}

/** A container that sleeps; resolves to its address in the network. */
export async function sleeper(
  host: DockerHost,
  network: string,
  name: string,
  ...flags: string[]
): Promise<string> {
  const words = ['run', '-d', '--name', name, '--network', network, ...flags, 'busybox', 'sleep', '100000'];
  await host.ask(...words);
  return addressIn(host, network, name);
}

export async function addressIn(host: DockerHost, network: string, container: string): Promise<string> {
  const format = `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`;
  const { stdout } = await host.docker(['inspect', '--format', format, container], { say: null });
  return stdout.trim();
}

/** Whether one of three pings from inside a container comes back. */
export async function pings(host: DockerHost, container: string, target: string): Promise<boolean> {
  const words = ['exec', container, 'ping', '-c', '3', '-i', '0.2', '-W', '1', '-w', '3', target];
  return (await host.docker(words, { check: false })).status === 0;
}

/** What a container reads from a web page; undefined when it gets none within 3 s. */
export async function reads(host: DockerHost, container: string, url: string): Promise<string | undefined> {
  const { status, stdout } = await host.docker(['exec', container, 'timeout', '3', 'wget', '-qO-', url], {
    check: false,
  });
  return status === 0 ? stdout.trim() : undefined;
}

/** What weft has on the host for containers: links, addresses and names. Empty when every container has ended. */
export async function traces(host: DockerHost): Promise<string[]> {
  const { endpoints, ipam } = await host.status();
  const { stdout } = await host.run(['ip', '-o', 'link'], { say: null });
  const links = [...stdout.matchAll(/^\d+: (wft[^@:]*)/gm)].map(([, name]) => `link ${name}`);
  const held = endpoints.map(({ id, address }) => `endpoint ${id.slice(0, 12)} ${address}`);
  return [...links, ...held, ...(ipam?.allocated ? [`${ipam.allocated} addresses allocated`] : [])];
}

export async function hasNoTraces(host: DockerHost, timeout = 10_000): Promise<void> {
  await until(
    `nothing of containers to be left on ${host.name}`,
    async () => {
      const found = await traces(host);
      if (found.length > 0) throw new Error(found.join(', '));
      return true;
    },
    timeout,
  );
}

/** What Docker and weft say of networks and endpoints of the driver on a host, where they differ; empty when they agree. */
export async function disagreements(host: DockerHost): Promise<string[]> {
  const { endpoints, networks } = await host.status();
  const names = await networksOf(host);
  const listed = await Promise.all(names.map((name) => endpointsIn(host, name)));
  const here = endpoints.filter(({ kind }) => kind === 'docker').map(({ id }) => id);
  return [
    ...differing(
      'network',
      names,
      networks.map(({ name, id }) => name ?? id),
    ),
    ...differing('endpoint', listed.flat(), here),
  ];
}

export async function agrees(host: DockerHost, timeout = 90_000): Promise<void> {
  await until(
    `Docker and weft to agree on ${host.name}`,
    async () => {
      const found = await disagreements(host);
      if (found.length > 0) throw new Error(found.join(', '));
      return true;
    },
    timeout,
    200,
  );
}

async function endpointsIn(host: DockerHost, network: string): Promise<string[]> {
  const format = '{{range .Containers}}{{.EndpointID}} {{end}}';
  const { stdout } = await host.docker(['network', 'inspect', '--format', format, network], { say: null });
  return stdout.split(/\s+/).filter(Boolean);
}

function differing(what: string, docker: readonly string[], weft: readonly string[]): string[] {
  const only = (one: readonly string[], other: readonly string[], whose: string) =>
    one.filter((id) => !other.includes(id)).map((id) => `${what} ${id.slice(0, 16)} is ${whose} only`);
  return [...only(docker, weft, "Docker's"), ...only(weft, docker, "weft's")];
}
