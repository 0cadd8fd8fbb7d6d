import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ChangeTimes, HealTimes, SteadyTraffic } from '../sim/times.ts';
import { type Part, today } from './context.ts';
import { describeMachine } from './machine.ts';
import { type MessageCosts, measureMessageCosts } from './message-cost.ts';
import { plotLines } from './plot.ts';

/** What a mesh of thousands costs and how fast it is: simulated, with the cost of each message measured. */
export interface SimFigures {
  readonly date: string;
  readonly machine: ReturnType<typeof describeMachine>;
  readonly change: readonly ChangeTimes[];
  readonly heal: readonly HealTimes[];
  readonly steady: SteadyTraffic;
  readonly costs: MessageCosts;
}

/** Seconds for a change and for healing, MB. */
const GOALS = new Map([
  [100, { change: 0.5, heal: 1, memory: undefined }],
  [1_000, { change: 1, heal: 1.5, memory: 150 }],
  [5_000, { change: 1.5, heal: 2, memory: 1_000 }],
]);
const STEADY_PEERS = 1_000;
const GOAL_BYTES = 20_000;
const GOAL_CPU = 3;
/** Heap of a process that simulates: far above the goal, so that missing it is a figure and no crash. */
const HEAP_MB = 8_000;

type What = 'change' | 'heal' | 'steady';

export const sim: Part = async ({ quick, peers: wanted, progress, save }) => {
  const sizes = quick ? [100, 300] : wanted;
  const costs = await measureMessageCosts();
  progress(`costs of a message: ${JSON.stringify(costs)}`);
  const slots = createSlots(availableParallelism());
  const measure = <T>(what: What, peers: number): Promise<T> =>
    slots(async () => {
      const found = await simulated<T>(what, peers);
      progress(`${what} among ${peers} peers: ${JSON.stringify(found)}`);
      return found;
    });
  // The longest first: virtual time does not mind who else is on the machine.
  const largest = sizes.toReversed();
  const heal = largest.map((peers) => measure<HealTimes>('heal', peers));
  const change = largest.map((peers) => measure<ChangeTimes>('change', peers));
  const steady = measure<SteadyTraffic>('steady', quick ? 100 : STEADY_PEERS);
  const figures: SimFigures = {
    date: today(),
    machine: describeMachine(),
    change: (await Promise.all(change)).reverse(),
    heal: (await Promise.all(heal)).reverse(),
    steady: await steady,
    costs,
  };
  const text = report(figures);
  console.log(text);
  save('sim.json', `${JSON.stringify(figures, null, 2)}\n`);
  save('sim.md', text);
  save('sim.svg', plot(figures));
};

/** In a process of its own, so that nothing else is in its memory. */
async function simulated<T>(what: What, peers: number): Promise<T> {
  const program = join(import.meta.dirname, '..', 'sim', 'measure.ts');
  const args = [`--max-old-space-size=${HEAP_MB}`, program, what, String(peers)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 1 << 26 });
  return JSON.parse(stdout) as T;
}

/** Runs so many at once, the others in the order in which they came. */
function createSlots(count: number): <T>(run: () => Promise<T>) => Promise<T> {
  const free = [...Array(count).keys()];
  const waiting: ((slot: number) => void)[] = [];
  return async (run) => {
    const slot = free.pop() ?? (await new Promise<number>((resolve) => void waiting.push(resolve)));
    try {
      return await run();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free.push(slot);
      else next(slot);
    }
  };
}

/** Milliseconds of one core in each second, of one host. */
export function arithmetic(
  { messages, fresh, duplicates, verifications }: SteadyTraffic,
  costs: MessageCosts,
) {
  const each = [
    {
      what: 'messages through Noise and TCP, one sent and one received',
      rate: messages,
      cost: costs.transport,
    },
    { what: 'messages encoded', rate: messages, cost: costs.encode },
    { what: 'messages decoded', rate: messages, cost: costs.decode },
    { what: 'signatures checked', rate: verifications, cost: costs.verify },
    { what: 'new records merged', rate: fresh, cost: costs.merge },
    { what: 'known records recognised', rate: duplicates, cost: costs.known },
    { what: 'others’ records saved, 5,000 of them', rate: 1 / 30, cost: costs.save },
  ];
  const total = each.reduce((sum, { rate, cost }) => sum + rate * cost, 0);
  return { each, total, percent: total / 10 };
}

export function report(figures: SimFigures): string {
  const { machine, steady, costs } = figures;
  const { each, total, percent } = arithmetic(steady, costs);
  return [
    '# A mesh of thousands',
    '',
    `${figures.date} UTC, \`npm run bench -- sim --peers ${figures.change.map(({ peers }) => peers).join()}\`. ${machine.system}, kernel ${machine.kernel}, ${machine.cores} cores of ${machine.cpu}, Node ${machine.node}.`,
    'Simulated in virtual time: the daemon’s records, links, gossip and liveness; 0.5 ms one way inside each of four sites, 10–80 ms between',
    'them. Healing counts from the first link across until all hold what both halves wrote, one record a peer. Memory: heap and buffers in use',
    'after a collection, of the whole process; the most while the partition heals, messages on their way included. Certificates, addresses and',
    'keys are not part of it: `npm run sim -- --help`. Real daemons: `npm run bench -- daemons`.',
    '',
    '![Times and memory](sim.svg)',
    '',
    '| peers | change, 99 % | goal | healed | goal | memory | goal |',
    '|---|---|---|---|---|---|---|',
    ...figures.change.map((change, at) => row(change, figures.heal[at] as HealTimes)),
    '',
    'Not counted in healing: a connection attempt that is under way when the wires are whole again succeeds at once here, and after up to',
    'three seconds with a real kernel, which sends its SYN again after 1, 3 and 7 s.',
    '',
    `## ${steady.peers} hosts, ${steady.changesPerSecond} changes a second`,
    '',
    `Each sends ${steady.messages.toFixed(1)} messages and ${(steady.bytes / 1_000).toFixed(1)} KB a second (goal ${GOAL_BYTES / 1_000} KB, ${met(steady.bytes <= GOAL_BYTES)}), and receives as much.`,
    `99 % see a change after ${steady.seen.toFixed(0)} ms in the middle, ${steady.seenWorst.toFixed(0)} ms at worst (of a hundred).`,
    'Counts from the simulation, costs measured with the real code and cryptography on this machine:',
    '',
    '| | per second | ms of a core | ms in a second |',
    '|---|---|---|---|',
    ...each.map(
      ({ what, rate, cost }) =>
        `| ${what} | ${rate.toFixed(rate < 1 ? 3 : 1)} | ${cost.toFixed(4)} | ${(rate * cost).toFixed(2)} |`,
    ),
    `| sum | | | ${total.toFixed(1)} |`,
    '',
    `${percent.toFixed(1)} % of a core for each host (goal ${GOAL_CPU} %, ${met(percent <= GOAL_CPU)}).`,
    '',
  ].join('\n');
}

const met = (isMet: boolean) => (isMet ? 'met' : '**missed**');

function row({ peers, most, memory: formed }: ChangeTimes, heal: HealTimes): string {
  const memory = Math.max(formed, heal.memory);
  const goal = GOALS.get(peers);
  const against = (value: number, most: number | undefined, unit: string) =>
    most === undefined ? '' : `${most} ${unit}, ${met(value <= most)}`;
  const seconds = (ms: number) => `${(ms / 1_000).toFixed(2)} s`;
  const cells = [
    String(peers),
    seconds(most),
    against(most / 1_000, goal?.change, 's'),
    seconds(heal.all),
    against(heal.all / 1_000, goal?.heal, 's'),
    `${memory} MB`,
    against(memory, goal?.memory, 'MB'),
  ];
  return `| ${cells.join(' | ')} |`;
}

export function plot({ date, change, heal }: SimFigures): string {
  const goals = [...GOALS].filter(([peers]) => change.some((one) => one.peers === peers));
  return plotLines('A mesh of thousands', `${date} UTC, simulated in virtual time`, [
    {
      title: 'Seconds until 99 % see it, and until healed',
      x: 'peers',
      logarithmic: true,
      lines: [
        { name: 'change', points: change.map(({ peers, most }) => [peers, most / 1_000]) },
        { name: 'healed', points: heal.map(({ peers, all }) => [peers, all / 1_000]) },
        { name: 'goal for a change', goal: true, points: goals.map(([peers, goal]) => [peers, goal.change]) },
        { name: 'goal for healing', goal: true, points: goals.map(([peers, goal]) => [peers, goal.heal]) },
      ],
    },
    {
      title: 'Memory of the simulation, MB',
      x: 'peers',
      logarithmic: true,
      lines: [
        {
          name: 'memory',
          points: change.map(({ peers, memory }, at) => [peers, Math.max(memory, heal[at]?.memory ?? 0)]),
        },
        {
          name: 'goal',
          goal: true,
          points: goals.flatMap(([peers, { memory }]) =>
            memory === undefined ? [] : [[peers, memory] as const],
          ),
        },
      ],
    },
  ]);
}
