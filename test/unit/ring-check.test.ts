import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerId } from '../../src/core/ids.ts';
import { buildRing, type Segment } from '../../src/core/ring.ts';
import { checkHolders, checkRing, type RingCheck } from '../../src/core/ring-check.ts';
import { GENESIS, gift, known, RULES } from './support/ring-world.ts';

const toB = gift(8, 15, 'A', 'B', 1);
const good = buildRing(RULES, known(GENESIS, toB)).segments;
const [low, high] = good as [Segment, Segment];
const history = [GENESIS, toB];

function codes(segments: readonly Segment[], check: Partial<RingCheck> = {}): string[] {
  return checkRing(segments, { ...RULES, history, ...check }).map(({ code }) => code);
}

test('a good ring has no fault', () => {
  assert.deepEqual(codes(good, { previous: good }), []);
});

test('each way in which a ring can be wrong has its name', () => {
  assert.deepEqual(codes([low, { ...high, start: 7 }]), ['overlap', 'entry-mismatch']);
  assert.deepEqual(codes([high, low]).includes('unsorted'), true);
  assert.deepEqual(codes([low, { ...high, last: 16 }]), [
    'outside-range',
    'entry-mismatch',
    'donor-not-owner',
  ]);
  assert.deepEqual(codes([low, { ...high, start: 9 }]), ['gap']);
  assert.deepEqual(codes([low]), ['gap']);
  assert.deepEqual(codes([low], { history: [toB] }).includes('gap'), false);
  assert.deepEqual(codes([{ ...low, last: -1 }, high]), ['empty-segment', 'gap']);
  assert.deepEqual(codes([low, { ...high, version: 2 }]), ['entry-mismatch']);
});

test('a donor that did not own what it gave is named', () => {
  const stolen = gift(8, 15, 'C', 'C', 1);
  assert.deepEqual(codes([low, { ...high, donor: 'C' as PeerId, entry: stolen }]), ['donor-not-owner']);
  const skipped = gift(8, 15, 'B', 'A', 3);
  assert.deepEqual(codes([low, { ...high, version: 3, donor: 'B' as PeerId, entry: skipped }]), [
    'donor-not-owner',
  ]);
});

test('a donation without a witness is named', () => {
  const { witness: _, ...bare } = toB;
  assert.deepEqual(codes([low, { ...high, entry: bare }]), ['missing-witness']);
});

test('a ring that went back, or changed its mind, is named', () => {
  const before = buildRing(RULES, known(GENESIS)).segments;
  assert.deepEqual(codes(before, { history: [GENESIS], previous: good }), ['version-regress']);
  const other = gift(8, 15, 'A', 'C', 1);
  const changed = buildRing(RULES, known(GENESIS, other)).segments;
  assert.deepEqual(codes(changed, { history: [GENESIS, other], previous: good }), ['owner-changed']);
});

test('an address that two peers hold is named with both', () => {
  const [a, b, c] = ['A', 'B', 'C'] as PeerId[] as [PeerId, PeerId, PeerId];
  const apart = new Map([
    [a, [{ start: 0, last: 3 }]],
    [b, [{ start: 4, last: 7 }]],
  ]);
  assert.deepEqual(checkHolders(apart), []);
  const faults = checkHolders(new Map([...apart, [c, [{ start: 2, last: 2 }]]]));
  assert.deepEqual(faults, [{ code: 'held-twice', message: '0.0.0.2 may be used by A and C' }]);
});
