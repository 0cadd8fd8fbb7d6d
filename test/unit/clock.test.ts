import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ClockSources, createSystemClock } from '../../src/host/clock.ts';

/** Sources that a test moves: the machine runs, sleeps, or has its wall clock set. */
function createMachine() {
  const state = { monotonic: 5_000, boottime: 90_000 as number | undefined, wall: 1_000_000, looks: 0 };
  const sources: ClockSources = {
    monotonic: () => state.monotonic,
    boottime: () => {
      state.looks++;
      return state.boottime;
    },
    wall: () => state.wall,
  };
  const pass = (awake: number, asleep: number) => {
    state.monotonic += awake;
    state.wall += awake + asleep;
    if (state.boottime !== undefined) state.boottime += awake + asleep;
  };
  return { state, sources, pass };
}

test('time spent asleep counts', () => {
  const machine = createMachine();
  const clock = createSystemClock(machine.sources);
  const before = clock.now();
  machine.pass(1_000, 0);
  assert.equal(clock.now() - before, 1_000);
  machine.pass(10, 3_600_000);
  assert.equal(clock.now() - before, 3_601_010);
  machine.pass(5, 60_000);
  assert.equal(clock.now() - before, 3_661_015);
});

test('setting the wall clock moves nothing, in either direction', () => {
  const machine = createMachine();
  const clock = createSystemClock(machine.sources);
  const before = clock.now();
  for (const step of [1e10, -3e11, 500]) {
    machine.state.wall += step;
    assert.equal(clock.now(), before);
  }
});

test('the slow clock is looked at after a jump only', () => {
  const machine = createMachine();
  const clock = createSystemClock(machine.sources);
  for (let round = 0; round < 1_000; round++) {
    machine.pass(100, 0);
    clock.now();
  }
  assert.equal(machine.state.looks, 1);
});

test('without /proc the clock still runs', () => {
  const machine = createMachine();
  machine.state.boottime = undefined;
  const clock = createSystemClock(machine.sources);
  const before = clock.now();
  machine.pass(700, 10_000);
  assert.equal(clock.now() - before, 700);
});

test("the machine's clock goes forward and timers fire no earlier than asked", async () => {
  const clock = createSystemClock();
  const start = clock.now();
  let early = false;
  clock.setTimer(20_000_000_000, () => {
    early = true;
  });
  clock
    .setTimer(1, () => {
      early = true;
    })
    .cancel();
  await new Promise<void>((resolve) => {
    // A timer of the port keeps no process alive, so the test holds on by itself.
    const hold = setInterval(() => {}, 1_000);
    clock.setTimer(30, () => {
      clearInterval(hold);
      resolve();
    });
  });
  assert.ok(clock.now() - start >= 29);
  assert.equal(early, false);
});
