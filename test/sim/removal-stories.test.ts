import { test } from 'node:test';
import { tellRemovals } from './removal-plot.ts';

const SEEDS = 8;

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`hosts that are removed while anything happens leave their addresses to the others, and to one only (seed ${seed})`, async (t) => {
    const { removals, handovers, left, hosts } = await tellRemovals(seed);
    t.diagnostic(`${removals} removals, ${handovers} other heirs, ${left} of ${hosts} hosts are left`);
  });
}
