/**
 * `npm run bench`: what joining two hosts costs and how fast packets go, next to Debian's wireguard-go and to no tunnel at all.
 *
 *   npm run bench                      everything, about five minutes
 *   npm run bench -- --quick           one run of each with short streams, to see that it works
 *   npm run bench -- --rounds 5 --seconds 8 --out docs/benchmarks
 *
 * All hosts are namespaces on this machine, so both ends share its cores: compare the systems, not the absolute rates. Systems
 * take turns run by run, so that what else happens on the machine meets all of them, and everything runs ahead of it (priority.ts).
 * Progress goes to stderr.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { throughput } from '../lab/traffic.ts';
import { describeMachine } from './machine.ts';
import { convergence, firstPing, idle, restart, roundTrip } from './mesh.ts';
import { inOwnSession } from './priority.ts';
import { machineBusy, usageOf } from './processes.ts';
import { type Figures, type Stream, toMarkdown } from './render.ts';
import { type Series, series } from './statistics.ts';
import { type OpenTunnel, openPlain, openWeft, openWireguard, type Tunnel } from './tunnels.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '5' },
    quick: { type: 'boolean', default: false },
    out: { type: 'string', default: join(import.meta.dirname, '..', '..', 'docs', 'benchmarks') },
  },
});
const rounds = values.quick ? 1 : whole('--rounds', values.rounds);
const seconds = values.quick ? 2 : whole('--seconds', values.seconds);
const began = performance.now();
const silent = { command: () => {}, note: () => {} };

if (await inOwnSession()) save(await measureAll());

async function measureAll(): Promise<Figures> {
  return {
    date: new Date().toISOString().slice(0, 16),
    machine: describeMachine(),
    rounds,
    seconds,
    firstPing: await repeated('from nothing to the first ping', 's', () => firstPing(silent)),
    convergence: await repeated('from weft join to agreement of all', 's', () => convergence(silent)),
    restart: await repeated('gap after kill -9 and weft up', 's', async () => (await restart(silent)).gap),
    ...(await idleFigures()),
    streams: await compare([openWeft, openWireguard, openPlain]),
  };
}

function whole(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 1_000)
    throw new Error(`${flag} takes a whole number from 1`);
  return value;
}

function progress(text: string): void {
  const at = ((performance.now() - began) / 1_000).toFixed(0);
  console.error(`bench ${at.padStart(4)} s  ${text}`);
}

async function repeated(what: string, unit: string, measure: () => Promise<number>): Promise<Series> {
  const runs: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    runs.push(await measure());
    progress(`${what}, run ${round} of ${rounds}: ${runs.at(-1)?.toFixed(2)} ${unit}`);
  }
  return series(runs);
}

async function idleFigures(): Promise<Pick<Figures, 'residentMB' | 'idlePercent'>> {
  const length = values.quick ? 5 : 30;
  progress(`three idle daemons for ${length} s`);
  const { residentMB, cpuPercent } = await idle(silent, length);
  progress(`${residentMB.toFixed(0)} MB, ${cpuPercent.toFixed(2)} % of a core`);
  return { residentMB, idlePercent: cpuPercent };
}

/** All tunnels are up at the same time and take turns. */
async function compare(open: readonly OpenTunnel[]): Promise<Stream[]> {
  const tunnels: Tunnel[] = [];
  try {
    for (const one of open) {
      tunnels.push(await one(silent));
      progress(`${tunnels.at(-1)?.name} is up`);
    }
    const runs = new Map(tunnels.map((tunnel) => [tunnel.name, [] as Run[]]));
    for (let round = 1; round <= rounds; round++) {
      for (const tunnel of tunnels) {
        const run = await measure(tunnel);
        runs.get(tunnel.name)?.push(run);
        const busy = run.others > 0.1 ? `, others used ${run.others.toFixed(2)} cores before it` : '';
        const figuresOfRun = `${run.gigabits.toFixed(2)} Gbit/s, ${run.roundTrip.toFixed(0)} us`;
        progress(`one TCP stream, ${tunnel.name}, run ${round} of ${rounds}: ${figuresOfRun}${busy}`);
      }
    }
    return [...runs].map(([name, list]) => summary(name, list));
  } finally {
    for (const tunnel of tunnels) tunnel.close();
  }
}

interface Run {
  readonly gigabits: number;
  /** Seconds of the daemons' CPU for 10^9 bytes. */
  readonly cpuPerGB: number;
  /** Microseconds. */
  readonly roundTrip: number;
  /** Cores that were busy just before. */
  readonly others: number;
}

async function measure(tunnel: Tunnel): Promise<Run> {
  const busy = machineBusy();
  await pause(500);
  const others = (machineBusy() - busy) / 0.5;
  const trip = await roundTrip(tunnel.from, tunnel.address);
  const before = usageOf(tunnel.daemons).cpu;
  const rate = await throughput(tunnel.from, tunnel.to, tunnel.address, { seconds });
  const cpu = usageOf(tunnel.daemons).cpu - before;
  return { gigabits: rate / 1e9, cpuPerGB: cpu / ((rate * seconds) / 8e9), roundTrip: trip, others };
}

function summary(name: string, runs: readonly Run[]): Stream {
  return {
    name,
    gigabits: series(runs.map((run) => run.gigabits)),
    cpuPerGB: series(runs.map((run) => run.cpuPerGB)),
    roundTrip: series(runs.map((run) => run.roundTrip)),
    others: Math.max(...runs.map((run) => run.others)),
  };
}

function save(found: Figures): void {
  const text = toMarkdown(found);
  console.log(text);
  if (values.quick) {
    progress('--quick: nothing was written');
    return;
  }
  mkdirSync(values.out, { recursive: true });
  writeFileSync(join(values.out, 'two-hosts.json'), `${JSON.stringify(found, null, 2)}\n`);
  writeFileSync(join(values.out, 'two-hosts.md'), text);
  progress(`written to ${values.out}`);
}
