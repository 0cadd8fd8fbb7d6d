import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createPathProbe,
  LEAST_MTU,
  type PathProbe,
  type PathProbeOptions,
} from '../../src/core/path-probe.ts';

const ROUND_TRIP = 2;

/** A path in virtual time: probes up to `passes` bytes come back. */
function world(options: PathProbeOptions, passes: number) {
  const probe: PathProbe = createPathProbe(options);
  const state = { now: 0, passes, sent: 0 };
  const flying: { number: number; at: number }[] = [];
  const take = (actions: ReturnType<PathProbe['step']>) => {
    for (const { number, size } of actions) {
      state.sent += 1;
      if (size <= state.passes) flying.push({ number, at: state.now + ROUND_TRIP });
    }
  };
  /** Goes on until `done`, for at most `most` ms; resolves to the time that it took. */
  function run(most: number, done: () => boolean = () => false): number {
    const began = state.now;
    while (state.now - began < most && !done()) {
      const next = Math.min(probe.nextAt(), ...flying.map(({ at }) => at));
      state.now = Math.min(Math.max(next, state.now), began + most);
      const [arrived] = flying.filter(({ at }) => at <= state.now);
      if (arrived !== undefined) {
        flying.splice(flying.indexOf(arrived), 1);
        take(probe.step({ type: 'answer', number: arrived.number }, state.now));
      } else take(probe.step({ type: 'timer' }, state.now));
    }
    return state.now - began;
  }
  return { probe, state, run, up: () => probe.status().up };
}

test('a path that works is up after three good probes', () => {
  const { run, up, state, probe } = world({ full: 1450 }, 1500);
  assert.ok(run(10_000, up) <= 2_000 + ROUND_TRIP);
  assert.equal(state.sent, 3);
  assert.deepEqual(probe.status(), {
    up: true,
    mtu: 1450,
    roundTrip: ROUND_TRIP,
    loss: 0,
    reason: undefined,
  });
});

test('a path in use that breaks is down within 2.5 s, whenever that happens between two probes', () => {
  for (let offset = 0; offset < 1_000; offset += 50) {
    const { run, up, state, probe } = world({ full: 1450 }, 1500);
    run(20_000 + offset);
    assert.equal(up(), true);
    state.passes = 0;
    assert.ok(run(10_000, () => !up()) <= 2_500);
    assert.equal(probe.status().reason, 'no probe comes back');
  }
});

test('one lost probe takes nothing down', () => {
  const { run, up, state } = world({ full: 1450 }, 1500);
  run(5_000, up);
  state.passes = 0;
  run(1_600);
  state.passes = 1500;
  run(5_000);
  assert.equal(up(), true);
});

test('packets above a size vanish: the path falls, is measured to the byte and comes back with what passes', () => {
  const { run, up, state, probe } = world({ full: 1450 }, 1500);
  run(5_000, up);
  state.passes = 1333;
  run(3_000, () => !up());
  assert.ok(run(12_000, up) < 10_000);
  assert.equal(probe.status().mtu, 1333);
  state.passes = 1500;
  run(20_000, () => probe.status().mtu === 1450);
  assert.equal(probe.status().mtu, 1450);
  assert.equal(up(), true);
});

test('a path that carries less than the least MTU stays down and says what is lost', () => {
  const { run, up, probe } = world({ full: 1450 }, LEAST_MTU - 30);
  run(9_000);
  assert.equal(up(), false);
  assert.equal(probe.status().reason, `packets of more than ${LEAST_MTU - 30} bytes are lost`);
  run(60_000);
  assert.equal(up(), false);
});

test('a path that flaps has to be good for longer each time, and for three probes after a quiet time', () => {
  const { run, up, state } = world({ full: 1450 }, 1500);
  const times: number[] = [];
  for (let fall = 0; fall < 4; fall++) {
    state.passes = 0;
    run(4_000);
    state.passes = 1500;
    times.push(Math.round(run(60_000, up) / 1_000));
  }
  const [first = 0, second = 0, third = 0, fourth = 0] = times;
  assert.ok(first <= 3 && second <= 3, `${times}`);
  assert.ok(third > second && fourth > third, `${times}`);
  run(200_000);
  state.passes = 0;
  run(12_000, () => !up());
  state.passes = 1500;
  assert.ok(run(60_000, up) <= 3_100);
});

test('a steady path that nobody uses is probed every ten seconds, and at once when it is used', () => {
  const { run, up, state, probe } = world({ full: 1450 }, 1500);
  run(5_000, up);
  probe.step({ type: 'use', inUse: false }, state.now);
  run(15_000);
  const before = state.sent;
  run(60_000);
  assert.ok(state.sent - before <= 7, `${state.sent - before} probes in a minute`);
  run(1_000);
  const quiet = state.sent;
  probe.step({ type: 'use', inUse: true }, state.now);
  run(10);
  assert.equal(state.sent, quiet + 1);
});

test('a path that an earlier life used stays up with its MTU until probes say otherwise', () => {
  const { run, up, state, probe } = world({ full: 1450, adopted: 1350 }, 1400);
  assert.equal(up(), true);
  run(30_000);
  assert.equal(up(), true);
  assert.equal(probe.status().mtu, 1350);
  state.passes = 0;
  run(3_000, () => !up());
  assert.equal(up(), false);
});
