import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CALM_TIME, createFloods, FLOODED_FROM, FLOODED_TO } from '../../src/core/floods.ts';

const SECOND = 1_000;

/** Looks once a second at one link; `rates` are packets in the second before each look. Returns whether it was flooded at each. */
function told(...rates: readonly number[]): readonly boolean[] {
  const floods = createFloods();
  let packets = 0;
  floods.look(0, new Map([['a', packets]]));
  return rates.map((rate, second) => {
    packets += rate;
    floods.look((second + 1) * SECOND, new Map([['a', packets]]));
    return floods.any;
  });
}

describe('floods', () => {
  test('a link is flooded from a rate on, and no more after a time below a lower one', () => {
    const least = FLOODED_FROM;
    const calm = CALM_TIME / SECOND;
    assert.equal(calm, 2);
    assert.deepEqual(told(least - 1, least, FLOODED_TO, 0, 0, 0), [false, true, true, true, false, false]);
  });

  test('a flood that pauses for less goes on', () => {
    assert.deepEqual(told(FLOODED_FROM, 0, FLOODED_TO, 0, FLOODED_TO, 0, 0), [
      true,
      true,
      true,
      true,
      true,
      true,
      false,
    ]);
  });

  test('what came before the first look says nothing, nor does a name that another link has taken', () => {
    const floods = createFloods();
    const look = (now: number, packets: number) => floods.look(now, new Map([['a', packets]]));
    assert.deepEqual(look(0, 1e9), []);
    assert.deepEqual(look(SECOND, 1e9 + FLOODED_FROM), [{ link: 'a', flooded: true }]);
    assert.deepEqual(look(2 * SECOND, 5), [{ link: 'a', flooded: false }]);
    assert.deepEqual(look(3 * SECOND, 6), []);
  });

  test('each link is judged by its own packets, and one that has gone is forgotten', () => {
    const floods = createFloods();
    floods.look(
      0,
      new Map([
        ['a', 0],
        ['b', 0],
      ]),
    );
    const both = new Map([
      ['a', FLOODED_FROM],
      ['b', 1],
    ]);
    assert.deepEqual(floods.look(SECOND, both), [{ link: 'a', flooded: true }]);
    assert.deepEqual(floods.look(2 * SECOND, new Map([['b', 2]])), []);
    assert.equal(floods.any, false);
  });
});
