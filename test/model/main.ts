/** `npm run model`: searches a system of donations and removals, breadth first, and prints how many states it has; or walks through it. */

import { createSeededRandom } from '../../src/ports/memory/random.ts';
import { readArguments, wholeNumber } from '../arguments.ts';
import { explore, walk } from './explore.ts';
import { removals } from './removals.ts';
import { type Limits, REAL_RULES } from './rules.ts';

const HELP = `Searches a system of donations and removals, breadth first, and prints how many states it has; or walks through it at random.
It explores the functions that weftd runs. Exit: 0 no rule broken, 1 one was, with the way to it, 2 wrong arguments.

  npm run model -- [options]

  --peers N          members at the beginning, default 4
  --newcomers N      that may join, default 0
  --addresses N      that each has in use, default 1
  --donations N      default 1
  --removals N       default 2
  --handovers N      of an heir's role, default 0
  --crashes          each peer may lose what is not on its disk
  --full             two donations, by and to more peers: what the test suite has no time for, minutes and gigabytes
  --limit STATES     most, default 8000000
  --walk SECONDS     random walks instead of a search
  --owner, --donors, --receivers, --removers, --victims, --wards, --heirs LETTERS
                     who may; A is the creator, B the next one
  --help
`;
const text = { type: 'string' } as const;
const flag = { type: 'boolean', default: false } as const;
const { values } = readArguments(HELP, {
  options: {
    peers: text,
    newcomers: text,
    handovers: text,
    wards: text,
    heirs: text,
    addresses: text,
    donations: text,
    removals: text,
    crashes: flag,
    owner: text,
    donors: text,
    receivers: text,
    removers: text,
    victims: text,
    limit: text,
    walk: text,
    full: flag,
  },
});

type CountFlag = 'peers' | 'addresses' | 'donations' | 'removals' | 'newcomers' | 'handovers' | 'limit';
const count = (flag: CountFlag, otherwise: number) =>
  wholeNumber(`--${flag}`, values[flag] ?? String(otherwise), { least: 0 });
const full = values.full ? { donors: 'AD', receivers: 'AD' } : {};
const limits: Limits = {
  peers: count('peers', 4),
  addresses: count('addresses', 1),
  donations: count('donations', values.full ? 2 : 1),
  removals: count('removals', 2),
  crashes: values.crashes,
  ...full,
  ...(values.newcomers === undefined ? {} : { newcomers: count('newcomers', 0) }),
  ...(values.handovers === undefined ? {} : { handovers: count('handovers', 0) }),
  ...(values.wards === undefined ? {} : { wards: values.wards }),
  ...(values.heirs === undefined ? {} : { heirs: values.heirs }),
  ...(values.owner === undefined ? {} : { owner: values.owner }),
  ...(values.donors === undefined ? {} : { donors: values.donors }),
  ...(values.receivers === undefined ? {} : { receivers: values.receivers }),
  ...(values.removers === undefined ? {} : { removers: values.removers }),
  ...(values.victims === undefined ? {} : { victims: values.victims }),
};
console.log(JSON.stringify(limits));
const begun = performance.now();
const violation = values.walk === undefined ? search() : walkFor(wholeNumber('--walk', values.walk));
console.log(`${((performance.now() - begun) / 1_000).toFixed(1)} s`);
if (violation !== undefined) {
  console.log(`${violation.fault}\n  ${violation.trace.join('\n  ')}`);
  process.exitCode = 1;
}

function search() {
  const {
    states,
    complete,
    violation: found,
  } = explore(removals(REAL_RULES, limits), count('limit', 8_000_000));
  console.log(`${states} states${complete ? ', all of them' : ''}`);
  return found;
}

function walkFor(seconds: number) {
  let walks = 0;
  let steps = 0;
  const end = performance.now() + seconds * 1_000;
  while (performance.now() < end) {
    // A system remembers what it has worked out, which would fill the memory.
    const system = removals(REAL_RULES, limits);
    for (let at = 0; at < 50 && performance.now() < end; at += 1) {
      const random = createSeededRandom(`walk ${walks++}`);
      const walked = walk(system, 120, () => random.fraction());
      steps += walked.steps;
      if (walked.violation !== undefined) return walked.violation;
    }
  }
  console.log(`${walks} walks, ${steps} steps`);
  return undefined;
}
