/**
 * `npm run bench`: what joining hosts costs and how fast packets go, next to other tunnels and to none at all.
 *
 *   npm run bench                      everything, about half an hour
 *   npm run bench -- two-hosts         one part, or several: two-hosts, tunnels, vxlan, memory, sim, daemons, docker-calls,
 *                                      docker
 *   npm run bench -- --quick           one run of each with short streams, to see that it works
 *   npm run bench -- tunnels --under veth,nic --systems weft,vxlan --tests t1,u64,ping --rounds 5 --seconds 8 --out /tmp/figures
 *   npm run bench -- sim --peers 100,1000
 *
 * Newer builds of others: WEFT_BENCH_WIREGUARD_GO, WEFT_BENCH_NEBULA, WEFT_BENCH_NEBULA_CERT name programs.
 * All hosts are namespaces on this machine, so both ends share its cores: compare the systems, not the absolute rates. Systems
 * take turns run by run, so that what else happens on the machine meets all of them, and everything runs ahead of it (priority.ts).
 * Progress goes to stderr, the tables to stdout, the report to docs/benchmarks.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Context, type Part, saver } from './context.ts';
import { daemons } from './daemons-part.ts';
import { dockerCalls } from './docker-calls.ts';
import { docker } from './docker-part.ts';
import { memory } from './memory-part.ts';
import { inOwnSession } from './priority.ts';
import { sim } from './sim-part.ts';
import { SYSTEMS } from './systems/all.ts';
import { tunnels } from './tunnels-part.ts';
import { twoHosts } from './two-hosts.ts';
import { vxlan } from './vxlan.ts';

const PARTS: Readonly<Record<string, Part>> = {
  'two-hosts': twoHosts,
  tunnels,
  vxlan,
  memory,
  sim,
  daemons,
  'docker-calls': dockerCalls,
  docker,
};
const TESTS = 't1,r1,t4,r4,h1,ping,loaded,u64,u512,u1400,memory';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    quick: { type: 'boolean', default: false },
    under: { type: 'string', default: 'veth,nic' },
    systems: { type: 'string', default: Object.keys(SYSTEMS).join(',') },
    tests: { type: 'string', default: TESTS },
    peers: { type: 'string', default: '100,300,1000,2000,5000' },
    out: { type: 'string', default: join(import.meta.dirname, '..', '..', 'docs', 'benchmarks') },
  },
});

if (await inOwnSession()) await main();

async function main(): Promise<void> {
  const names = positionals.length > 0 ? positionals : Object.keys(PARTS);
  const unknown = names.find((name) => PARTS[name] === undefined);
  if (unknown !== undefined) throw new Error(`there is no part ${unknown}: ${Object.keys(PARTS).join(', ')}`);
  const began = performance.now();
  const context: Context = {
    rounds: values.quick ? 1 : whole('--rounds', values.rounds),
    seconds: values.quick ? 1 : whole('--seconds', values.seconds),
    quick: values.quick,
    under: values.under.split(','),
    systems: values.systems.split(','),
    tests: values.tests.split(','),
    peers: values.peers.split(',').map((size) => whole('--peers', size, 10_000)),
    progress(text) {
      const at = ((performance.now() - began) / 1_000).toFixed(0);
      console.error(`bench ${at.padStart(4)} s  ${text}`);
    },
    save: saver(values.out),
  };
  mkdirSync(values.out, { recursive: true });
  for (const name of names) await PARTS[name]?.(context);
}

function whole(flag: string, text: string, most = 1_000): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > most)
    throw new Error(`${flag} takes a whole number from 1`);
  return value;
}
