/**
 * `npm run model`: searches a system of donations and removals, breadth first, and prints how many states it has; or walks through it.
 *
 *   npm run model -- --peers 4 --full          what the test suite has no time for: minutes, and some gigabytes of memory
 *   npm run model -- --peers 5 --walk 60       random walks for a minute
 *   npm run model -- --peers 2 --newcomers 1   each may be left alone, and let the newcomer in as its heir
 *   --newcomers N --handovers N --wards C --heirs D --addresses N --donations N --removals N --crashes --owner D --donors AD --receivers AB
 *   --removers B --victims CD --limit STATES
 */
import { parseArgs } from 'node:util';
import { createSeededRandom } from '../../src/ports/memory/random.ts';
import { explore, walk } from './explore.ts';
import { removals } from './removals.ts';
import { type Limits, REAL_RULES } from './rules.ts';

const text = { type: 'string' } as const;
const flag = { type: 'boolean', default: false } as const;
const { values } = parseArgs({
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

const count = (value: string | undefined, otherwise: number) => Number(value ?? otherwise);
const full = values.full ? { donors: 'AD', receivers: 'AD' } : {};
const limits: Limits = {
  peers: count(values.peers, 4),
  addresses: count(values.addresses, 1),
  donations: count(values.donations, values.full ? 2 : 1),
  removals: count(values.removals, 2),
  crashes: values.crashes,
  ...full,
  ...(values.newcomers === undefined ? {} : { newcomers: count(values.newcomers, 0) }),
  ...(values.handovers === undefined ? {} : { handovers: count(values.handovers, 0) }),
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
const violation = values.walk === undefined ? search() : walkFor(Number(values.walk));
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
  } = explore(removals(REAL_RULES, limits), count(values.limit, 8_000_000));
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
