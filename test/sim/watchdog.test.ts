import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';

test('a simulation that turns in circles is stopped, and shows where it is and what it knows', () => {
  const ended = spawnSync(process.execPath, [`${import.meta.dirname}/fixtures/circle.ts`], {
    encoding: 'utf8',
    timeout: 60_000,
    killSignal: 'SIGTERM',
  });
  assert.equal(ended.signal, 'SIGKILL');
  assert.match(ended.stderr, /no progress beyond 1/);
  assert.match(ended.stderr, /turnInCircles/);
  assert.match(ended.stderr, /a drawing of the mesh/);
});

test('timers that are set for now without end are an error of the virtual clock, not a hang', async () => {
  const clock = createVirtualClock();
  let fired = 0;
  const again = () => {
    fired++;
    clock.setTimer(0, again);
  };
  clock.setTimer(5, again);
  await assert.rejects(clock.advance(10), /time stands still at 5 ms/);
  assert.ok(fired > 1_000);
});
