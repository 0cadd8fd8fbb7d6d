/**
 * `npm test`: every suite in one run of node's test runner, with one summary at the end. See HELP. Suites that only compute share the
 * cores. Whatever needs the machine itself (namespaces, TUN, the lab) runs one file at a time afterwards, so that no test measures
 * another one's load.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { orEnd, readArguments, wholeNumber } from './arguments.ts';

const ROOT = join(import.meta.dirname, '..');
const TESTS = import.meta.dirname;
/** Longest time for one file; the slowest host test takes about a minute. */
const FILE_TIMEOUT = 300_000;

const SUITES = ['architecture', 'unit', 'contract', 'model', 'sim', 'fuzz', 'attack', 'hosts', 'docker'];

const HELP = `Runs the tests, all of them or those of these suites, folders or files.

  npm test -- [SUITE | FOLDER | FILE …]
  npm run fuzz -- [--seconds S]

Suites: ${SUITES.join(' ')}. Those that need the machine itself are left out, and named, without root.

  --fuzz         the fuzz suite again and again with fresh seeds, then each native target as long
  --seconds S    for each, default 60
  --help
`;

const { values, positionals } = readArguments(HELP, {
  allowPositionals: true,
  options: { fuzz: { type: 'boolean', default: false }, seconds: { type: 'string', default: '60' } },
});

const { shared, alone } = partition(orEnd(() => select(values.fuzz ? ['fuzz'] : positionals)));
process.exitCode = 0;
if (values.fuzz) await fuzz(wholeNumber('--seconds', values.seconds));
else await report(shared, alone);

/** Test files under the wanted folders, or the wanted files themselves. */
function select(wanted: readonly string[]): string[] {
  const places = wanted.length > 0 ? wanted : SUITES.filter((suite) => existsSync(join(TESTS, suite)));
  const found = places.flatMap((place) => testFiles(locate(place)));
  if (found.length === 0) throw new Error(`no test files in ${places.join(', ')}`);
  return found;
}

function locate(place: string): string {
  for (const candidate of [join(TESTS, place), join(process.cwd(), place)]) {
    if (statSync(candidate, { throwIfNoEntry: false })) return candidate;
  }
  throw new Error(`${place} is neither a suite (${SUITES.join(', ')}) nor a file`);
}

function testFiles(place: string): string[] {
  if (statSync(place).isFile()) return [place];
  return readdirSync(place, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .sort()
    .map((name) => join(place, name));
}

function partition(all: readonly string[]): { shared: string[]; alone: string[] } {
  const shared: string[] = [];
  const alone: string[] = [];
  for (const file of all) (needsTheMachine(file) ? alone : shared).push(file);
  return { shared, alone };
}

/** Tests of hosts and of Docker by their folder; others by what they import. */
function needsTheMachine(file: string): boolean {
  if (/^(hosts|docker)\//.test(relative(TESTS, file))) return true;
  return /from '[^']*(\/lab\/|\/hosts\/|native)[^']*'/.test(readFileSync(file, 'utf8'));
}

/** Both groups one after the other through one reporter, which so prints one summary. */
async function report(together: string[], oneByOne: string[]): Promise<void> {
  const isRoot = process.getuid?.() === 0;
  const skipped = isRoot ? [] : oneByOne;
  if (skipped.length > 0) announce(skipped);
  const groups = [{ files: together, concurrency: availableParallelism() }];
  if (isRoot) groups.push({ files: oneByOne, concurrency: 1 });
  await new Promise<void>((resolve, reject) => {
    const lines = Readable.from(mergedEvents(groups, skipped)).compose(spec);
    lines.on('error', reject).on('end', resolve).pipe(process.stdout);
  });
}

function announce(skipped: readonly string[]): void {
  const bar = '!'.repeat(100);
  const names = skipped.map((file) => `!!   ${relative(TESTS, file)}`);
  const head =
    '!! NOT ROOT: these need namespaces, TUN devices or the firewall and are SKIPPED (run as root for all):';
  console.error([bar, head, ...names, bar].join('\n'));
}

type Group = { readonly files: string[]; readonly concurrency: number };
type Event = {
  type: string;
  data: { file?: string; nesting?: number; message?: string } & Record<string, unknown>;
};

/**
 * A run ends with its counts as root-level diagnostics `<name> <number>` and with a summary, at which the reporter lists the
 * failures. Counts of all runs are added up and sent once, last.
 */
async function* mergedEvents(groups: readonly Group[], skipped: readonly string[]): AsyncGenerator<Event> {
  const totals = new Map<string, number>();
  const add = (name: string, value: number) => totals.set(name, (totals.get(name) ?? 0) + value);
  let summary: Event | undefined;
  for (const { files, concurrency } of groups.filter((group) => group.files.length > 0)) {
    const stream = run({ files, concurrency, timeout: FILE_TIMEOUT, cwd: ROOT });
    for await (const event of stream as AsyncIterable<Event>) {
      const count = rootCount(event);
      if (event.type === 'test:fail') process.exitCode = 1;
      if (count) add(count.name, count.value);
      else if (event.type === 'test:summary' && event.data.file === undefined) summary = event;
      else yield event;
    }
  }
  for (const file of skipped) {
    yield skipEvent(relative(TESTS, file));
    add('tests', 1);
    add('skipped', 1);
  }
  if (summary) yield summary;
  for (const [name, value] of totals) yield diagnostic(`${name} ${value}`);
}

function skipEvent(name: string): Event {
  return { type: 'test:pass', data: { name, nesting: 0, skip: 'needs root', details: { duration_ms: 0 } } };
}

function diagnostic(message: string): Event {
  return { type: 'test:diagnostic', data: { nesting: 0, message, level: 'info' } };
}

function rootCount(event: Event): { name: string; value: number } | undefined {
  if (event.type !== 'test:diagnostic' || event.data.nesting !== 0 || event.data.file !== undefined) return;
  const match = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([0-9.]+)$/.exec(
    event.data.message ?? '',
  );
  return match ? { name: String(match[1]), value: Number(match[2]) } : undefined;
}

/** The targets of the native half, one after the other, each for so many seconds. */
function fuzzNative(seconds: number): void {
  const script = join(ROOT, 'native/fuzz/run.sh');
  if (spawnSync('sh', [script, `${seconds}`], { stdio: 'inherit' }).status !== 0) process.exitCode = 1;
}

/** Rounds of the fuzz suite until the time is over; every round draws new seeds, which fast-check prints on failure. */
async function fuzz(seconds: number): Promise<void> {
  if (!(seconds > 0)) throw new Error('--seconds takes a positive number');
  const end = process.hrtime.bigint() + BigInt(Math.round(seconds * 1e9));
  let rounds = 0;
  while (process.hrtime.bigint() < end && process.exitCode === 0) {
    await report(shared, alone);
    rounds += 1;
  }
  if (process.exitCode === 0) fuzzNative(Math.ceil(seconds));
  console.log(
    `fuzz: ${rounds} rounds of ${shared.length + alone.length} files, ${process.exitCode === 0 ? 'no' : 'a'} failure`,
  );
}
