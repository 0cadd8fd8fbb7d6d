import { type Part, today } from './context.ts';
import { type ManyDaemons, manyDaemons } from './fifty.ts';
import { describeMachine } from './machine.ts';

/** Fifty real daemons as namespaces on this machine: until they are a mesh, without traffic, and when links are cut at random. */
export interface DaemonFigures extends ManyDaemons {
  readonly date: string;
  readonly machine: ReturnType<typeof describeMachine>;
}

const GOAL = { formed: 60, idlePercent: 25, healed: 10 };
const SILENT = { command() {}, note() {} };

export const daemons: Part = async ({ quick, progress, save }) => {
  const measured = await manyDaemons({
    hosts: quick ? 4 : 50,
    idleSeconds: quick ? 1 : 20,
    cutSeconds: quick ? 4 : 60,
    echo: SILENT,
    progress,
  });
  const figures: DaemonFigures = { date: today(), machine: describeMachine(), ...measured };
  const text = report(figures);
  console.log(text);
  save('daemons.json', `${JSON.stringify(figures, null, 2)}\n`);
  save('daemons.md', text);
};

export function report(figures: DaemonFigures): string {
  const { date, machine, hosts, formed, formedCpu, idlePercent, residentMB, cuts, healed } = figures;
  const row = (what: string, value: number, unit: string, goal: number) =>
    `| ${what} | ${value.toFixed(1)} ${unit} | ${goal} ${unit}, ${value <= goal ? 'met' : '**missed**'} |`;
  return [
    '# Many daemons on one machine',
    '',
    `${date} UTC, \`npm run bench -- daemons\`. ${machine.system}, kernel ${machine.kernel}, ${machine.cores} cores of ${machine.cpu}, Node ${machine.node}.`,
    `${hosts} hosts, each a network namespace with a daemon of its own. They take ${residentMB.toFixed(0)} MB.`,
    'They know each other’s link addresses from the start: one kernel has no room for that many neighbours, where as many machines have.',
    '',
    '| | | goal |',
    '|---|---|---|',
    row(`a mesh (${formedCpu.toFixed(0)} s of CPU of the daemons)`, formed, 's', GOAL.formed),
    row('idle, all together, of one core', idlePercent, '%', GOAL.idlePercent),
    row(`the same records and everybody up again after ${cuts} random cuts`, healed, 's', GOAL.healed),
    '',
  ].join('\n');
}
