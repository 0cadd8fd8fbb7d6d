import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerId } from '../../src/core/ids.ts';
import { buildRing, type RingSource } from '../../src/core/ring.ts';
import { BY_NAME, BY_ROOT, isLater } from '../../src/core/succession.ts';
import { collect, type Promised, planTakeovers, stands } from '../../src/core/takeover.ts';
import { draw, GENESIS, gift, known, RULES } from './support/ring-world.ts';

const [B, C, D] = ['B', 'C', 'D'] as [PeerId, PeerId, PeerId];
const before = known(GENESIS, gift(8, 15, 'A', 'D', 1));
const { segments } = buildRing(RULES, before);

/** What `by` writes when it takes D's addresses over, `depth` steps down the line. */
function takeover(by: PeerId, depth: number): readonly RingSource[] {
  const changes = planTakeovers(segments, by, (owner) => (owner === D ? depth : undefined));
  return changes.map((change) => ({
    entry: { ...change, donorSignature: new Uint8Array(64) },
    trusted: false,
    depths: [depth],
  }));
}

const after = (...sources: readonly RingSource[]) => draw(buildRing(RULES, [...before, ...sources]).segments);

test('a takeover lies as many epochs later as the taker is steps from the removed peer', () => {
  assert.deepEqual(after(...takeover(C, 1)), ['0-7 0.0 A→A', '8-15 1.0 D→C']);
  assert.deepEqual(after(...takeover(B, 2)), ['0-7 0.0 A→A', '8-15 2.0 D→B']);
  const [wrong] = takeover(B, 2) as [RingSource];
  assert.deepEqual(after({ ...wrong, depths: [1] }), ['0-7 0.0 A→A', '8-15 0.1 A→D'], 'any other is refused');
});

test('takeovers by two of one line are never two words on one version, in whatever order they come', () => {
  const both = [...takeover(C, 1), ...takeover(B, 2)];
  for (const sources of [both, [...both].reverse()]) {
    assert.deepEqual(after(...sources), ['0-7 0.0 A→A', '8-15 1.0 D→C'], 'the nearer one, unless it is void');
  }
});

test('of two successors the deeper acts later, and whom the root key names after all others', () => {
  const inOrder = [1, 2, 3, BY_NAME + 1, 2 * BY_NAME, BY_ROOT, BY_ROOT + 1, BY_NAME + BY_ROOT, 2 * BY_ROOT];
  for (const [at, later] of inOrder.entries()) {
    assert.equal(isLater(later, later), false);
    for (const earlier of inOrder.slice(0, at)) {
      assert.ok(isLater(later, earlier), `${later} after ${earlier}`);
      assert.equal(isLater(earlier, later), false);
    }
  }
});

test('a taker waits for promises to itself, and to hear of a later one that somebody has promised to', () => {
  const to = (depth: number): Promised => ({ depth, known: new Set(), issued: new Set() });
  const asked = (...depths: readonly number[]) =>
    collect({
      depth: 3,
      admitted: [B, C],
      promises: new Map(depths.map((depth, at) => [[B, C][at] as PeerId, to(depth)])),
      seen: new Set(),
      peers: new Set(),
    });
  assert.deepEqual(asked(3, 3), { missing: [], unheard: 0 });
  assert.deepEqual(asked(3, 2), { missing: [C], unheard: 0 });
  assert.deepEqual(asked(3), { missing: [C], unheard: 0 });
  assert.deepEqual(asked(3, 4), { missing: [], unheard: 1 });
});

test('who has promised to a later successor takes nothing new of the one before', () => {
  const [entry] = takeover(C, 2).map((source) => source.entry);
  assert.ok(entry);
  const closing = { depth: 2, standing: new Set<string>() };
  const promised = (depth: number, ...known: readonly string[]): Promised => ({
    depth,
    known: new Set(known),
    issued: new Set(),
  });
  assert.ok(stands(entry, 'tag', closing, promised(2), 2), 'what its own taker writes');
  assert.equal(stands(entry, 'tag', closing, promised(3), 2), false);
  assert.ok(stands(entry, 'tag', closing, promised(3, 'tag'), 2), 'but what it knew of');
  assert.equal(stands(entry, 'tag', { depth: 4, standing: new Set() }, promised(3, 'tag'), 2), false);
});
