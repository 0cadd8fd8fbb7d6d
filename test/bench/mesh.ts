import { setTimeout as pause } from 'node:timers/promises';
import { createLab, type Lab } from '../lab/create.ts';
import type { Echo } from '../lab/echo.ts';
import type { LabHost } from '../lab/host.ts';
import { converged, join, joinAll, tokenIn } from '../lab/mesh.ts';
import { addressOf, lastLine, reaches, serveEcho, talk } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { usageOf } from './processes.ts';

async function inLab<T>(hosts: number, echo: Echo, measure: (lab: Lab) => Promise<T>): Promise<T> {
  const lab = await createLab({ hosts, echo });
  try {
    return await measure(lab);
  } finally {
    lab.close();
  }
}

/** Seconds from two hosts without anything to the first ping between containers on them. */
export function firstPing(echo: Echo): Promise<number> {
  return inLab(2, echo, async (lab) => {
    const [first, second] = [lab.host(1), lab.host(2)];
    const [one, two] = [await lab.sandbox('c1'), await lab.sandbox('c2')];
    const start = performance.now();
    await join(second, tokenIn((await first.weft(['up'])).stdout));
    await Promise.all([first.weft(['attach', one.path]), second.weft(['attach', two.path])]);
    await reaches(one, await addressOf(two));
    return (performance.now() - start) / 1_000;
  });
}

/**
 * Seconds from `weft join` until every host knows every other one, all agree on who owns which addresses, and the new host
 * can give out its own. The daemon runs already, so that the start of programs is not part of it.
 */
export function convergence(echo: Echo): Promise<number> {
  return inLab(3, echo, async (lab) => {
    await joinAll(lab.hosts.slice(0, 2));
    const token = tokenIn((await lab.host(1).weft(['invite'])).stdout);
    await lab.host(3).weftd(['--background']);
    const start = performance.now();
    const joined = join(lab.host(3), token);
    await until('all hosts to agree', () => agreed(lab.hosts), 20_000, 25);
    const seconds = (performance.now() - start) / 1_000;
    await joined;
    return seconds;
  });
}

async function agreed(hosts: readonly LabHost[]): Promise<boolean> {
  const views = await Promise.all(hosts.map((host) => host.status().catch(() => undefined)));
  const owners = views.map((view) =>
    (view?.ipam?.owners ?? [])
      .map(({ peer, addresses }) => `${peer} ${addresses}`)
      .sort()
      .join(),
  );
  const ready = views.every((view) => view?.phase.state === 'ready' && (view.ipam?.free ?? 0) > 0);
  const known = views.every(
    (view) => view?.peers.filter(({ state }) => state === 'up').length === hosts.length - 1,
  );
  return ready && known && new Set(owners).size === 1;
}

export interface Idle {
  /** Largest of the daemons, in MB (10^6 bytes). */
  readonly residentMB: number;
  /** Largest of the daemons, in percent of one core. */
  readonly cpuPercent: number;
}

/** Three hosts in a mesh, a container on each, no traffic for `seconds`. */
export function idle(echo: Echo, seconds: number): Promise<Idle> {
  return inLab(3, echo, async (lab) => {
    await joinAll(lab.hosts);
    for (const host of lab.hosts)
      await host.weft(['attach', (await lab.sandbox(host.name.replace('h', 'c'))).path]);
    await converged(lab.hosts);
    await pause(5_000);
    const daemons = await Promise.all(lab.hosts.map((host) => until('weftd', () => host.daemon())));
    const before = daemons.map((pid) => usageOf([pid]));
    await pause(seconds * 1_000);
    const after = daemons.map((pid) => usageOf([pid]));
    const cpu = after.map((usage, index) => (100 * (usage.cpu - (before[index]?.cpu ?? 0))) / seconds);
    return {
      residentMB: Math.max(...after.map(({ resident }) => resident)) / 1e6,
      cpuPercent: Math.max(...cpu),
    };
  });
}

export interface Restart {
  /** Seconds from kill -9 until the TCP connection moved on. */
  readonly gap: number;
  /** Seconds that `weft up` took. */
  readonly up: number;
}

/** kill -9 of one daemon and `weft up` at once, under an open TCP connection, which must survive. */
export function restart(echo: Echo): Promise<Restart> {
  return inLab(2, echo, async (lab) => {
    await joinAll(lab.hosts);
    const [one, two] = [await lab.sandbox('c1'), await lab.sandbox('c2')];
    await lab.host(1).weft(['attach', one.path]);
    await lab.host(2).weft(['attach', two.path]);
    const address = await addressOf(two);
    await reaches(one, address);
    const server = await serveEcho(two, 7007);
    const talker = talk(one, address, 7007);
    await until('the connection to work', () => lastLine(talker) > 5);
    const killed = performance.now();
    await lab.host(1).kill();
    const before = lastLine(talker);
    const began = performance.now();
    await lab.host(1).weft(['up']);
    const up = (performance.now() - began) / 1_000;
    await until('the connection to move on', () => lastLine(talker) > before + 1, 20_000, 10);
    const gap = (performance.now() - killed) / 1_000;
    await Promise.all([talker.stop(), server.stop()]);
    return { gap, up };
  });
}
