/**
 * `npm run soak:docker [-- --seed N --count N]`: random operations on two Docker hosts, by default 200 with a seed of the moment; then both
 * hosts must agree and nothing may be left over: no link, address, name, route or rule. Prints each command; the seed tells the same story again.
 *
 * `npm run soak:docker -- --kills [--every N]`: kills weftd at each step in which it writes while it answers Docker, or at every Nth.
 */
import { parseArgs } from 'node:util';
import { createDockerLab, dockerIsMissing } from '../lab/docker.ts';
import { printedEcho } from '../lab/echo.ts';
import { killAtWrites } from './kills.ts';
import { randomOperations } from './operations.ts';
import { meshed } from './weft.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(process.pid) },
    count: { type: 'string', default: '200' },
    kills: { type: 'boolean', default: false },
    every: { type: 'string', default: '1' },
  },
});
const [seed, count] = [Number(values.seed), Number(values.count)];
const missing = dockerIsMissing();
if (missing !== undefined) throw new Error(missing);
const lab = await createDockerLab({ echo: printedEcho(), hosts: values.kills ? 1 : 2 });
try {
  await meshed(lab);
  if (values.kills) {
    const kills = await killAtWrites(lab.host(1), { every: Number(values.every), checkEach: true });
    console.log(`soak: killed ${kills} times: Docker and weft agreed after each, nothing is left over`);
  } else {
    await randomOperations(lab, { seed, count });
    console.log(`soak: ${count} operations with seed ${seed}: both hosts agree, nothing is left over`);
  }
} finally {
  lab.close();
}
