/** `npm run bench`: what joining hosts costs and how fast packets go, next to other tunnels and to none at all. See HELP. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { orEnd, readArguments, wholeNumber } from '../arguments.ts';
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

const HELP = `Measures Weft beside other tunnels and none at all. All hosts are namespaces of this machine, so both ends share its cores: compare
the systems, not the absolute rates. Systems take turns run by run, so that what else happens on the machine meets all of them, and everything
runs ahead of it (priority.ts).

  npm run bench -- [options] [PART …]

Without a part all of them, about an hour: two-hosts, tunnels, vxlan, memory, sim, daemons, docker-calls, docker.

  --rounds N         runs of each, default 3
  --seconds S        of each stream, default 3
  --quick            one run of each with short streams, to see that it works
  --under A,B        wires for tunnels and vxlan: veth carries segments unsplit, nic splits them; default both
  --systems A,B,…    for tunnels: ${Object.keys(SYSTEMS).join(',')}
  --tests A,B,…      for tunnels: TCP streams there and back (t1,r1,t4,r4), host to host (h1), idle and loaded latency (ping,loaded),
                     UDP of 64, 512 and 1,400 bytes (u64,u512,u1400), memory
  --peers A,B,…      sizes for sim, default 100,300,1000,2000,5000
  --out FOLDER       for the reports, default docs/benchmarks
  --help

Newer builds of others: WEFT_BENCH_WIREGUARD_GO, WEFT_BENCH_NEBULA and WEFT_BENCH_NEBULA_CERT name programs.
Progress goes to stderr, the tables to stdout.
`;
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

const { values, positionals } = readArguments(HELP, {
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
  const names = orEnd(() => partsOf(positionals));
  const began = performance.now();
  const context: Context = {
    rounds: values.quick ? 1 : wholeNumber('--rounds', values.rounds),
    seconds: values.quick ? 1 : wholeNumber('--seconds', values.seconds),
    quick: values.quick,
    under: values.under.split(','),
    systems: values.systems.split(','),
    tests: values.tests.split(','),
    peers: values.peers.split(',').map((size) => wholeNumber('--peers', size, { most: 10_000 })),
    progress(text) {
      const at = ((performance.now() - began) / 1_000).toFixed(0);
      console.error(`bench ${at.padStart(4)} s  ${text}`);
    },
    save: saver(values.out),
  };
  mkdirSync(values.out, { recursive: true });
  for (const name of names) await PARTS[name]?.(context);
}

function partsOf(names: readonly string[]): readonly string[] {
  const unknown = names.find((name) => PARTS[name] === undefined);
  if (unknown !== undefined)
    throw new Error(`there is no part ${unknown}; there are ${Object.keys(PARTS).join(', ')}`);
  return names.length > 0 ? names : Object.keys(PARTS);
}
