import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildRing, type RingView } from '../../src/core/ring.ts';
import { createRingBook } from '../../src/core/ring-book.ts';
import { checkRing } from '../../src/core/ring-check.ts';
import { changeText, type RingEntry } from '../../src/core/ring-entry.ts';
import {
  anyEntry,
  draw,
  GENESIS,
  gift,
  honestHistory,
  known,
  owners,
  RULES,
  slowOwners,
} from './support/ring-world.ts';

const build = (...entries: readonly RingEntry[]) => buildRing(RULES, known(...entries));
const reasons = (...entries: readonly RingEntry[]) => build(...entries).refused.map(({ reason }) => reason);
/** What is refused at each address, however it is cut into pieces. */
function refusals({ refused }: RingView): string[] {
  const all = refused.flatMap(({ entry, start, last, reason }) =>
    Array.from({ length: last - start + 1 }, (_, i) => `${start + i} ${changeText(entry)} ${reason}`),
  );
  return [...new Set(all)].sort();
}
/** Some honest history, some of everything else. */
const mixed = fc
  .tuple(honestHistory, fc.array(anyEntry, { maxLength: 8 }))
  .map(([honest, junk]) => [...honest, ...junk]);

test('the creator owns everything until it gives something away', () => {
  assert.deepEqual(draw(build(GENESIS).segments), ['0-15 0.0 A→A']);
  const view = build(GENESIS, gift(8, 15, 'A', 'B', 1), gift(10, 10, 'B', 'C', 2));
  assert.deepEqual(draw(view.segments), ['0-7 0.0 A→A', '8-9 0.1 A→B', '10-10 0.2 B→C', '11-15 0.1 A→B']);
  assert.deepEqual(view.refused, []);
});

test('nobody but the owner changes an entry', () => {
  const view = build(GENESIS, gift(0, 7, 'B', 'B', 1), gift(8, 15, 'C', 'D', 1));
  assert.deepEqual(draw(view.segments), ['0-15 0.0 A→A']);
  assert.deepEqual(
    view.refused.map(({ reason }) => reason),
    ['not-owner', 'not-owner'],
  );
});

test('nobody but the creator starts a ring', () => {
  assert.deepEqual(reasons(gift(0, 15, 'B', 'B', 0)), ['not-genesis']);
  assert.deepEqual(reasons(gift(0, 7, 'A', 'A', 0)), ['not-genesis']);
  assert.deepEqual(reasons(GENESIS, gift(12, 16, 'A', 'B', 1)), ['outside-range']);
});

test('an entry whose history is missing waits, and counts once it has come', () => {
  const [first, second] = [gift(0, 7, 'A', 'B', 1), gift(4, 7, 'B', 'C', 2)];
  const book = createRingBook(RULES);
  book.add(known(second));
  book.add(known(GENESIS));
  assert.deepEqual(draw(book.view().segments), ['0-15 0.0 A→A']);
  assert.deepEqual(
    book.view().refused.map(({ reason }) => reason),
    ['waiting'],
  );
  book.add(known(first));
  assert.deepEqual(draw(book.view().segments), ['0-3 0.1 A→B', '4-7 0.2 B→C', '8-15 0.0 A→A']);
  assert.deepEqual(book.view().refused, []);
});

test('a leap in versions wins nothing', () => {
  const view = build(
    GENESIS,
    gift(0, 7, 'A', 'B', 1),
    gift(0, 7, 'C', 'C', 4_000_000_000),
    gift(0, 7, 'B', 'C', 2, 1),
  );
  assert.deepEqual(draw(view.segments), ['0-7 0.1 A→B', '8-15 0.0 A→A']);
  assert.deepEqual(
    view.refused.map(({ reason }) => reason),
    ['waiting', 'waiting'],
  );
});

test('an address that its owner gave to two peers has no owner, and the rest is not touched', () => {
  const view = build(GENESIS, gift(0, 7, 'A', 'B', 1), gift(6, 9, 'A', 'C', 1), gift(5, 7, 'B', 'D', 2));
  assert.deepEqual(draw(view.segments), [
    '0-4 0.1 A→B',
    '5-5 0.2 B→D',
    '6-7 0.1 A→?',
    '8-9 0.1 A→C',
    '10-15 0.0 A→A',
  ]);
  assert.deepEqual(
    view.refused.map(({ start, last, reason }) => [start, last, reason]),
    [
      [6, 7, 'disputed'],
      [6, 7, 'disputed'],
    ],
  );
});

test('what came back to its owner can be given away again without losing the history', () => {
  const history = [GENESIS, gift(3, 3, 'A', 'B', 1), gift(3, 3, 'B', 'A', 2), gift(3, 3, 'A', 'C', 3)];
  assert.deepEqual(draw(build(...history).segments), ['0-2 0.0 A→A', '3-3 0.3 A→C', '4-15 0.0 A→A']);
});

test('a trusted entry bridges missing history but never contradicts what is known', () => {
  const mine = { entry: gift(4, 7, 'C', 'B', 3), trusted: true };
  assert.deepEqual(draw(buildRing(RULES, [mine]).segments), ['4-7 0.3 C→B']);
  const some = [...known(GENESIS, gift(0, 7, 'A', 'D', 1)), mine];
  assert.deepEqual(draw(buildRing(RULES, some).segments), ['0-3 0.1 A→D', '4-7 0.3 C→B', '8-15 0.0 A→A']);
  const all = [...some, ...known(gift(0, 7, 'D', 'A', 2))];
  assert.deepEqual(draw(buildRing(RULES, all).segments), ['0-7 0.2 D→A', '8-15 0.0 A→A']);
});

test('the ring is the same in whatever order, grouping and repetition its entries come', () => {
  const shuffled = mixed.chain((entries) =>
    fc.tuple(
      fc.constant(entries),
      fc.shuffledSubarray(entries, { minLength: entries.length }),
      fc.array(fc.nat(Math.max(0, entries.length - 1)), { maxLength: 6 }),
      fc.integer({ min: 1, max: 5 }),
    ),
  );
  fc.assert(
    fc.property(shuffled, ([entries, order, again, size]) => {
      const arrivals = [...order, ...again.flatMap((index) => order[index] ?? [])];
      const book = createRingBook(RULES);
      for (let i = 0; i < arrivals.length; i += size) book.add(known(...arrivals.slice(i, i + size)));
      const whole = build(...entries);
      assert.deepEqual(draw(book.view().segments), draw(whole.segments));
      assert.deepEqual(refusals(book.view()), refusals(whole));
    }),
    { numRuns: 3_000 },
  );
});

test('the ring says of each address what its own history says', () => {
  fc.assert(
    fc.property(mixed, (entries) => assert.deepEqual(owners(build(...entries)), slowOwners(entries))),
    { numRuns: 1_000 },
  );
});

test('honest histories never go back, never lose an address and never give one to two', () => {
  fc.assert(
    fc.property(honestHistory, (history) => {
      const book = createRingBook(RULES);
      for (const [index, entry] of history.entries()) {
        const previous = book.view().segments;
        book.add(known(entry));
        const check = { ...RULES, history: history.slice(0, index + 1), previous };
        assert.deepEqual(checkRing(book.view().segments, check), []);
        assert.deepEqual(book.view().refused, []);
      }
    }),
  );
});

test('no set of entries, however hostile, breaks the shape of the ring', () => {
  fc.assert(
    fc.property(mixed, (entries) => {
      const { segments } = build(...entries);
      assert.deepEqual(checkRing(segments, { ...RULES, history: entries }), []);
    }),
    { numRuns: 1_000 },
  );
});
