/**
 * The speed of the native data path alone, for whoever changes it: builds and settings of it take turns with kernel VXLAN and with no
 * tunnel, run by run, so that what else happens on the machine meets all of them. See HELP.
 */
import { execFileSync } from 'node:child_process';
import type { OptionalPart } from '../../src/datapath/native.ts';
import { readArguments, wholeNumber } from '../arguments.ts';
import { createWorld, type Variant, type World } from './datapath-world.ts';
import { type Figures, measure } from './measures.ts';
import { inOwnSession } from './priority.ts';
import type { Underlay } from './site.ts';
import { series } from './statistics.ts';

const HELP = `Measures builds and settings of the data path in turn; prints medians and ratios to the first one.

  node test/bench/datapath.ts [options] [VARIANT …]
  node test/bench/datapath.ts --tests t1,ping  new  old,binary=/tmp/old.node  evp,without=ipsecMb  vxlan  raw

Variants: vxlan, raw, or any name, with settings: binary, without (a+b), queues, mtu, txqueuelen, bind, env (NAME:value+NAME:value).

  --under veth|nic   default veth
  --tests A,B,…      as in npm run bench -- --help, default t1,t4,ping
  --rounds N         default 3
  --seconds S        default 2
  --help
`;
const { values, positionals } = readArguments(HELP, {
  allowPositionals: true,
  options: {
    under: { type: 'string', default: 'veth' },
    tests: { type: 'string', default: 't1,t4,ping' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
  },
});
const seconds = wholeNumber('--seconds', values.seconds);
const rounds = wholeNumber('--rounds', values.rounds);
if (await inOwnSession()) await main();

async function main(): Promise<void> {
  const variants = (positionals.length > 0 ? positionals : ['weft', 'vxlan', 'raw']).map(parseVariant);
  const worlds: World[] = [];
  const found = new Map(variants.map(({ name }) => [name, [] as Figures[]]));
  try {
    for (const variant of variants) {
      const world = await createWorld(variant, values.under as Underlay);
      worlds.push(world);
      console.error(`${variant.name}: ${world.features}`);
    }
    for (let round = 1; round <= rounds; round++) {
      for (const world of worlds) {
        const figures: Figures = {};
        for (const test of values.tests.split(','))
          Object.assign(figures, await measure(world, test, seconds));
        found.get(world.name)?.push(figures);
        console.error(`${values.under} ${round} ${world.name.padEnd(12)} ${JSON.stringify(figures)}`);
      }
    }
    print(
      variants.map(({ name }) => name),
      found,
    );
  } finally {
    for (const world of worlds) world.close();
  }
}

function parseVariant(text: string): Variant {
  const [name = '', ...settings] = text.split(',');
  const given = Object.fromEntries(settings.map((setting) => setting.split('=')));
  return {
    name,
    system: name === 'vxlan' || name === 'raw' ? name : 'weft',
    binary: given.binary,
    without: (given.without?.split('+') ?? []) as OptionalPart[],
    queues: Number(given.queues ?? 1),
    mtu: Number(given.mtu ?? 1408),
    txqueuelen: Number(given.txqueuelen ?? 500),
    bind: given.bind ?? '::',
    environment: Object.fromEntries(
      given.env?.split('+').map((pair: string) => pair.split(':') as [string, string]) ?? [],
    ),
  };
}

function print(names: readonly string[], found: ReadonlyMap<string, readonly Figures[]>): void {
  const figures = Object.keys(found.get(names[0] ?? '')?.[0] ?? {});
  const median = (name: string, figure: string) =>
    series((found.get(name) ?? []).map((run) => run[figure] ?? 0)).median;
  const rows = figures.map((figure) => [
    figure,
    ...names.map((name, index) => {
      const value = median(name, figure);
      const ratio = index === 0 ? '' : ` (${(median(names[0] ?? '', figure) / value).toFixed(2)})`;
      return value.toFixed(value < 100 ? 2 : 0) + ratio;
    }),
  ]);
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  console.log(
    `\n${values.under}, medians of ${values.rounds}, ${seconds} s, ${commit}; in parentheses: first / this`,
  );
  for (const row of [['', ...names], ...rows]) console.log(row.map((cell) => cell.padEnd(18)).join(''));
}
