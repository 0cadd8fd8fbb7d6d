import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSystemClock } from '../../src/host/clock.ts';
import type { Clock } from '../../src/ports/clock.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';

interface ClockWorld {
  readonly clock: Clock;
  until(condition: () => boolean): Promise<void>;
}

function clockSuite(name: string, createWorld: () => ClockWorld): void {
  const story = (title: string, run: (world: ClockWorld) => Promise<void>) =>
    test(`${name} clock: ${title}`, () => run(createWorld()));

  story(
    'a timer fires once, not before its time and not within the call that sets it',
    async ({ clock, until }) => {
      const start = clock.now();
      const fired: number[] = [];
      clock.setTimer(15, () => fired.push(clock.now() - start));
      clock.setTimer(0, () => fired.push(0));
      assert.equal(fired.length, 0);
      await until(() => fired.length === 2);
      assert.equal(fired[0], 0);
      // Timers of the machine count whole milliseconds.
      assert.ok((fired[1] ?? 0) >= 14);
      let later = false;
      clock.setTimer(20, () => {
        later = true;
      });
      await until(() => later);
      assert.equal(fired.length, 2);
    },
  );

  story('timers of one delay fire in the order in which they were set', async ({ clock, until }) => {
    const fired: number[] = [];
    for (let index = 0; index < 10; index++) clock.setTimer(5, () => fired.push(index));
    await until(() => fired.length === 10);
    assert.deepEqual(fired, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  story('a cancelled timer does not fire, and may be cancelled at any time', async ({ clock, until }) => {
    let wrong = false;
    let done = false;
    const cancelled = clock.setTimer(5, () => {
      wrong = true;
    });
    cancelled.cancel();
    cancelled.cancel();
    const last = clock.setTimer(15, () => {
      last.cancel();
      done = true;
    });
    await until(() => done);
    last.cancel();
    assert.equal(wrong, false);
  });

  story('a timer may set the next', async ({ clock, until }) => {
    let count = 0;
    const again = () => {
      if (++count < 5) clock.setTimer(1, again);
    };
    again();
    await until(() => count === 5);
  });

  story('the wall clock shows a date', async ({ clock }) => {
    assert.ok(clock.wall() > Date.UTC(2025));
    const before = clock.now();
    assert.ok(clock.now() >= before);
  });
}

clockSuite('virtual', () => {
  const clock = createVirtualClock();
  return { clock, until: (condition) => clock.runUntil(condition) };
});

clockSuite('system', () => ({
  clock: createSystemClock(),
  async until(condition) {
    const deadline = performance.now() + 5_000;
    while (!condition()) {
      assert.ok(performance.now() < deadline, 'condition not met in 5 s');
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  },
}));
