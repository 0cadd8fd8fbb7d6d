import { setTimeout as pause } from 'node:timers/promises';
import { createLab } from '../lab/create.ts';
import type { Echo } from '../lab/echo.ts';
import type { LabHost } from '../lab/host.ts';
import { converged, join, tokenIn } from '../lab/mesh.ts';
import { introduce } from '../lab/neighbours.ts';
import { until } from '../lab/wait.ts';
import type { Wire } from '../lab/wire.ts';
import { usageOf } from './processes.ts';

/** Many real daemons on this machine, each in a namespace of its own. */
export interface ManyDaemons {
  readonly hosts: number;
  /** Seconds from the first `weft up` until every host finds every other one up. */
  readonly formed: number;
  /** Seconds of CPU that the daemons had taken by then. */
  readonly formedCpu: number;
  /** Percent of one core that all daemons take together without traffic. */
  readonly idlePercent: number;
  /** Resident memory of all, MB. */
  readonly residentMB: number;
  /** Cuts that were made, and seconds from the mending until all hosts held the same records and found everybody up. */
  readonly cuts: number;
  readonly healed: number;
}

export interface ManyOptions {
  readonly hosts: number;
  readonly idleSeconds: number;
  readonly cutSeconds: number;
  readonly echo: Echo;
  readonly progress?: (text: string) => void;
}

/** Hosts that join at once: as many as keep two cores busy. */
const AT_ONCE = 4;
/** Until links that were made in the first moments have been given up, each seconds after others were told. */
const SETTLING = 30_000;
const CUT_EVERY = 500;
const HEALING = 60_000;

export async function manyDaemons(options: ManyOptions): Promise<ManyDaemons> {
  const { hosts: count, idleSeconds, cutSeconds, echo, progress = () => {} } = options;
  const lab = await createLab({ hosts: count, echo });
  try {
    const { hosts, wire } = lab;
    await introduce(hosts);
    const begun = performance.now();
    await joinAtOnce(hosts);
    await converged(hosts, 120_000);
    const formed = seconds(begun);
    const daemons = await Promise.all(hosts.map((host) => until('weftd', () => host.daemon())));
    const formedCpu = usageOf(daemons).cpu;
    progress(`${count} daemons are a mesh after ${formed.toFixed(1)} s and ${formedCpu.toFixed(1)} s of CPU`);
    if (idleSeconds > 1) await pause(SETTLING);
    const before = usageOf(daemons);
    await pause(idleSeconds * 1_000);
    const after = usageOf(daemons);
    const idlePercent = (100 * (after.cpu - before.cpu)) / idleSeconds;
    progress(`idle: ${idlePercent.toFixed(1)} % of a core together`);
    const cuts = await cutAtRandom(wire, hosts, cutSeconds);
    const mended = performance.now();
    await until('all hosts to hold the same', () => agreed(hosts), HEALING, 200);
    const healed = seconds(mended);
    progress(`equal ${healed.toFixed(1)} s after ${cuts} cuts in ${cutSeconds} s`);
    const residentMB = after.resident / 1e6;
    return { hosts: count, formed, formedCpu, idlePercent, residentMB, cuts, healed };
  } finally {
    lab.close();
  }
}

const seconds = (since: number) => (performance.now() - since) / 1_000;

async function joinAtOnce([first, ...others]: readonly LabHost[]): Promise<void> {
  if (first === undefined) return;
  await first.weft(['up']);
  const token = tokenIn((await first.weft(['invite', '--uses', String(Math.max(1, others.length))])).stdout);
  const waiting = [...others];
  const work = async () => {
    for (let host = waiting.shift(); host !== undefined; host = waiting.shift()) await join(host, token);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

/** Pulls plugs and cuts pairs apart, and mends all of it every few seconds. Everything is whole at the end. */
async function cutAtRandom(wire: Wire, hosts: readonly LabHost[], length: number): Promise<number> {
  const end = performance.now() + length * 1_000;
  const any = () => hosts[Math.floor(Math.random() * hosts.length)] as LabHost;
  const unplugged = new Set<string>();
  const mend = async () => {
    await wire.mend();
    for (const name of unplugged) await wire.plug(name);
    unplugged.clear();
  };
  let cuts = 0;
  while (performance.now() < end) {
    const [one, other] = [any(), any()];
    if (Math.random() < 0.3 && unplugged.size < hosts.length / 4) {
      await wire.unplug(one.name);
      unplugged.add(one.name);
      cuts++;
    } else if (one !== other) {
      await wire.cut(one.name, other.name);
      cuts++;
    }
    await pause(CUT_EVERY);
    if (cuts % 16 === 0) await mend();
  }
  await mend();
  return cuts;
}

async function agreed(hosts: readonly LabHost[]): Promise<true | undefined> {
  const views = await Promise.all(hosts.map((host) => host.status().catch(() => undefined)));
  const digests = new Set(views.map((view) => view?.mesh?.digest));
  const complete = views.every(
    (view) => view?.peers.filter(({ state }) => state === 'up').length === hosts.length - 1,
  );
  return digests.size === 1 && complete ? true : undefined;
}
