import { dockerIsMissing } from '../lab/docker.ts';
import { type Part, today } from './context.ts';
import { type DockerFigures, dockerRun } from './docker-run.ts';
import { describeMachine } from './machine.ts';
import type { Series } from './statistics.ts';

const silent = { command: () => {}, note: () => {} };
const ROUNDS = 20;
/** Milliseconds. */
const MOST_EXTRA = 50;
const MOST_NAME = 300;

/** What a network of weft costs those who start containers on it. */
export const docker: Part = async ({ quick, progress, save }) => {
  const missing = dockerIsMissing();
  if (missing !== undefined) {
    progress(`docker is left out: ${missing}`);
    return;
  }
  const rounds = quick ? 2 : ROUNDS;
  progress(`docker run, ${rounds} times on each of five networks, and then a crowd`);
  const figures = await dockerRun(silent, rounds);
  const text = toMarkdown(figures, rounds);
  console.log(text);
  save(
    'docker.json',
    `${JSON.stringify({ date: today(), machine: describeMachine(), rounds, ...figures }, null, 2)}\n`,
  );
  save('docker.md', text);
};

function toMarkdown({ run, name, crowd }: DockerFigures, rounds: number): string {
  const machine = describeMachine();
  const { bridge, named, idle, outlet, weft } = run;
  const extra = weft.median - bridge.median;
  const { containers, failures, duplicates, took } = crowd;
  return [
    '# Docker: figures',
    '',
    `${today()} UTC, \`npm run bench -- docker\`. ${machine.system}, kernel ${machine.kernel}, ${machine.cores} cores of ${machine.cpu},`,
    `two engines on this machine. Medians of ${rounds} runs (least–most); the networks take turns.`,
    '',
    '| | measured | goal | |',
    '|---|---|---|---|',
    row("`docker run -d` on Docker's default bridge", milliseconds(bridge), '', undefined),
    row("on a bridge network of the user's own", milliseconds(named), '', undefined),
    row('on a network of a driver that does nothing but answer', milliseconds(idle), '', undefined),
    row('the same, without a second interface as the way out', milliseconds(outlet), '', undefined),
    row('on a network of weft', milliseconds(weft), '', undefined),
    row(
      'weft more than the default bridge',
      between(weft, bridge),
      `≤ ${MOST_EXTRA} ms`,
      extra <= MOST_EXTRA,
    ),
    row("weft more than a bridge of the user's own", between(weft, named), '', undefined),
    row('weft more than a driver that does nothing', between(weft, idle), '', undefined),
    row(
      'name found on the other host after `docker run`',
      milliseconds(name),
      `≤ ${MOST_NAME} ms`,
      name.median <= MOST_NAME,
    ),
    row(
      `${containers} containers on two hosts in ${(took / 1_000).toFixed(0)} s: failures, addresses given twice`,
      `${failures}, ${duplicates}`,
      '0, 0',
      failures + duplicates === 0,
    ),
    '',
    'On every network but its default bridge Docker starts a resolver for the container, and on those of drivers outside of it a second interface as',
    'the way out. Both are in the time of a driver that does nothing but answer. Without the second interface it shows what no driver can go below:',
    '[docker-plugin/README.md](../../docker-plugin/README.md).',
    '',
  ].join('\n');
}

/** Of the medians. */
function between(one: Series, other: Series): string {
  return `${(one.median - other.median).toFixed(0)} ms`;
}

function milliseconds({ median, least, most }: Series): string {
  return `${median.toFixed(0)} (${least.toFixed(0)}–${most.toFixed(0)}) ms`;
}

function row(what: string, value: string, goal: string, met: boolean | undefined): string {
  const verdict = met === undefined ? '' : met ? 'met' : '**missed**';
  return `| ${what} | ${value} | ${goal} | ${verdict} |`;
}
