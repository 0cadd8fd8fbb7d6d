import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measureChange, measureHeal } from './times.ts';

/** Virtual time, between four sites. Five thousand peers take minutes: npm run bench -- sim. */
const SEED = 'scale';

for (const [peers, limit] of [
  [100, 500],
  [1_000, 1_000],
] as const) {
  test(`99 of 100 of ${peers} peers see a change within ${limit} ms`, async () => {
    const { most, all, memory } = await measureChange({ peers, seed: SEED });
    assert.ok(most > 80 && most <= limit, `99 % after ${most} ms`);
    assert.ok(all <= 2 * limit, `all after ${all} ms`);
    assert.ok(memory <= 150, `${memory} MB`);
  });
}

test('300 peers whose sites were cut apart hold the same a second after the first link across', async () => {
  const { firstLink, all, newRecords } = await measureHeal({ peers: 300, seed: SEED });
  assert.ok(firstLink <= 2_000, `the first link came after ${firstLink} ms`);
  assert.ok(all > 50 && all <= 1_000, `all had everything after ${all} ms`);
  assert.equal(newRecords, 300);
});
