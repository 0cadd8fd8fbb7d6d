/**
 * `npm run soak:docker [-- --seed N --count N]`: random operations on two Docker hosts, by default 200 with a seed of the moment; then both
 * hosts must agree and nothing may be left over. Prints each command; the seed tells the same story again.
 */
import { parseArgs } from 'node:util';
import { createDockerLab, dockerIsMissing } from '../lab/docker.ts';
import { printedEcho } from '../lab/echo.ts';
import { randomOperations } from './operations.ts';
import { meshed } from './weft.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(process.pid) },
    count: { type: 'string', default: '200' },
  },
});
const [seed, count] = [Number(values.seed), Number(values.count)];
const missing = dockerIsMissing();
if (missing !== undefined) throw new Error(missing);
const lab = await createDockerLab({ echo: printedEcho() });
try {
  await meshed(lab);
  await randomOperations(lab, { seed, count });
  console.log(`soak: ${count} operations with seed ${seed}: both hosts agree, nothing is left over`);
} finally {
  lab.close();
}
