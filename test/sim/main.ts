/** `npm run sim`: what a mesh does when everything goes wrong, and how long it takes, without a machine for each host. See HELP. */
import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { orEnd, readArguments, wholeNumber } from '../arguments.ts';
import { draw } from './drawing.ts';
import { ALL_FAULTS, FAULTS, type FaultName, isFaultName } from './faults.ts';
import { type RemovalsTold, tellRemovals } from './removal-plot.ts';
import { rangeOf, StoryError, tellStory } from './story.ts';
import { measureChange, measureHeal } from './times.ts';
import { startWatchdog } from './watchdog.ts';

const HELP = `Simulates the whole control plane of many hosts: the same code as in weftd, over a network, disks and clocks in memory.

  npm run sim -- [options]

  --suite stories|times|removals  default: the first two
  --peers N          hosts; default 3 to 6 in stories, by seed, and 100 for times; more than 30 have no stories
  --seed S           the first seed, default 1: everything follows from it, so the same seed tells the same story
  --seeds COUNT      stories to tell, default 1
  --steps K          operations and faults in each, default 100
  --faults A,B,…     which, default all; none for none
  --jobs J           processes, default one for each processor
  --patience MS      real time in which virtual time must move, default 60000
  --json             one JSON object on stdout
  --help

stories: random joins, allocations, claims, restarts and faults. At every moment no address is used by two, none that was promised is
  missing, and the ring of each host is whole; when all is repaired everybody is a member, all agree, and nothing waits.
removals: random stories of removals and handovers among crashes and cuts, of 40 steps each; at the end the addresses of those that are gone
  belong to those that are left, or every host says whom that waits for, and what it says to do about it helps.
times: in virtual time, between four sites: how soon a change is seen, and how soon a partition heals. The part of the control plane that
  everybody has of everybody (records, links, gossip, liveness), so that thousands fit: --peers 5000 takes minutes.

faults: ${Object.entries(FAULTS)
  .map(([name, { what }]) => `${name.padEnd(12)} ${what}`)
  .join('\n        ')}

Progress goes to stderr. Exit: 0 all held, 1 something did not, with its seed and a drawing, 2 wrong arguments, 3 a run stood still.
`;

const MOST_STORY_HOSTS = 30;

const SUITES = ['stories', 'times', 'removals'] as const;
type Suite = (typeof SUITES)[number];

interface Options {
  readonly suites: readonly Suite[];
  readonly peers: number | undefined;
  readonly seed: number;
  readonly seeds: number;
  readonly steps: number;
  readonly faults: readonly FaultName[];
  readonly jobs: number;
  readonly patience: number;
  readonly json: boolean;
}

interface StoriesResult {
  readonly seeds: number;
  readonly operations: Readonly<Record<string, number>>;
  readonly refusals: number;
  readonly virtualSeconds: number;
  readonly failures: readonly { readonly seed: number | string; readonly message: string }[];
}

function readOptions(): Options {
  const text = { type: 'string' } as const;
  const { values } = readArguments(HELP, {
    options: {
      suite: text,
      peers: text,
      seed: { ...text, default: '1' },
      seeds: { ...text, default: '1' },
      steps: { ...text, default: '100' },
      faults: { ...text, default: 'all' },
      jobs: text,
      patience: { ...text, default: '60000' },
      json: { type: 'boolean', default: false },
    },
  });
  const seeds = wholeNumber('--seeds', values.seeds);
  const jobs = wholeNumber('--jobs', values.jobs ?? String(availableParallelism()));
  return {
    suites: orEnd(() => readSuites(values.suite)),
    peers: values.peers === undefined ? undefined : wholeNumber('--peers', values.peers),
    seed: wholeNumber('--seed', values.seed, { least: 0 }),
    seeds,
    steps: wholeNumber('--steps', values.steps, { least: 0 }),
    faults: orEnd(() => readFaults(values.faults)),
    jobs: Math.min(jobs, seeds),
    patience: wholeNumber('--patience', values.patience),
    json: values.json,
  };
}

function readSuites(text: string | undefined): Options['suites'] {
  if (text === undefined) return ['stories', 'times'];
  const suite = SUITES.find((name) => name === text);
  if (suite !== undefined) return [suite];
  throw new TypeError(`--suite takes ${SUITES.join(', ')}, not ${text}`);
}

function readFaults(text: string): readonly FaultName[] {
  if (text === 'all') return ALL_FAULTS;
  if (text === 'none') return [];
  return text.split(',').map((name) => {
    if (!isFaultName(name)) throw new TypeError(`there is no fault ${name}; there are ${ALL_FAULTS}`);
    return name;
  });
}

/** In this process, one after the other. */
async function tellStories(options: Options, onTold: (told: number) => void): Promise<StoriesResult> {
  const operations: Record<string, number> = {};
  const failures: { seed: number | string; message: string }[] = [];
  let [refusals, time, beats] = [0, 0, 0];
  let drawing = () => 'nothing has happened yet';
  const watchdog = await startWatchdog({ patience: options.patience, describe: () => drawing() });
  for (let seed = options.seed; seed < options.seed + options.seeds; seed++) {
    const { peers: hosts = 3 + (seed % 4), steps, faults } = options;
    try {
      const told = await tellStory({
        seed,
        hosts,
        steps,
        faults,
        range: rangeOf(seed),
        onProgress({ world }) {
          drawing = () => `seed ${seed}\n\n${draw(world)}`;
          watchdog.beat(++beats);
        },
      });
      for (const [kind, number] of Object.entries(told.operations))
        operations[kind] = (operations[kind] ?? 0) + number;
      refusals += told.refusals;
      time += told.time;
    } catch (error) {
      if (!(error instanceof StoryError)) throw error;
      failures.push({ seed, message: error.message });
    }
    watchdog.beat(++beats);
    onTold(seed - options.seed + 1);
  }
  await watchdog.stop();
  return {
    seeds: options.seeds,
    operations,
    refusals,
    virtualSeconds: Math.round(time / 1_000),
    failures,
  };
}

/** One part of the seeds in a process of its own; `--share` tells it that it is one. Resolves to undefined when it stood still. */
function spawnShare(
  options: Options,
  seed: number,
  seeds: number,
  onTold: (told: number) => void,
): Promise<StoriesResult | undefined> {
  const { peers, steps, faults, patience } = options;
  const args = ['--seed', seed, '--seeds', seeds, '--steps', steps, '--patience', patience].map(String);
  if (peers !== undefined) args.push('--peers', String(peers));
  args.push('--faults', faults.join() || 'none');
  const child: ChildProcess = spawn(process.execPath, [fileURLToPath(import.meta.url), ...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, WEFT_SIM_SHARE: '1' },
  });
  return new Promise((resolve, reject) => {
    let result: StoriesResult | undefined;
    child.on('message', (message: { told?: number; result?: StoriesResult }) => {
      if (message.told !== undefined) onTold(message.told);
      result = message.result ?? result;
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (result !== undefined || signal === 'SIGKILL') resolve(result);
      else reject(new Error(`a process of stories ended with ${signal ?? code}`));
    });
  });
}

async function stories(options: Options): Promise<{ result: StoriesResult; stuck: boolean }> {
  const { jobs, seed, seeds } = options;
  const told = new Map<number, number>();
  const began = performance.now();
  let shown = began;
  const show = (job: number, number: number) => {
    told.set(job, number);
    if (performance.now() - shown < 2_000) return;
    shown = performance.now();
    const sum = [...told.values()].reduce((a, b) => a + b, 0);
    process.stderr.write(`${sum} of ${seeds} stories told after ${((shown - began) / 1_000).toFixed(0)} s\n`);
  };
  const shares = await Promise.all(
    Array.from({ length: jobs }, (_, job) => {
      const from = Math.floor((job * seeds) / jobs);
      const to = Math.floor(((job + 1) * seeds) / jobs);
      return spawnShare(options, seed + from, to - from, (number) => show(job, number));
    }),
  );
  return { result: sum(shares.filter((share) => share !== undefined)), stuck: shares.includes(undefined) };
}

function sum(results: readonly StoriesResult[]): StoriesResult {
  const operations: Record<string, number> = {};
  for (const { operations: some } of results) {
    for (const [kind, number] of Object.entries(some)) operations[kind] = (operations[kind] ?? 0) + number;
  }
  const total = (of: (result: StoriesResult) => number) =>
    results.reduce((all, result) => all + of(result), 0);
  return {
    seeds: total(({ seeds }) => seeds),
    operations,
    refusals: total(({ refusals }) => refusals),
    virtualSeconds: total(({ virtualSeconds }) => virtualSeconds),
    failures: results.flatMap(({ failures }) => failures),
  };
}

function tellPeople({ seeds, operations, refusals, virtualSeconds, failures }: StoriesResult): void {
  const all = Object.values(operations).reduce((a, b) => a + b, 0);
  const kinds = Object.entries(operations).map(([kind, number]) => `${number} × ${kind}`);
  console.log(`${seeds} stories of ${all} steps in ${virtualSeconds} s of virtual time: ${kinds.join(', ')}`);
  console.log(`${refusals} operations were refused, as they may be; ${failures.length} stories broke a rule`);
}

async function runStories(options: Options): Promise<number> {
  const { peers, json } = options;
  if (peers !== undefined && peers > MOST_STORY_HOSTS) {
    process.stderr.write(
      `no stories: all rings are checked after each step, with ${MOST_STORY_HOSTS} hosts at most\n`,
    );
    return 0;
  }
  const { result, stuck } = await stories(options);
  for (const { message } of result.failures) process.stderr.write(`\n${message}\n`);
  if (json) console.log(JSON.stringify({ suite: 'stories', ...result }));
  else tellPeople(result);
  return stuck ? 3 : result.failures.length > 0 ? 1 : 0;
}

async function runRemovals({ seed: first, seeds, json }: Options): Promise<number> {
  const told: RemovalsTold[] = [];
  const failures: string[] = [];
  for (let seed = first; seed < first + seeds; seed++) {
    try {
      told.push(await tellRemovals(seed));
    } catch (error) {
      failures.push(String(error instanceof Error ? error.message : error));
      process.stderr.write(`${failures.at(-1)}\n`);
    }
  }
  const total = (of: (one: RemovalsTold) => number) => told.reduce((sum, one) => sum + of(one), 0);
  const result = {
    suite: 'removals',
    seeds,
    removals: total(({ removals }) => removals),
    handovers: total(({ handovers }) => handovers),
    helped: told.flatMap(({ helped }) => helped),
    failures,
  };
  if (json) console.log(JSON.stringify(result));
  else {
    console.log(
      `${seeds} stories, ${result.removals} removals, ${result.handovers} handovers; ${failures.length} stories broke a rule`,
    );
    for (const line of result.helped) console.log(`  ${line}`);
  }
  return failures.length > 0 ? 1 : 0;
}

async function runTimes({ peers = 100, seed, json }: Options): Promise<number> {
  const onProgress = (what: string) => void process.stderr.write(`${what}\n`);
  try {
    const change = await measureChange({ peers, seed, onProgress });
    const heal = await measureHeal({ peers, seed, onProgress });
    if (json) console.log(JSON.stringify({ suite: 'times', change, heal }));
    else {
      const ms = (time: number) => `${time.toFixed(0)} ms`;
      const { most, all } = change;
      console.log(`${peers} peers see a change: 99 % within ${ms(most)}, all within ${ms(all)}`);
      console.log(
        `a partition heals: first link across after ${ms(heal.firstLink)}, then all equal after ${ms(heal.all)}`,
      );
      console.log(`memory of the mesh: ${change.memory} MB`);
    }
    return 0;
  } catch (error) {
    process.stderr.write(`seed ${seed}: ${error instanceof Error ? error.stack : error}\n`);
    return 1;
  }
}

async function main(): Promise<number> {
  const options = readOptions();
  if (process.env.WEFT_SIM_SHARE !== undefined) {
    const result = await tellStories(options, (told) => process.send?.({ told }));
    process.send?.({ result });
    return 0;
  }
  const codes = [0];
  if (options.suites.includes('stories')) codes.push(await runStories(options));
  if (options.suites.includes('removals')) codes.push(await runRemovals(options));
  if (options.suites.includes('times')) codes.push(await runTimes(options));
  return Math.max(...codes);
}

process.exitCode = await main();
