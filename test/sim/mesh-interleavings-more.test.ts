import { test } from 'node:test';
import { rangeOf, tellStory } from './story.ts';

/** A file of its own, so that two processors share the stories. */
for (let seed = 101; seed <= 200; seed++) {
  test(`whatever happened, a repaired mesh is whole and no address was ever used twice (seed ${seed})`, async () => {
    await tellStory({ seed, hosts: 3 + (seed % 4), steps: 100, range: rangeOf(seed) });
  });
}
