import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PeerId } from '../../src/core/ids.ts';
import {
  type Candidate,
  candidatesFor,
  createRelayPath,
  GOOD,
  IDLE_EVERY,
  MAX_BLOCKED,
  PATIENCE,
  REST,
  type RelayAction,
  readReach,
  relayName,
} from '../../src/core/relay.ts';
import { createMemoryCrypto } from '../../src/ports/memory/crypto.ts';

const [SELF, LAST, C, D] = ['a', 'b', 'c', 'd'] as unknown as [PeerId, PeerId, PeerId, PeerId];
const TICK = 1_000;
const DIRECT = 'direct';

/** A pair in virtual time: questions by the ways in `passes` are answered before the next tick. */
function world(...passes: (PeerId | typeof DIRECT)[]) {
  const path = createRelayPath();
  const state = {
    now: 0,
    passes: new Set(passes),
    sent: true,
    received: true,
    doubted: false,
    candidates: [C, D] as readonly PeerId[],
    asked: 0,
    used: [] as (PeerId | undefined)[],
    sought: [] as (number | undefined)[],
  };
  function take(actions: readonly RelayAction[]): void {
    for (const action of actions) {
      if (action.type === 'use') state.used.push(action.by);
      else if (action.type === 'seek') state.sought.push(action.turn);
      else {
        state.asked++;
        if (state.passes.has(action.by ?? DIRECT))
          take(path.step({ type: 'answer', number: action.number }, state.now + 5));
      }
    }
  }
  /** Goes on for so long, or until `done`; returns the time that it took. */
  function run(most: number, done: () => boolean = () => false): number {
    const began = state.now;
    for (; state.now - began < most && !done(); state.now += TICK) {
      const { sent, received, doubted, candidates } = state;
      take(path.step({ type: 'tick', sent, received, doubted, candidates }, state.now));
    }
    return state.now - began;
  }
  return { path, state, run, direct: () => path.status().direct, by: () => path.status().by };
}

test('a way that answers works, and an idle one is asked again just before NATs would forget it', () => {
  const { state, run, direct } = world(DIRECT);
  state.sent = false;
  run(IDLE_EVERY);
  assert.deepEqual([direct(), state.asked], ['works', 1]);
  run(10 * IDLE_EVERY);
  assert.deepEqual([direct(), state.asked], ['works', 11]);
  assert.deepEqual(state.used, []);
});

test('a way by which nothing comes back is blocked after some seconds, and the best candidate carries', () => {
  const { path, state, run, direct, by } = world(DIRECT, C);
  run(5_000);
  state.passes.delete(DIRECT);
  state.received = false;
  const took = run(20_000, () => direct() === 'blocked');
  assert.ok(took >= PATIENCE && took <= PATIENCE + 2 * TICK, `${took} ms`);
  assert.equal(by(), C);
  run(5_000);
  assert.deepEqual(path.status(), { direct: 'blocked', by: C, proven: true, roundTrip: 5 });
});

test('a peer that does not answer is sought at all its places before its path is blocked, then at one after the other', () => {
  const { state, run, direct } = world(DIRECT);
  run(5_000);
  assert.deepEqual(state.sought, []);
  state.passes.delete(DIRECT);
  state.received = false;
  assert.ok(run(20_000, () => state.sought.length > 0) <= 3 * TICK);
  assert.equal(direct(), 'works');
  run(20_000, () => direct() === 'blocked');
  const before = state.sought.length;
  run(10 * TICK);
  assert.ok(state.sought.slice(0, before).every((turn) => turn === undefined));
  assert.deepEqual(state.sought.slice(before), [0, 1, 2, 3]);
});

test('a peer that is heard from another place is asked there as if for the first time', () => {
  const { path, state, run, direct } = world(DIRECT);
  run(5_000);
  state.passes.delete(DIRECT);
  state.received = false;
  run(20_000, () => state.sought.length > 0);
  path.step({ type: 'moved' }, state.now);
  run(2 * TICK);
  state.passes.add(DIRECT);
  run(10 * TICK);
  assert.equal(direct(), 'works');
  assert.deepEqual(state.used, []);
});

test('where the peer has found so, too, it takes a second', () => {
  const { state, run, direct } = world(DIRECT, C);
  run(5_000);
  state.passes.delete(DIRECT);
  state.doubted = true;
  assert.ok(run(20_000, () => direct() === 'blocked') <= 3 * TICK);
});

test('a peer that only says so, and still answers, is sent to directly', () => {
  const { state, run, direct } = world(DIRECT, C);
  state.doubted = true;
  run(30_000);
  assert.equal(direct(), 'works');
});

test('single questions that are lost block nothing', () => {
  const { state, run, direct } = world(DIRECT);
  state.received = false;
  for (let n = 0; n < 20; n++) {
    state.passes.delete(DIRECT);
    run(2 * TICK);
    state.passes.add(DIRECT);
    run(TICK);
  }
  assert.equal(direct(), 'works');
});

test('a carrier that dies is replaced by the next, and rests', () => {
  const { state, run, by } = world(C, D);
  run(10_000, () => by() === C);
  run(10_000);
  state.passes.delete(C);
  const took = run(20_000, () => by() === D);
  assert.ok(took <= PATIENCE + 6_000, `${took} ms`);
  state.passes.add(C);
  run(REST * 2);
  assert.deepEqual(state.used, [C, D], 'one that works is kept');
});

test('where every carrier has failed the one that rests longest is tried again', () => {
  const { path, state, run, by } = world();
  run(60_000, () => by() === D);
  assert.ok(run(20_000, () => by() === C) <= PATIENCE + TICK, 'though it failed a moment ago');
  state.passes.add(C);
  run(2 * TICK);
  assert.equal(path.status().proven, true);
});

test('one that cannot carry any more is left at once, and without any nobody carries', () => {
  const { state, run, by } = world(C, D);
  run(10_000, () => by() === C);
  state.candidates = [D];
  run(TICK);
  assert.equal(by(), D);
  state.candidates = [];
  run(TICK);
  assert.equal(by(), undefined);
});

test('packets go directly again after some good answers, more of them after each recent fall', () => {
  const { state, run, direct } = world(C);
  run(20_000, () => direct() === 'blocked');
  const rounds = [];
  for (let n = 0; n < 4; n++) {
    state.passes.add(DIRECT);
    rounds.push(run(120_000, () => direct() === 'works'));
    state.passes.delete(DIRECT);
    state.received = false;
    run(20_000, () => direct() === 'blocked');
  }
  const [first = 0, second = 0] = rounds;
  assert.ok(first >= (GOOD - 1) * 2_000 && first <= (GOOD + 1) * 2_000, `${rounds}`);
  assert.ok(second >= 1.8 * first, `${rounds}`);
  assert.equal(state.used.filter((by) => by === undefined).length, 4);
});

test('where nobody carries, or nothing comes back by who does, the first good answer is enough', () => {
  const { state, run, direct, by } = world(C);
  const fall = () => {
    state.passes.delete(DIRECT);
    state.received = false;
    run(20_000, () => direct() === 'blocked');
  };
  for (let n = 0; n < 5; n++) {
    fall();
    state.passes.add(DIRECT);
    run(120_000, () => direct() === 'works');
  }
  fall();
  run(5_000);
  assert.equal(by(), C);
  state.passes = new Set([DIRECT]);
  assert.ok(run(60_000, () => direct() === 'works') <= PATIENCE + 5_000 + 2 * TICK);
  state.candidates = [];
  fall();
  assert.equal(by(), undefined);
  state.passes.add(DIRECT);
  assert.ok(run(60_000, () => direct() === 'works') <= 2_000 + TICK);
});

test('good answers count in a row only', () => {
  const { state, run, direct } = world(C);
  run(20_000, () => direct() === 'blocked');
  for (let n = 0; n < 20; n++) {
    state.passes.add(DIRECT);
    run(2_000);
    state.passes.delete(DIRECT);
    run(2_000);
  }
  assert.equal(direct(), 'blocked');
});

test('what is unanswered while the peer is away tells nothing', () => {
  const { path, state, run, direct } = world(DIRECT);
  run(3_000);
  state.passes.delete(DIRECT);
  state.received = false;
  run(2_000);
  path.step({ type: 'pause' }, state.now);
  state.now += 60_000;
  run(2_000);
  assert.equal(direct(), 'works');
});

const candidate = (peer: PeerId, change: Partial<Candidate> = {}): Candidate => ({
  peer,
  works: true,
  roundTrip: undefined,
  reach: { relay: true, blocked: [] },
  ...change,
});

test('who carries is reached by both ends, relays, and is the nearest, or by id', () => {
  const blocked = (peer: PeerId) => ({ relay: true, blocked: [{ peer, by: null }] });
  const choose = (
    all: readonly Candidate[],
    there = { relay: true, blocked: [] as { peer: PeerId; by: PeerId | null }[] },
  ) => candidatesFor(SELF, LAST, there, all);
  assert.deepEqual(choose([candidate(D), candidate(C), candidate(LAST), candidate(SELF)]), [C, D]);
  assert.deepEqual(choose([candidate(C, { roundTrip: 9 }), candidate(D, { roundTrip: 3 })]), [D, C]);
  assert.deepEqual(choose([candidate(C, { works: false }), candidate(D)]), [D]);
  assert.deepEqual(choose([candidate(C, { reach: undefined }), candidate(D)]), [D]);
  assert.deepEqual(choose([candidate(C, { reach: { relay: false, blocked: [] } }), candidate(D)]), [D]);
  assert.deepEqual(choose([candidate(C, { reach: blocked(LAST) }), candidate(D)]), [D]);
  assert.deepEqual(choose([candidate(C, { reach: blocked(SELF) }), candidate(D)]), [D]);
  assert.deepEqual(choose([candidate(C), candidate(D)], blocked(C)), [D]);
  const goesBy = { relay: true, blocked: [{ peer: SELF, by: D }] };
  assert.deepEqual(choose([candidate(C, { roundTrip: 1 }), candidate(D, { roundTrip: 50 })], goesBy), [D, C]);
});

test('a record of whom a peer reaches is read with limits', () => {
  const good = {
    relay: true,
    blocked: [
      { peer: C, by: D },
      { peer: D, by: null },
    ],
  };
  assert.deepEqual(readReach(good), good);
  assert.deepEqual(readReach({ ...good, more: 1 }), good);
  const many = (count: number) => ({
    relay: false,
    blocked: Array.from({ length: count }, () => good.blocked[0]),
  });
  assert.notEqual(readReach(many(MAX_BLOCKED)), undefined);
  assert.equal(readReach(many(MAX_BLOCKED + 1)), undefined);
  for (const bad of [
    null,
    7,
    'text',
    [],
    {},
    { relay: 1, blocked: [] },
    { relay: true, blocked: {} },
    { relay: true, blocked: [null] },
    { relay: true, blocked: [{ peer: C }] },
    { relay: true, blocked: [{ peer: 'x'.repeat(65), by: null }] },
    { relay: true, blocked: [{ peer: C, by: 'x'.repeat(65) }] },
  ])
    assert.equal(readReach(bad), undefined, JSON.stringify(bad));
  fc.assert(fc.property(fc.anything(), (value) => void readReach(value)));
});

test('names are 64 bits, the same everywhere and each another', () => {
  const crypto = createMemoryCrypto();
  const names = Array.from({ length: 1_000 }, (_, n) => relayName(crypto, `peer ${n}` as PeerId));
  assert.equal(new Set(names).size, names.length);
  assert.equal(names[0], relayName(createMemoryCrypto(), 'peer 0' as PeerId));
  assert.ok(names.every((name) => name > 0n && name < 1n << 64n));
});
