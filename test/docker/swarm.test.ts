import assert from 'node:assert/strict';
import type { DockerLab } from '../lab/docker.ts';
import type { DockerHost } from '../lab/docker-host.ts';
import { until } from '../lab/wait.ts';
import { createPlugins, DRIVER, enablePlugins, pluginStatus, removePlugin } from './managed.ts';
import { story } from './story.ts';
import { addressIn, pings, sleeper } from './weft.ts';

story(
  'in a swarm of two, tasks of a service reach each other by address and name, and what they had is free afterwards',
  { patience: 240_000 },
  async (lab) => {
    await lab.startEngines();
    await createPlugins(lab, 'WEFT_DOCKER_SCOPE=global');
    await enablePlugins(lab);
    await formSwarm(lab);
    const image = await shareImage(lab);
    const [one, two] = [lab.host(1), lab.host(2)];

    const wishes = ['--subnet', '10.40.7.0/24', '--attachable'];
    await one.ask('network', 'create', '-d', DRIVER, '--ipam-driver', DRIVER, ...wishes, 'app');
    const service = ['--name', 'web', '--replicas', '4', '--endpoint-mode', 'dnsrr', '--network', 'app'];
    const quick = ['--detach', '--no-resolve-image', '--stop-grace-period', '1s'];
    await one.ask('service', 'create', ...service, ...quick, image, 'sleep', '100000');
    const tasks = await until(
      'two tasks on each node',
      async () => {
        const found = await Promise.all(lab.hosts.map(tasksOn));
        return found.every((those) => those.length === 2) ? found : undefined;
      },
      60_000,
    );
    const all = tasks.flat().map(({ address }) => address);
    assert.equal(new Set(all).size, 4, all.join());

    // What is asked for by number is given, in the same network.
    assert.equal(await sleeper(two, 'app', 'single', '--ip', '10.40.7.99'), '10.40.7.99');
    for (const [host, there, other] of [
      [one, tasks[0], tasks[1]],
      [two, tasks[1], tasks[0]],
    ] as const) {
      const [{ id }] = there as [Task];
      for (const { address } of other ?? [])
        assert.ok(await pings(host, id, address), `${host.name} → ${address}`);
      assert.ok(await pings(host, id, '10.40.7.99'), `${host.name} → single`);
      await until(`${host.name} to find all tasks by the name of the service`, async () => {
        const found = await lookUp(host, id, 'web');
        return all.every((address) => found.includes(address)) && found.length === 4;
      });
      assert.ok(await pings(host, id, 'web'), `${host.name} → web`);
    }

    await one.ask('service', 'scale', '--detach', 'web=1');
    await until(
      'the addresses of three tasks to be free',
      async () => {
        const used = await Promise.all(lab.hosts.map(allocatedOn));
        return used[0] !== undefined && used[1] !== undefined && used[0] + used[1] === 2;
      },
      30_000,
    );
    await one.ask('service', 'rm', 'web');
    await two.ask('rm', '-f', 'single');
    await until(
      'the network to be used by nobody',
      async () => {
        return (await one.docker(['network', 'rm', 'app'], { check: false })).status === 0;
      },
      30_000,
      500,
    );
    for (const host of lab.hosts) {
      await until(
        `nothing of the service to be left on ${host.name}`,
        async () => {
          const { networks, endpoints, ipam } = await pluginStatus(host);
          const links = (await host.run(['ip', '-o', 'link'], { say: null })).stdout.match(/wft\w+/g) ?? [];
          const left = [
            ...networks.map(({ id }) => id).filter((id) => id !== 'weft'),
            ...endpoints,
            ...links,
          ];
          if (left.length > 0 || ipam?.allocated !== 0)
            throw new Error(`${JSON.stringify(left)} ${ipam?.allocated}`);
          return true;
        },
        60_000,
      );
    }
    for (const host of [two, one]) {
      await host.ask('swarm', 'leave', '--force');
      assert.equal(await removePlugin(host), '', host.name);
    }
  },
);

async function formSwarm({ hosts }: DockerLab): Promise<void> {
  const [first, ...others] = hosts as [DockerHost, ...DockerHost[]];
  await first.ask('swarm', 'init', '--advertise-addr', first.address);
  const token = await first.ask('swarm', 'join-token', '--quiet', 'worker');
  for (const host of others) {
    const advertise = ['--advertise-addr', host.address];
    const say = 'docker swarm join --token …';
    await host.docker(['swarm', 'join', '--token', token, ...advertise, `${first.address}:2377`], { say });
    // Whoever is not ready yet is given no task.
    await until(
      'all nodes to be ready',
      async () => {
        const { stdout } = await first.docker(['node', 'ls', '--format', '{{.Status}}'], { say: null });
        return stdout.split('\n').filter((status) => status === 'Ready').length === hosts.length;
      },
      30_000,
    );
  }
}

/** One image on all hosts; resolves to its id, which a swarm takes without asking a registry. */
async function shareImage({ hosts, folder }: DockerLab): Promise<string> {
  const [first, ...others] = hosts as [DockerHost, ...DockerHost[]];
  const archive = `${folder}/image.tar`;
  await first.ask('save', '--output', archive, 'busybox');
  for (const host of others) await host.ask('load', '--input', archive);
  return first.ask('image', 'inspect', '--format', '{{.Id}}', 'busybox');
}

interface Task {
  readonly id: string;
  readonly address: string;
}

async function tasksOn(host: DockerHost): Promise<Task[]> {
  const filter = ['--filter', 'label=com.docker.swarm.service.name=web', '--filter', 'status=running'];
  const { stdout } = await host.docker(['ps', '--quiet', ...filter], { say: null });
  const ids = stdout.split('\n').filter(Boolean);
  return Promise.all(ids.map(async (id) => ({ id, address: await addressIn(host, 'app', id) })));
}

async function allocatedOn(host: DockerHost): Promise<number | undefined> {
  return (await pluginStatus(host)).ipam?.allocated;
}

/** Addresses of a name, as a container finds them by Docker's resolver. */
async function lookUp(host: DockerHost, container: string, name: string): Promise<string[]> {
  const { stdout } = await host.docker(['exec', container, 'nslookup', '-type=a', name], {
    check: false,
    say: null,
  });
  const [, answer = ''] = stdout.split(/\n\s*\n/);
  return [...answer.matchAll(/^Address(?: \d+)?: (\S+)/gm)].map(([, address]) => address ?? '');
}
