import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';
import { createSeededRandom } from '../../src/ports/memory/random.ts';

test('timers fire in order of time, then of creation, with their consequences in between', async () => {
  const clock = createVirtualClock();
  const log: string[] = [];
  const note = (name: string) => () => {
    log.push(`${name}@${clock.now()}`);
    void Promise.resolve()
      .then(() => {})
      .then(() => log.push(`after ${name}`));
    process.nextTick(() => log.push(`tick ${name}`));
  };
  clock.setTimer(20, note('c'));
  clock.setTimer(10, note('a'));
  clock.setTimer(10, note('b'));
  clock.setTimer(31, note('late'));
  await clock.advance(30);
  assert.deepEqual(
    log.filter((line) => line.includes('@')),
    ['a@10', 'b@10', 'c@20'],
  );
  assert.ok(log.indexOf('after a') < log.indexOf('b@10'));
  assert.ok(log.indexOf('tick b') < log.indexOf('c@20'));
  assert.equal(clock.now(), 30);
  assert.equal(clock.pending(), 1);
});

test('a long random agenda with cancellations fires exactly what is left, in order', async () => {
  const clock = createVirtualClock();
  const random = createSeededRandom(1);
  const expected: { at: number; id: number }[] = [];
  const fired: number[] = [];
  for (let id = 0; id < 2_000; id++) {
    const at = Math.floor(random.fraction() * 500);
    const timer = clock.setTimer(at, () => fired.push(id));
    if (random.fraction() < 0.3) expected.push({ at, id });
    else timer.cancel();
  }
  assert.equal(clock.pending(), expected.length);
  await clock.advance(500);
  expected.sort((a, b) => a.at - b.at || a.id - b.id);
  assert.deepEqual(
    fired,
    expected.map((entry) => entry.id),
  );
  assert.equal(clock.pending(), 0);
});

test('runUntil stops at the first instant at which the condition holds', async () => {
  const clock = createVirtualClock();
  let count = 0;
  const again = () => {
    count++;
    clock.setTimer(100, again);
  };
  again();
  await clock.runUntil(() => count === 4);
  assert.equal(clock.now(), 300);
  await assert.rejects(
    clock.runUntil(() => false, 1_000),
    /not met within 1000 ms/,
  );
  assert.equal(clock.now(), 1_300);
});

test('a stopped view fires nothing more while others go on', async () => {
  const clock = createVirtualClock();
  const [dying, living] = [clock.view(), clock.view()];
  const log: string[] = [];
  dying.setTimer(10, () => log.push('dying'));
  living.setTimer(20, () => log.push('living'));
  dying.stop();
  dying.setTimer(5, () => log.push('dying again'));
  await clock.advance(100);
  assert.deepEqual(log, ['living']);
});

test("each view has its own wall clock over everyone's time", () => {
  const clock = createVirtualClock();
  const view = clock.view();
  const decade = 10 * 365 * 86_400_000;
  view.setWallOffset(decade);
  assert.equal(view.wall() - clock.wall(), decade);
  assert.equal(view.now(), clock.now());
});

test('a timer that throws fails the one who moves time', async () => {
  const clock = createVirtualClock();
  clock.setTimer(1, () => {
    throw new Error('broken part');
  });
  await assert.rejects(clock.advance(5), /broken part/);
  await clock.advance(5);
});

test('seeded draws repeat, forks are independent of their siblings', () => {
  const draws = (seed: string) => {
    const random = createSeededRandom(seed);
    return [random.bytes(7), random.fraction(), random.fork('x').fraction(), random.bytes(3)];
  };
  assert.deepEqual(draws('a'), draws('a'));
  assert.notDeepEqual(draws('a'), draws('b'));
  const random = createSeededRandom('mean');
  let sum = 0;
  for (let round = 0; round < 10_000; round++) {
    const value = random.fraction();
    assert.ok(value >= 0 && value < 1);
    sum += value;
  }
  assert.ok(Math.abs(sum / 10_000 - 0.5) < 0.02);
});
