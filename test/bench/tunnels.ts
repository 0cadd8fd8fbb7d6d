import { reaches } from '../lab/traffic.ts';
import { type Figures, measure, type Place } from './measures.ts';
import { machineBusy } from './processes.ts';
import { createSite, type Underlay } from './site.ts';
import { SYSTEMS, type System } from './systems/all.ts';

/** Weft and others in turn, run by run, so that what else happens on the machine meets all of them. */
export interface TunnelRuns {
  readonly underlay: Underlay;
  readonly rounds: number;
  /** Length of each stream. */
  readonly seconds: number;
  /** By the name of the system: one set of figures for each round. */
  readonly runs: Readonly<Record<string, readonly Figures[]>>;
  /** Systems that could not be set up, and why. */
  readonly missing: Readonly<Record<string, string>>;
  /** Most cores that something else used just before a run. */
  readonly others: number;
}

export interface TunnelPlan {
  readonly underlay: Underlay;
  readonly systems: readonly string[];
  /** See measures.ts. */
  readonly tests: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
  readonly progress: (text: string) => void;
}

interface Standing extends Place {
  readonly name: string;
  close(): void;
}

export async function compareTunnels(plan: TunnelPlan): Promise<TunnelRuns> {
  const { underlay, rounds, seconds, tests, progress } = plan;
  const standing: Standing[] = [];
  const missing: Record<string, string> = {};
  const runs: Record<string, Figures[]> = {};
  let others = 0;
  try {
    for (const name of plan.systems) {
      try {
        standing.push(await stand(name, underlay));
        runs[name] = [];
        progress(`${underlay}: ${SYSTEMS[name]?.title} is up`);
      } catch (error) {
        missing[name] = (error instanceof Error ? error.message : String(error)).replaceAll('\n', '; ');
        progress(`${underlay}: ${SYSTEMS[name]?.title} cannot be measured: ${missing[name]}`);
      }
    }
    for (let round = 1; round <= rounds; round++) {
      for (const place of standing) {
        others = Math.max(others, await quiet());
        const figures: Figures = {};
        for (const test of tests) Object.assign(figures, await measure(place, test, seconds));
        runs[place.name]?.push(figures);
        progress(
          `${underlay}, ${SYSTEMS[place.name]?.title}, run ${round} of ${rounds}: ${inShort(figures)}`,
        );
      }
    }
    return { underlay, rounds, seconds, runs, missing, others };
  } finally {
    for (const place of standing) place.close();
  }
}

async function stand(name: string, underlay: Underlay): Promise<Standing> {
  const system: System | undefined = SYSTEMS[name];
  if (system === undefined) throw new Error(`there is no system ${name}: ${Object.keys(SYSTEMS).join(', ')}`);
  const site = await createSite(underlay);
  try {
    const connected = await system.connect(site);
    const { hosts, containers, close } = site;
    await reaches(containers[0], connected.containerAddress);
    await reaches(hosts[0], connected.hostAddress);
    return { name, hosts, containers, ...connected, close };
  } catch (error) {
    site.close();
    throw error;
  }
}

/** Waits up to some seconds for a machine that does little else; resolves to the cores that were busy at last. */
async function quiet(): Promise<number> {
  let busy = 0;
  for (let attempt = 0; attempt < 10; attempt++) {
    const before = machineBusy();
    await new Promise((resolve) => setTimeout(resolve, 400));
    busy = (machineBusy() - before) / 0.4;
    if (busy < 0.1) break;
  }
  return busy;
}

function inShort(figures: Figures): string {
  const shown = Object.entries(figures).filter(([name]) => !/(All|Retr|P99|Flood)$/.test(name));
  return shown
    .map(([name, value]) => `${name} ${value < 10 ? value.toFixed(2) : value.toFixed(0)}`)
    .join(' ');
}
