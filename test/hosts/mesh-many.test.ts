import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manyDaemons } from '../bench/fifty.ts';
import { transcript } from '../lab/echo.ts';

/** Fifty of them, a minute of cuts and idle figures: npm run bench -- daemons. */
test('twelve daemons form a mesh, and hold the same soon after ten seconds of random cuts', {
  timeout: 120_000,
}, async () => {
  const echo = transcript();
  try {
    const { formed, healed, cuts } = await manyDaemons({ hosts: 12, idleSeconds: 1, cutSeconds: 10, echo });
    assert.ok(formed < 30, `formed after ${formed} s`);
    assert.ok(cuts > 5, `${cuts} cuts`);
    assert.ok(healed < 10, `healed after ${healed} s`);
  } catch (error) {
    console.error(echo.text());
    throw error;
  }
});
