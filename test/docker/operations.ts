import assert from 'node:assert/strict';
import type { DockerLab } from '../lab/docker.ts';
import type { DockerHost } from '../lab/docker-host.ts';
import { difference, snapshot } from '../lab/snapshot.ts';
import { until } from '../lab/wait.ts';
import { agrees, createNetwork, hasNoTraces, networksOf } from './weft.ts';

interface World {
  readonly hosts: readonly DockerHost[];
  readonly random: (below: number) => number;
  /** By name. */
  readonly containers: Map<string, DockerHost>;
  readonly networks: Set<string>;
  count: number;
}

/** One thing that users do. What Docker refuses, such as removing a network in use, is an outcome like any other. */
type Operation = (world: World) => Promise<void>;

const pick = <T>({ random }: World, items: Iterable<T>): T | undefined => {
  const all = [...items];
  return all[random(all.length)];
};

async function attempt(host: DockerHost, ...words: string[]): Promise<boolean> {
  return (await host.docker(words, { check: false })).status === 0;
}

async function withContainer(
  world: World,
  act: (host: DockerHost, name: string) => Promise<unknown>,
): Promise<void> {
  const found = pick(world, world.containers);
  if (found !== undefined) await act(found[1], found[0]);
}

const run: Operation = async (world) => {
  const host = pick(world, world.hosts) as DockerHost;
  const network = pick(world, ['weft', ...world.networks]) as string;
  const name = `c${world.count++}x`;
  const words = ['run', '-d', '--name', name, '--network', network, 'busybox', 'sleep', '100000'];
  if (await attempt(host, ...words)) world.containers.set(name, host);
  else await attempt(host, 'rm', '-f', name);
};

const OPERATIONS: readonly Operation[] = [
  run,
  run,
  run,
  async (world) => {
    const name = `n${world.count++}`;
    await createNetwork(pick(world, world.hosts) as DockerHost, name);
    world.networks.add(name);
  },
  async (world) => {
    const network = pick(world, world.networks);
    if (network === undefined) return;
    // Docker removes it on its host even where weft says that the other host uses it; then it comes back.
    await attempt(pick(world, world.hosts) as DockerHost, 'network', 'rm', network);
  },
  (world) => withContainer(world, (host, name) => attempt(host, 'restart', name)),
  (world) => withContainer(world, (host, name) => attempt(host, 'kill', name)),
  (world) => withContainer(world, (host, name) => attempt(host, 'start', name)),
  (world) =>
    withContainer(world, async (host, name) => {
      await attempt(host, 'rm', '-f', name);
      world.containers.delete(name);
    }),
  (world) =>
    withContainer(world, (host, name) => {
      const network = pick(world, ['weft', ...world.networks]) as string;
      return attempt(host, 'network', 'connect', network, name);
    }),
  (world) =>
    withContainer(world, (host, name) => {
      const network = pick(world, ['weft', ...world.networks]) as string;
      return attempt(host, 'network', 'disconnect', network, name);
    }),
  async ({ hosts, random }) => {
    if (random(4) > 0) return;
    const host = hosts[random(hosts.length)] as DockerHost;
    await host.kill();
    await host.weft(['up']);
  },
];

/** Random operations by a seed; then both hosts have the same networks, and nothing once their containers are removed. */
export async function randomOperations(
  lab: DockerLab,
  { seed, count }: { readonly seed: number; readonly count: number },
): Promise<void> {
  const world: World = {
    hosts: lab.hosts,
    random: randomFrom(seed),
    containers: new Map(),
    networks: new Set(),
    count: 0,
  };
  const before = await quietHosts(lab.hosts);
  for (let done = 0; done < count; done++) await pick(world, OPERATIONS)?.(world);

  await until('both hosts to have the same networks', () => agreed(lab.hosts), 30_000, 500);
  await checkAddresses(lab.hosts);
  for (const host of lab.hosts) {
    const names = [...world.containers].flatMap(([name, at]) => (at === host ? [name] : []));
    if (names.length > 0) await host.docker(['rm', '-f', ...names]);
  }
  await Promise.all(lab.hosts.map((host) => hasNoTraces(host, 90_000)));
  await removeNetworks(lab.hosts);
  await Promise.all(lab.hosts.map((host) => agrees(host)));
  for (const [index, host] of lab.hosts.entries()) await isAsBefore(host, before[index] ?? []);
}

/** What each host looks like without containers, once Docker has made what it makes for the first one of weft and keeps. */
async function quietHosts(hosts: readonly DockerHost[]): Promise<string[][]> {
  for (const host of hosts) await host.ask('run', '--rm', '--network', 'weft', 'busybox', 'true');
  await Promise.all(hosts.map((host) => hasNoTraces(host, 90_000)));
  return Promise.all(hosts.map(settings));
}

/** A network is refused to go while a host still believes that another one uses it: what is left is asked for again. */
async function removeNetworks(hosts: readonly DockerHost[]): Promise<void> {
  const [first] = hosts as [DockerHost];
  const areGone = async () => {
    for (const name of await networksOf(first)) {
      if (name !== 'weft') await first.docker(['network', 'rm', name], { check: false });
    }
    return (await Promise.all(hosts.map(networksOf))).every((names) => names.length === 1);
  };
  await until('all networks but weft to be gone', areGone, 60_000, 500);
}

/** Links, addresses, routes, rules and firewall of a host. The chain that keeps networks apart gets a new number with each change of theirs. */
async function settings(host: DockerHost): Promise<string[]> {
  const lines = await snapshot((argv) => host.run(argv, { say: null, check: false }));
  return lines.map((line) => line.replace(/^(nft: .*)\bv\d+\b/, '$1v#'));
}

async function isAsBefore(host: DockerHost, before: readonly string[]): Promise<void> {
  await until(
    `${host.name} to look as before`,
    async () => {
      const found = difference(before, await settings(host));
      if (found.length > 0) throw new Error(`\n${found.join('\n')}`);
      return true;
    },
    60_000,
    1_000,
  );
}

async function agreed(hosts: readonly DockerHost[]): Promise<boolean> {
  const [first, ...others] = await Promise.all(hosts.map(networksOf));
  for (const other of others) assert.deepEqual(other, first);
  return true;
}

/** No address is given twice, and each container has the one that weft thinks. */
async function checkAddresses(hosts: readonly DockerHost[]): Promise<void> {
  const known = await Promise.all(hosts.map(async (host) => (await host.status()).endpoints));
  const addresses = known.flat().map(({ address }) => address);
  assert.equal(new Set(addresses).size, addresses.length, addresses.join(' '));
}

/** xorshift32: the same seed tells the same story. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % Math.max(1, below);
  };
}
