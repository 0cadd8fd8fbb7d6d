/** One measurement in a process of its own, as JSON: node test/sim/measure.ts change|heal|steady PEERS */
import { measureChange, measureHeal, measureSteady } from './times.ts';

const [what = '', count = ''] = process.argv.slice(2);
const options = {
  peers: Number(count),
  seed: 'bench',
  onProgress: (text: string) => void process.stderr.write(`${text}\n`),
};
/** Long enough for links to be given up and for tries to be under way; of thousands each second takes long to simulate. */
const apart = options.peers > 1_000 ? 8_000 : 20_000;
const measures: Readonly<Record<string, () => Promise<unknown>>> = {
  change: () => measureChange(options),
  heal: () => measureHeal({ ...options, apart }),
  steady: () => measureSteady({ ...options, changesPerSecond: 17, seconds: 10 }),
};
const measure = measures[what];
if (measure === undefined || !(options.peers > 1))
  throw new Error('change, heal or steady, and how many peers');
console.log(JSON.stringify(await measure()));
