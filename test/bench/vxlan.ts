import { bothGo, trusting } from '../hosts/vxlan.ts';
import { createLab } from '../lab/create.ts';
import { reaches } from '../lab/traffic.ts';
import { type Context, type Part, repeated, today } from './context.ts';
import { describeMachine } from './machine.ts';
import type { Underlay } from './site.ts';
import { type Series, series } from './statistics.ts';
import { compareTunnels, type TunnelRuns } from './tunnels.ts';

const OURS = 'weft-vxlan';
const BASE = 'vxlan';
const TESTS: Readonly<Record<string, string>> = {
  t1: 'one TCP stream, Gbit/s',
  t4: 'four TCP streams, Gbit/s',
  trips: 'requests and responses on one core, thousands a second',
  u64: '64-byte packets with less than 1 % lost, thousands a second',
};
const GOAL = 0.97;
const VXLAN = 4789;
/** Seconds between pings. */
const EVERY = 0.02;

/** Weft's VXLAN beside the same made by hand, and what a break and its end cost. */
export const vxlan: Part = async (context) => {
  const { rounds, seconds, under, progress, save } = context;
  const lines = [
    '# Containers over VXLAN: Weft and by hand',
    '',
    `${today()} UTC, \`npm run bench -- vxlan\`. ${describeMachine().system}, ${describeMachine().cores} cores. Medians of ${rounds} alternating runs (least–most).`,
  ];
  const all: TunnelRuns[] = [];
  for (const underlay of under as readonly Underlay[]) {
    const plan = { underlay, systems: [BASE, OURS], tests: Object.keys(TESTS), rounds, seconds, progress };
    const found = await compareTunnels(plan);
    all.push(found);
    lines.push('', ...tableOf(found));
  }
  const gaps = await breaks(context);
  lines.push(
    '',
    '| | measured | goal |',
    '|---|---|---|',
    `| packets lost when VXLAN breaks, s | ${spread(gaps.fall, 2)} | < 3 |`,
    `| packets lost when it returns, s | ${spread(gaps.back, 2)} | ≤ 1 |`,
    '',
  );
  console.log(lines.join('\n'));
  save(
    'vxlan.json',
    `${JSON.stringify({ date: today(), machine: describeMachine(), all, gaps }, null, 1)}\n`,
  );
  save('vxlan.md', lines.join('\n'));
};

function tableOf({ underlay, runs, others }: TunnelRuns): readonly string[] {
  const of = (system: string, name: string) =>
    series((runs[system] ?? []).map((run) => run[name] ?? Number.NaN));
  const rows = Object.entries(TESTS).map(([name, title]) => {
    const [ours, base] = [of(OURS, name), of(BASE, name)];
    const ratio = ours.median / base.median;
    return `| ${title} | ${spread(ours, 2)} | ${spread(base, 2)} | ${ratio.toFixed(3)} | ≥ ${GOAL} |`;
  });
  return [
    `On a wire of kind ${underlay}; other programs used up to ${others.toFixed(1)} cores just before a run:`,
    '',
    '| | Weft | by hand | ratio | goal |',
    '|---|---|---|---|---|',
    ...rows,
    `| daemons, CPU s/GB with one stream | ${spread(of(OURS, 't1Cpu'), 3)} | - | | 0 |`,
  ];
}

/** Seconds of pings that do not come back, when the wire begins to swallow VXLAN and when it ends. */
async function breaks(context: Context): Promise<{ fall: Series; back: Series }> {
  const back: number[] = [];
  const fall = await repeated(context, 'lost when VXLAN breaks', 's', async () => {
    const lab = await createLab({ hosts: 2, echo: { command: () => {}, note: () => {} } });
    try {
      const [one, two] = await trusting(lab);
      if (one === undefined || two === undefined) throw new Error('this takes two hosts');
      await bothGo(one.host, two.host, 'vxlan');
      await reaches(one.sandbox, two.address);
      const losing = async (change: () => Promise<void>, kind: 'vxlan' | 'encrypted') => {
        const words = ['ping', '-i', String(EVERY), '-W', '1', two.address];
        const pings = one.sandbox.start(words, { say: null });
        await change();
        await bothGo(one.host, two.host, kind, 20_000);
        await reaches(one.sandbox, two.address);
        await pings.stop('SIGINT');
        const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(pings.output()) ?? [];
        return (Number(sent) - Number(received)) * EVERY;
      };
      const lost = await losing(() => lab.wire.swallow(two.host.name, VXLAN), 'encrypted');
      back.push(await losing(() => lab.wire.mend(), 'vxlan'));
      return lost;
    } finally {
      lab.close();
    }
  });
  return { fall, back: series(back) };
}

function spread({ median, least, most }: Series, digits: number): string {
  return `${median.toFixed(digits)} (${least.toFixed(digits)}–${most.toFixed(digits)})`;
}
