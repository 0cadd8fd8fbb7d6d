import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CALM_TIME, createFloods, FLOODED_FROM, FLOODED_TO, LONGEST_SINGLE } from '../../src/core/floods.ts';

/** Looks twice in CALM_TIME at one link; `rates` are packets a second before each look, of `size` bytes. Returns whether it was flooded at each. */
function told(rates: readonly number[], size = 64): readonly boolean[] {
  const floods = createFloods();
  const step = CALM_TIME / 2;
  let packets = 0;
  const look = (at: number) => floods.look(at * step, new Map([['a', { packets, bytes: packets * size }]]));
  look(0);
  return rates.map((rate, at) => {
    packets += (rate * step) / 1_000;
    look(at + 1);
    return floods.any;
  });
}

const from = FLOODED_FROM;
const to = FLOODED_TO;
const small = (packets: number) => ({ packets, bytes: packets * 64 });

describe('floods', () => {
  test('a link is flooded from a rate on, and no more after a time below a lower one', () => {
    assert.deepEqual(told([from - 2, from, to, 0, 0, 0]), [false, true, true, true, false, false]);
    assert.deepEqual(told([from, to - 2, to - 2, to - 2]), [true, true, false, false]);
  });

  test('a flood that pauses for less goes on', () => {
    assert.deepEqual(told([from, 0, to, 0, to, 0, 0]), [true, true, true, true, true, true, false]);
  });

  test('packets that something has joined before are no flood, and do not keep one going', () => {
    assert.deepEqual(told([from, from, from], LONGEST_SINGLE), [true, true, true]);
    assert.deepEqual(told([from, from, from], LONGEST_SINGLE + 1), [false, false, false]);
    const floods = createFloods();
    floods.look(0, new Map([['a', small(0)]]));
    floods.look(1_000, new Map([['a', small(from)]]));
    const stream = new Map([['a', { packets: 2 * from, bytes: from * 60_000 }]]);
    assert.deepEqual(floods.look(1_000 + CALM_TIME, stream), [{ link: 'a', flooded: false }]);
  });

  test('what came before the first look says nothing, nor does a name that another link has taken', () => {
    const floods = createFloods();
    const look = (now: number, packets: number) => floods.look(now, new Map([['a', small(packets)]]));
    assert.deepEqual(look(0, 1e9), []);
    assert.deepEqual(look(1_000, 1e9 + from), [{ link: 'a', flooded: true }]);
    assert.deepEqual(look(2_000, 5), [{ link: 'a', flooded: false }]);
    assert.deepEqual(look(3_000, 6), []);
  });

  test('each link is judged by its own packets, and one that has gone is forgotten', () => {
    const floods = createFloods();
    const both = (a: number, b: number) =>
      new Map([
        ['a', small(a)],
        ['b', small(b)],
      ]);
    floods.look(0, both(0, 0));
    assert.deepEqual(floods.look(1_000, both(from, 1)), [{ link: 'a', flooded: true }]);
    assert.deepEqual(floods.look(2_000, new Map([['b', small(2)]])), []);
    assert.equal(floods.any, false);
  });
});
