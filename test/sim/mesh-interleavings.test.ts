import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rangeOf, StoryError, type StoryOptions, tellStory } from './story.ts';

/**
 * The first hundred stories, the second are in mesh-interleavings-more.test.ts; `npm run sim:nightly` tells ten thousand. One again:
 * npm run sim -- --suite stories --seed 17.
 */
const SEEDS = Number(process.env.WEFT_SIM_SEEDS ?? 100);
const FIRST_SEED = Number(process.env.WEFT_SIM_FIRST_SEED ?? 1);
const STEPS = 100;

for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
  test(`whatever happened, a repaired mesh is whole and no address was ever used twice (seed ${seed})`, async () => {
    await tellStory({ seed, hosts: 3 + (seed % 4), steps: STEPS, range: rangeOf(seed) });
  });
}

test('the stories notice a disk that forgets what it has acknowledged, and draw what happened', async () => {
  const found: StoryError[] = [];
  for (let seed = 1; seed <= 20 && found.length === 0; seed++) {
    const options = { seed, hosts: 4, steps: STEPS, faults: ['crash'] as const };
    const lying = { ...options, prepare: ({ hosts }) => hosts[0]?.disk.lie() } satisfies StoryOptions;
    await tellStory(lying).catch((error: unknown) => {
      if (error instanceof StoryError) found.push(error);
      else throw error;
    });
  }
  const [error] = found;
  assert.match(String(error?.message), /^seed \d+: .*(was promised|is used by|the ring of)/s);
  assert.match(String(error?.message), /knows +h0 +h1/);
  assert.match(String(error?.message), /h0 +[A-Zx·]+\n/);
});

test('the same seed tells the same story twice', async () => {
  const options = { seed: 5, hosts: 4, steps: 60 };
  const first: string[] = [];
  const second: string[] = [];
  await tellStory({ ...options, onProgress: ({ world }) => void first.push(world.recorder.notes.join()) });
  await tellStory({ ...options, onProgress: ({ world }) => void second.push(world.recorder.notes.join()) });
  assert.deepEqual(second, first);
});
