import { type Context, type Part, repeated, today } from './context.ts';
import { describeMachine, type Machine } from './machine.ts';
import { convergence, firstPing, idle, restart } from './mesh.ts';
import type { Series } from './statistics.ts';

const silent = { command: () => {}, note: () => {} };

interface Figures {
  /** UTC, to the minute. */
  readonly date: string;
  readonly machine: Machine;
  readonly rounds: number;
  /** Seconds. */
  readonly firstPing: Series;
  readonly convergence: Series;
  readonly restart: Series;
  /** Largest of three daemons. */
  readonly residentMB: number;
  readonly idlePercent: number;
}

/** What joining costs, and what daemons cost that have nothing to do. */
export const twoHosts: Part = async (context) => {
  const { rounds, save } = context;
  const figures: Figures = {
    date: today(),
    machine: describeMachine(),
    rounds,
    firstPing: await repeated(context, 'from nothing to the first ping', 's', () => firstPing(silent)),
    convergence: await repeated(context, 'from weft join to agreement of all', 's', () =>
      convergence(silent),
    ),
    restart: await repeated(
      context,
      'gap after kill -9 and weft up',
      's',
      async () => (await restart(silent)).gap,
    ),
    ...(await idleFigures(context)),
  };
  const text = toMarkdown(figures);
  console.log(text);
  save('two-hosts.json', `${JSON.stringify(figures, null, 2)}\n`);
  save('two-hosts.md', text);
};

async function idleFigures({
  quick,
  progress,
}: Context): Promise<Pick<Figures, 'residentMB' | 'idlePercent'>> {
  const length = quick ? 5 : 30;
  progress(`three idle daemons for ${length} s`);
  const { residentMB, cpuPercent } = await idle(silent, length);
  progress(`${residentMB.toFixed(0)} MB, ${cpuPercent.toFixed(2)} % of a core`);
  return { residentMB, idlePercent: cpuPercent };
}

function toMarkdown(figures: Figures): string {
  const { date, machine, rounds } = figures;
  const seconds = (what: string, found: Series, most: number) => {
    const value = `${found.median.toFixed(2)} (${found.least.toFixed(2)}–${found.most.toFixed(2)}) s`;
    return row(what, value, `< ${most} s`, found.median < most);
  };
  return [
    '# Two hosts, one mesh: figures',
    '',
    `${date} UTC, \`npm run bench -- two-hosts\`. ${machine.system}, kernel ${machine.kernel}, ${machine.cores} cores of ${machine.cpu},`,
    `Node ${machine.node} with OpenSSL ${machine.openssl}. Medians of ${rounds} runs (least–most). All hosts are namespaces of this machine.`,
    '',
    '| | measured | goal | |',
    '|---|---|---|---|',
    seconds('from nothing to the first ping between containers', figures.firstPing, 5),
    seconds('from `weft join` until all hosts agree on every address', figures.convergence, 1),
    seconds('gap of an open TCP connection over kill -9 and `weft up`', figures.restart, 5),
    row(
      '`weftd` with two peers, resident',
      `${figures.residentMB.toFixed(0)} MB`,
      '< 120 MB',
      figures.residentMB < 120,
    ),
    row('`weftd` idle, of one core', `${figures.idlePercent.toFixed(2)} %`, '< 1 %', figures.idlePercent < 1),
    '',
  ].join('\n');
}

function row(what: string, value: string, goal: string, met: boolean): string {
  return `| ${what} | ${value} | ${goal} | ${met ? 'met' : '**missed**'} |`;
}
