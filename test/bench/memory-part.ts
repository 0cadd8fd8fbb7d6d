import { type Part, today } from './context.ts';
import { describeMachine } from './machine.ts';
import { datapathMemory } from './memory.ts';

const MOST_MEGABYTES = 64;

/** What many peers cost the data path of one host. */
export const memory: Part = async ({ progress, save }) => {
  const found = [];
  for (const peers of [10, 100, 1_000, 10_000]) {
    const one = await datapathMemory(peers);
    found.push(one);
    progress(
      `${peers} peers: ${one.megabytes.toFixed(1)} MB, ${one.lookupNs.toFixed(0)} ns to find the way of a packet`,
    );
  }
  const machine = describeMachine();
  const atThousand = found.find(({ peers }) => peers === 1_000)?.megabytes ?? Number.NaN;
  const verdict = atThousand <= MOST_MEGABYTES ? 'met' : '**missed**';
  const text = [
    '# The data path with many peers',
    '',
    `${today()} UTC, \`npm run bench -- memory\`. ${machine.system}, kernel ${machine.kernel}, ${machine.cores} cores of ${machine.cpu}.`,
    'Memory: what the process grew by with keys for all peers in use. Look-up: owner of the destination, owner of the source, peer and session of one packet.',
    '',
    '| peers | memory, MB | look-ups, ns |',
    '|---|---|---|',
    ...found.map(
      ({ peers, megabytes, lookupNs }) => `| ${peers} | ${megabytes.toFixed(1)} | ${lookupNs.toFixed(0)} |`,
    ),
    '',
    `Goal: at most ${MOST_MEGABYTES} MB with 1,000 peers, ${verdict}.`,
    '',
  ].join('\n');
  console.log(text);
  save('memory.json', `${JSON.stringify({ date: today(), machine, found }, null, 2)}\n`);
  save('memory.md', text);
};
