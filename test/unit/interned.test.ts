import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createInterned, NO_NUMBERS, withNumber } from '../../src/core/interned.ts';

test('a thing keeps its number until its last holder releases it, and the number is used again', () => {
  const interned = createInterned<object>();
  const [a, b, c] = [{}, {}, {}];
  assert.deepEqual([interned.hold(a), interned.hold(b), interned.hold(a)], [1, 2, 1]);
  interned.release(1);
  assert.equal(interned.at(1), a);
  interned.release(1);
  assert.equal(interned.at(1), undefined);
  assert.equal(interned.hold(c), 1);
  assert.deepEqual([interned.at(0), interned.at(1), interned.at(2)], [undefined, c, b]);
});

test('the number that says nothing is nobody’s, however often it is released', () => {
  const interned = createInterned<object>();
  interned.release(0);
  interned.release(7);
  assert.equal(interned.hold({}), 1);
});

test('a list of numbers holds what was put into it, wide and narrow, in any order', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(300), fc.oneof(fc.nat(0xffff), fc.nat(0xffff_ffff)))), (puts) => {
      const expected = new Map(puts);
      let packed = NO_NUMBERS;
      for (const [index, number] of puts) packed = withNumber(packed, index, number);
      for (let index = 0; index <= 320; index++)
        assert.equal(packed[index] ?? 0, expected.get(index) ?? 0, `at ${index}`);
      const isWide = puts.some(([, number]) => number > 0xffff);
      assert.equal(packed.BYTES_PER_ELEMENT, isWide ? 4 : 2);
    }),
  );
});
