import type { Machine } from './machine.ts';
import { type BarPanel, plotBars } from './plot.ts';
import { type Series, series } from './statistics.ts';
import { SYSTEMS } from './systems/all.ts';
import type { TunnelRuns } from './tunnels.ts';

export interface TunnelFigures {
  /** UTC, to the minute. */
  readonly date: string;
  readonly machine: Machine;
  readonly underlays: readonly TunnelRuns[];
}

interface Column {
  readonly figure: string;
  readonly title: string;
  readonly digits: number;
}

const COLUMNS: readonly Column[] = [
  { figure: 't1', title: '1 TCP, Gbit/s', digits: 2 },
  { figure: 'r1', title: 'back', digits: 2 },
  { figure: 't4', title: '4 TCP', digits: 2 },
  { figure: 'r4', title: 'back', digits: 2 },
  { figure: 'h1', title: 'host to host', digits: 2 },
  { figure: 't1Cpu', title: 'daemons, CPU s/GB', digits: 2 },
  { figure: 'u64', title: '64 B UDP, 1000/s', digits: 0 },
  { figure: 'u64Flood', title: 'flooded', digits: 0 },
  { figure: 'u512', title: '512 B', digits: 0 },
  { figure: 'u1400', title: '1400 B', digits: 0 },
  { figure: 'ping', title: 'ping, µs', digits: 0 },
  { figure: 'loaded', title: 'beside 4 TCP, µs', digits: 0 },
  { figure: 'memory', title: 'daemon, MB', digits: 0 },
];

const UNDERLAYS = {
  veth: 'The wire carries segments unsplit (veth)',
  nic: 'Every packet is split before the wire, as by a network card without offloads (NIC-like)',
} as const;

interface Goal {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  readonly least?: number;
  readonly most?: number;
}

export function tunnelsMarkdown(figures: TunnelFigures): string {
  const { underlays } = figures;
  const [first] = underlays;
  return [
    '# Between two containers on two hosts: Weft and others',
    '',
    '![plot of the main figures](tunnels.svg)',
    '',
    `${aboutLine(figures)} \`npm run bench -- tunnels\`.`,
    `Medians of ${first?.rounds} runs (least–most) of ${first?.seconds} s, systems in turn; both hosts, both daemons and both ends of the traffic share the`,
    'cores, so compare the rows, not the absolute rates. `no tunnel`, `kernel VXLAN` and Weft on a trusted link are not encrypted. UDP: the highest rate with less than 1 % lost.',
    '',
    ...goalTable(underlays),
    ...underlays.flatMap((runs) => ['', `## ${UNDERLAYS[runs.underlay]}`, '', ...table(runs)]),
    '',
  ].join('\n');
}

export function tunnelsPlot(figures: TunnelFigures): string {
  const panels = figures.underlays.flatMap((runs) => panelsOf(runs));
  return plotBars('From container to container across two hosts', aboutLine(figures), panels);
}

function aboutLine({ date, machine }: TunnelFigures): string {
  return `${date} UTC, ${machine.system}, kernel ${machine.kernel}, ${machine.cores} cores of ${machine.cpu}, Node ${machine.node}.`;
}

function figureOf({ runs }: TunnelRuns, system: string, figure: string): Series | undefined {
  const values = (runs[system] ?? []).map((run) => run[figure]).filter((value) => value !== undefined);
  return values.length === 0 ? undefined : series(values);
}

const medianOf = (runs: TunnelRuns, system: string, figure: string) =>
  figureOf(runs, system, figure)?.median ?? Number.NaN;

function table(runs: TunnelRuns): string[] {
  const columns = COLUMNS.filter(({ figure }) =>
    Object.values(runs.runs).some(([run]) => run?.[figure] !== undefined),
  );
  const rows = Object.keys(runs.runs).map((system) => {
    const cells = columns.map(({ figure, digits }) => {
      const found = figureOf(runs, system, figure);
      if (found === undefined || (found.median === 0 && /Cpu|memory/.test(figure))) return '';
      return `${found.median.toFixed(digits)} (${found.least.toFixed(digits)}–${found.most.toFixed(digits)})`;
    });
    const title = SYSTEMS[system]?.title ?? system;
    return `| ${[system === 'weft' ? `**${title}**` : title, ...cells].join(' | ')} |`;
  });
  const lines = [
    `| | ${columns.map(({ title }) => title).join(' | ')} |`,
    `|---|${'---|'.repeat(columns.length)}`,
    ...rows,
    '',
    `Other programs used up to ${runs.others.toFixed(1)} cores just before a run.`,
  ];
  for (const [system, why] of Object.entries(runs.missing))
    lines.push(`Not measured: ${SYSTEMS[system]?.title}, ${why}.`);
  return lines;
}

/** What the data path is meant to reach, as ratios within one run of everything. */
function goalTable(underlays: readonly TunnelRuns[]): string[] {
  const goals = underlays.flatMap((runs) => goalsOf(runs)).filter(({ value }) => !Number.isNaN(value));
  return [
    '| | measured | goal | |',
    '|---|---|---|---|',
    ...goals.map(({ what, value, unit, least, most }) => {
      const goal = least === undefined ? `≤ ${most} ${unit}` : `≥ ${least} ${unit}`;
      const met = value >= (least ?? Number.NEGATIVE_INFINITY) && value <= (most ?? Number.POSITIVE_INFINITY);
      return `| ${what} | ${value.toFixed(2)} ${unit} | ${goal} | ${met ? 'met' : '**missed**'} |`;
    }),
  ];
}

function goalsOf(runs: TunnelRuns): Goal[] {
  const of = (figure: string) => medianOf(runs, 'weft', figure);
  const ratio = (figure: string, base: string) => of(figure) / medianOf(runs, base, figure);
  const where = runs.underlay === 'veth' ? 'veth' : 'NIC-like';
  const streams: Goal = {
    what: `4 TCP streams, of one, ${where}`,
    value: of('t4') / of('t1'),
    unit: '×',
    least: 1,
  };
  if (runs.underlay === 'nic') {
    return [
      { what: '1 TCP stream, of kernel VXLAN, NIC-like', value: ratio('t1', 'vxlan'), unit: '×', least: 0.9 },
      streams,
    ];
  }
  return [
    { what: '1 TCP stream, of kernel VXLAN, veth', value: ratio('t1', 'vxlan'), unit: '×', least: 0.5 },
    { what: '1 TCP stream, of nebula, veth', value: ratio('t1', 'nebula'), unit: '×', least: 14 },
    { what: '1 TCP stream, of wireguard-go, veth', value: ratio('t1', 'wireguard'), unit: '×', least: 18 },
    streams,
    { what: 'CPU of both daemons, veth', value: of('t1Cpu'), unit: 's/GB', most: 1.2 },
    {
      what: '64-byte UDP under 1 % loss, of kernel VXLAN',
      value: ratio('u64', 'vxlan'),
      unit: '×',
      least: 2,
    },
    {
      what: '64-byte UDP flooded, of its rate under 1 % loss',
      value: of('u64Flood') / of('u64'),
      unit: '×',
      least: 1,
    },
    {
      what: 'idle ping, above no tunnel',
      value: of('ping') - medianOf(runs, 'raw', 'ping'),
      unit: 'µs',
      most: 110,
    },
    { what: 'ping beside 4 TCP streams', value: of('loaded') / 1_000, unit: 'ms', most: 1.5 },
  ];
}

function panelsOf(runs: TunnelRuns): BarPanel[] {
  const where = runs.underlay === 'veth' ? '' : ', NIC-like wire';
  const panel = (figure: string, title: string, better: 'more' | 'less'): BarPanel => ({
    title: title + where,
    better,
    bars: Object.keys(runs.runs).flatMap((system) => {
      const found = figureOf(runs, system, figure);
      if (found === undefined || (figure === 't1Cpu' && found.median === 0)) return [];
      const { median, least, most } = found;
      return [
        {
          name: SYSTEMS[system]?.title ?? system,
          value: median,
          least,
          most,
          ours: system.startsWith('weft'),
        },
      ];
    }),
  });
  const first = [panel('t1', 'One TCP stream, Gbit/s', 'more'), panel('u64', '64-byte UDP, 1000/s', 'more')];
  if (runs.underlay === 'nic') return first.filter(({ bars }) => bars.length > 0);
  const more = [
    panel('t1Cpu', 'Daemons, CPU s/GB', 'less'),
    panel('loaded', 'Ping beside 4 streams, µs', 'less'),
  ];
  return [...first, ...more].filter(({ bars }) => bars.length > 0);
}
