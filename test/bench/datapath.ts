/**
 * The speed of the native data path alone, for whoever changes it: builds and settings of it take turns with kernel VXLAN and with no
 * tunnel, run by run, so that what else happens on the machine meets all of them. Prints medians and ratios to the first variant.
 *
 *   node test/bench/datapath.ts --under veth --tests t1,ping  new  old,binary=/tmp/old.node  evp,without=ipsecMb  vxlan  raw
 *
 * Tests: t<n> r<n> TCP streams from container to container and back, h<n> from host to host, ping, loaded (ping beside 4 streams),
 * u<size> the highest rate of UDP packets under 1 % loss and what arrives of a flood (needs WEFT_BENCH_UDP, see below).
 * Settings: binary, without (a+b), queues, mtu, txqueuelen, bind, env (NAME:value+NAME:value).
 *
 * WEFT_BENCH_UDP names a program: `server ADDRESS PORT`, and `search ADDRESS PORT SIZE` that prints JSON with pps and flood_recv.
 */
import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import type { OptionalPart } from '../../src/datapath/native.ts';
import { background, execute } from '../lab/command.ts';
import type { Namespace } from '../lab/namespace.ts';
import { until } from '../lab/wait.ts';
import { createWorld, type Underlay, type Variant, type World } from './datapath-world.ts';
import { inOwnSession } from './priority.ts';
import { machineBusy, usageOf } from './processes.ts';
import { series } from './statistics.ts';

/** By name of the figure, in the order of the table. */
type Figures = Record<string, number>;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    under: { type: 'string', default: 'veth' },
    tests: { type: 'string', default: 't1,t4,ping' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
  },
});
const seconds = Number(values.seconds);
if (await inOwnSession()) await main();

async function main(): Promise<void> {
  const variants = (positionals.length > 0 ? positionals : ['weft', 'vxlan', 'raw']).map(parseVariant);
  const worlds: World[] = [];
  const found = new Map(variants.map(({ name }) => [name, [] as Figures[]]));
  try {
    for (const variant of variants) {
      worlds.push(await createWorld(variant, values.under as Underlay));
      console.error(
        `${variant.name}: ${/ready (.*)/.exec(worlds.at(-1)?.daemons[0]?.output() ?? '')?.[1] ?? 'kernel'}`,
      );
    }
    for (let round = 1; round <= Number(values.rounds); round++) {
      for (const world of worlds) {
        const figures: Figures = {};
        for (const test of values.tests.split(','))
          Object.assign(figures, await locked(() => measure(world, test)));
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

/** One measurement at a time on this machine, whoever makes it. */
async function locked<T>(body: () => Promise<T>): Promise<T> {
  const holder = background([
    'flock',
    '--no-fork',
    '/tmp/bench.lock',
    'sh',
    '-c',
    'echo held; exec sleep 60',
  ]);
  await until('the other benchmark to end', () => holder.output().includes('held'), 600_000, 20);
  try {
    return await body();
  } finally {
    await holder.stop();
  }
}

async function measure(world: World, test: string): Promise<Figures> {
  const [from, to] = test.startsWith('h') ? world.hosts : world.containers;
  const address = test.startsWith('h') ? world.hostAddress : world.containerAddress;
  if (test === 'ping') {
    const { average, p99 } = await pings(from, address, 1000, 0.002);
    return { ping: average, pingP99: p99 };
  }
  if (test === 'loaded') {
    const load = stream(from, to, address, 4, false);
    const { average, p99 } = await pings(from, address, 150, 0.01);
    await load;
    return { loaded: average, loadedP99: p99 };
  }
  if (test.startsWith('u')) return packetRate(from, to, address, Number(test.slice(1)));
  const busy = machineBusy();
  const before = cpuOf(world);
  const { gigabits, retransmits, bytes } = await stream(
    from,
    to,
    address,
    Number(test.slice(1)),
    test.startsWith('r'),
  );
  const gigabytes = bytes / 1e9;
  return {
    [test]: gigabits,
    [`${test}Cpu`]: (cpuOf(world) - before) / gigabytes,
    [`${test}All`]: (machineBusy() - busy) / gigabytes,
    [`${test}Retr`]: retransmits,
  };
}

function cpuOf(world: World): number {
  return usageOf(world.daemons.map(({ pid }) => pid)).cpu;
}

async function stream(from: Namespace, to: Namespace, address: string, count: number, reverse: boolean) {
  const server = to.start(['iperf3', '-s', '-1', '-B', address, '--forceflush'], { say: null });
  try {
    await until('iperf3 to listen', () => server.output().includes('listening'));
    const words = [
      'iperf3',
      '-c',
      address,
      '-t',
      `${seconds}`,
      '-P',
      `${count}`,
      ...(reverse ? ['-R'] : []),
      '-J',
    ];
    const { stdout } = await from.run(words, { timeout: 60_000, check: false });
    const { end, error } = JSON.parse(stdout);
    if (error !== undefined) throw new Error(`iperf3: ${error}`);
    const { bits_per_second, bytes } = end.sum_received;
    return { gigabits: bits_per_second / 1e9, bytes, retransmits: end.sum_sent.retransmits ?? 0 };
  } finally {
    await server.stop();
  }
}

/** Microseconds. */
async function pings(from: Namespace, address: string, count: number, interval: number) {
  const { stdout } = await from.run(['ping', '-c', `${count}`, '-i', `${interval}`, address], {
    check: false,
  });
  const trips = [...stdout.matchAll(/time=([\d.]+) ms/g)]
    .map(([, time]) => Number(time) * 1000)
    .sort((a, b) => a - b);
  return {
    average: trips.reduce((sum, trip) => sum + trip, 0) / trips.length,
    p99: trips[Math.floor(trips.length * 0.99)] ?? Number.NaN,
  };
}

async function packetRate(from: Namespace, to: Namespace, address: string, size: number): Promise<Figures> {
  const tool = process.env.WEFT_BENCH_UDP;
  if (tool === undefined) throw new Error('set WEFT_BENCH_UDP for tests of UDP rates');
  const server = to.start([tool, 'server', address, '5999']);
  try {
    await until(
      'the server',
      async () =>
        (await execute(['ip', 'netns', 'exec', to.path, 'ss', '-Huln', 'sport = :5999'])).stdout !== '',
    );
    const { stdout } = await from.run([tool, 'search', address, '5999', `${size}`], { timeout: 60_000 });
    const { pps, flood_recv } = JSON.parse(stdout);
    return { [`u${size}`]: pps / 1000, [`u${size}Flood`]: flood_recv / 1000 };
  } finally {
    await server.stop();
  }
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
