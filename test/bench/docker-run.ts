import { addressIn, createNetwork, hasNetwork, meshed, sleeper } from '../docker/weft.ts';
import { createDockerLab, type DockerLab } from '../lab/docker.ts';
import type { DockerHost } from '../lab/docker-host.ts';
import type { Echo } from '../lab/echo.ts';
import { until } from '../lab/wait.ts';
import { createIdleDriver, type IdleDriver, type IdlePlan } from './docker-idle.ts';
import { type Series, series } from './statistics.ts';

/** Milliseconds throughout. */
export interface DockerFigures {
  readonly run: Runs;
  /** From the end of `docker run` to the answer in a container of the other host; 0 when the name was there before. */
  readonly name: Series;
  readonly crowd: Crowd;
}

/** `docker run -d` on each of these, in turn. */
export interface Runs {
  /** Docker's default bridge. */
  readonly bridge: Series;
  /** A bridge of the user's own, made with `docker network create`: Docker starts a resolver for its containers, as for those of any driver. */
  readonly named: Series;
  /** A driver that does nothing but answer: see docker-idle.ts. */
  readonly idle: Series;
  /** The same, where containers leave by its network: no second interface. */
  readonly outlet: Series;
  readonly weft: Series;
}

export interface Crowd {
  readonly containers: number;
  readonly failures: number;
  /** Containers with an address that another one has. */
  readonly duplicates: number;
  /** Until the last of them ran. */
  readonly took: number;
}

const CROWD = 100;
/** So many commands at the same time; a person's script has fewer. */
const AT_ONCE = 10;

/** What a network of weft costs those who start containers on it; two Docker hosts. */
export async function dockerRun(echo: Echo, rounds: number): Promise<DockerFigures> {
  const lab = await createDockerLab({ hosts: 2, echo });
  try {
    await meshed(lab);
    await createNetwork(lab.host(1), 'app');
    await hasNetwork(lab.host(2), 'app');
    const run = await runs(lab.host(1), rounds);
    return {
      run,
      name: await nameTimes(lab, rounds),
      crowd: await crowd(lab),
    };
  } finally {
    lab.close();
  }
}

async function runs(host: DockerHost, rounds: number): Promise<Runs> {
  await host.ask('network', 'create', 'named');
  const plans: readonly IdlePlan[] = [
    { name: 'idle', subnet: '10.99.0.0/24', leadsOut: false },
    { name: 'outlet', subnet: '10.99.1.0/24', leadsOut: true },
  ];
  const drivers: IdleDriver[] = [];
  try {
    for (const plan of plans) drivers.push(await createIdleDriver(host, rounds + 1, plan));
    const networks = { bridge: 'bridge', named: 'named', idle: 'idle', outlet: 'outlet', weft: 'app' };
    // Docker makes its bridge for the way out with the first container.
    for (const network of Object.values(networks)) await timedRun(host, network);
    const times: Record<keyof Runs, number[]> = { bridge: [], named: [], idle: [], outlet: [], weft: [] };
    for (let round = 0; round < rounds; round++) {
      for (const kind of ['bridge', 'named', 'idle', 'outlet', 'weft'] as const) {
        times[kind].push(await timedRun(host, networks[kind]));
      }
    }
    const { bridge, named, idle, outlet, weft } = times;
    return {
      bridge: series(bridge),
      named: series(named),
      idle: series(idle),
      outlet: series(outlet),
      weft: series(weft),
    };
  } finally {
    for (const driver of drivers) driver.close();
  }
}

async function timedRun(host: DockerHost, network: string): Promise<number> {
  const words = ['run', '-d', '--name', 'timed', '--network', network, 'busybox', 'sleep', '1000'];
  const { elapsed } = await host.docker(words, { say: null });
  await host.docker(['rm', '-f', 'timed'], { say: null });
  return elapsed;
}

async function nameTimes(lab: DockerLab, rounds: number): Promise<Series> {
  const [one, two] = [lab.host(1), lab.host(2)];
  await sleeper(two, 'app', 'asker');
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const name = `named${round}`;
    // In full: what else is unknown is asked of the nameservers of the host, and this lab has none that answer.
    const script = `while ! ping -c 1 -W 1 ${name}.app.weft.local >/dev/null 2>&1; do :; done`;
    const asked = two.docker(['exec', 'asker', 'sh', '-c', script], { say: null, timeout: 30_000 });
    const found = asked.then(() => performance.now());
    await sleeper(one, 'app', name);
    const started = performance.now();
    times.push(Math.max(0, (await found) - started));
    await one.docker(['rm', '-f', name], { say: null });
  }
  await two.docker(['rm', '-f', 'asker'], { say: null });
  return series(times);
}

async function crowd(lab: DockerLab): Promise<Crowd> {
  const all = Array.from({ length: CROWD }, (_, index) => ({
    host: lab.host(1 + (index % 2)),
    name: `crowd${index}`,
  }));
  const began = performance.now();
  const queue = [...all];
  let failures = 0;
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const words = ['run', '-d', '--name', next.name, '--network', 'app', 'busybox', 'sleep', '1000'];
      const { status } = await next.host.docker(words, { say: null, check: false });
      if (status !== 0) failures++;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const took = performance.now() - began;
  const addresses: string[] = [];
  for (const { host, name } of all)
    addresses.push(await until('its address', () => addressIn(host, 'app', name)));
  return { containers: CROWD, failures, duplicates: addresses.length - new Set(addresses).size, took };
}
