import type { Machine } from './machine.ts';
import type { Series } from './statistics.ts';

export interface Figures {
  /** UTC, to the minute. */
  readonly date: string;
  readonly machine: Machine;
  readonly rounds: number;
  /** Length of each stream. */
  readonly seconds: number;
  /** Seconds. */
  readonly firstPing: Series;
  readonly convergence: Series;
  readonly restart: Series;
  /** Largest of three daemons. */
  readonly residentMB: number;
  readonly idlePercent: number;
  readonly streams: readonly Stream[];
}

export interface Stream {
  readonly name: string;
  readonly gigabits: Series;
  readonly cpuPerGB: Series;
  readonly roundTrip: Series;
  /** Most cores that something else used just before a run. */
  readonly others: number;
}

interface Goal {
  readonly what: string;
  readonly value: string;
  readonly goal: string;
  readonly met: boolean;
}

export function toMarkdown(figures: Figures): string {
  const { machine } = figures;
  const goals = goalsOf(figures);
  return [
    '# Two hosts, one mesh: figures',
    '',
    `${figures.date} UTC, \`npm run bench\`. ${machine.system}, kernel ${machine.kernel}, ${machine.cores} cores of ${machine.cpu},`,
    `Node ${machine.node} with OpenSSL ${machine.openssl}. Medians of ${figures.rounds} runs (least–most). All hosts are namespaces of this machine.`,
    '',
    '| | measured | goal | |',
    '|---|---|---|---|',
    ...goals.map(
      ({ what, value, goal, met }) => `| ${what} | ${value} | ${goal} | ${met ? 'met' : '**missed**'} |`,
    ),
    '',
    `One TCP stream from container to container for ${figures.seconds} s, systems in turn, both ends and both daemons on the same cores:`,
    '',
    '| | Gbit/s | of no tunnel | daemons, CPU s/GB | idle ping, us |',
    '|---|---|---|---|---|',
    ...figures.streams.map((stream) => streamRow(stream, figures.streams)),
    '',
    `Other programs used up to ${Math.max(...figures.streams.map(({ others }) => others)).toFixed(1)} cores just before a run.`,
    '',
  ].join('\n');
}

function goalsOf(figures: Figures): Goal[] {
  const limit = (what: string, series: Series, most: number): Goal => ({
    what,
    value: `${spread(series, 2)} s`,
    goal: `< ${most} s`,
    met: series.median < most,
  });
  const ratio = ratioOf(figures.streams, 'weft', 'wireguard-go');
  return [
    limit('from nothing to the first ping between containers', figures.firstPing, 5),
    limit('from `weft join` until all hosts agree on every address', figures.convergence, 1),
    limit('gap of an open TCP connection over kill -9 and `weft up`', figures.restart, 5),
    {
      what: '`weftd` with two peers, resident',
      value: `${figures.residentMB.toFixed(0)} MB`,
      goal: '< 120 MB',
      met: figures.residentMB < 120,
    },
    {
      what: '`weftd` idle, of one core',
      value: `${figures.idlePercent.toFixed(2)} %`,
      goal: '< 1 %',
      met: figures.idlePercent < 1,
    },
    {
      what: 'one TCP stream between containers, of wireguard-go',
      value: `${ratio.toFixed(2)} ×`,
      goal: '≥ 1 ×',
      met: ratio >= 1,
    },
  ];
}

function ratioOf(streams: readonly Stream[], name: string, base: string): number {
  const rate = (wanted: string) =>
    streams.find((stream) => stream.name === wanted)?.gigabits.median ?? Number.NaN;
  return rate(name) / rate(base);
}

function streamRow(stream: Stream, all: readonly Stream[]): string {
  const share = ratioOf(all, stream.name, 'no tunnel').toFixed(2);
  return `| ${stream.name} | ${spread(stream.gigabits, 2)} | ${share} | ${spread(stream.cpuPerGB, 1)} | ${spread(stream.roundTrip, 0)} |`;
}

function spread({ median, least, most }: Series, digits: number): string {
  return `${median.toFixed(digits)} (${least.toFixed(digits)}–${most.toFixed(digits)})`;
}
