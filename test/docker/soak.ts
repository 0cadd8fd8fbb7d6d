/** `npm run soak:docker`: random operations on two Docker hosts, or weftd killed at each of its writes. See HELP. */
import { readArguments, wholeNumber } from '../arguments.ts';
import { createDockerLab, dockerIsMissing } from '../lab/docker.ts';
import { printedEcho } from '../lab/echo.ts';
import { killAtWrites } from './kills.ts';
import { randomOperations } from './operations.ts';
import { meshed } from './weft.ts';

const HELP = `Random operations on two Docker hosts; then both must agree and nothing may be left over: no link, address, name, route or rule.
Prints each command. The seed tells the same story again.

  npm run soak:docker -- [options]

  --seed N       default: another one each time
  --count N      operations, default 200
  --kills        instead, on one host: kill weftd at each step in which it writes while it answers Docker
  --every N      at every Nth of them
  --help
`;
const { values } = readArguments(HELP, {
  options: {
    seed: { type: 'string', default: String(process.pid) },
    count: { type: 'string', default: '200' },
    kills: { type: 'boolean', default: false },
    every: { type: 'string', default: '1' },
  },
});
const seed = wholeNumber('--seed', values.seed, { least: 0 });
const count = wholeNumber('--count', values.count);
const every = wholeNumber('--every', values.every);
const missing = dockerIsMissing();
if (missing !== undefined) throw new Error(missing);
const lab = await createDockerLab({ echo: printedEcho(), hosts: values.kills ? 1 : 2 });
try {
  await meshed(lab);
  if (values.kills) {
    const kills = await killAtWrites(lab.host(1), { every, checkEach: true });
    console.log(`soak: killed ${kills} times: Docker and weft agreed after each, nothing is left over`);
  } else {
    await randomOperations(lab, { seed, count });
    console.log(`soak: ${count} operations with seed ${seed}: both hosts agree, nothing is left over`);
  }
} finally {
  lab.close();
}
