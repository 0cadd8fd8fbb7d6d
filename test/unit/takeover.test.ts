import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerId } from '../../src/core/ids.ts';
import { buildRing, type RingSource } from '../../src/core/ring.ts';
import { planTakeovers } from '../../src/core/takeover.ts';
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
    depth,
  }));
}

const after = (...sources: readonly RingSource[]) => draw(buildRing(RULES, [...before, ...sources]).segments);

test('a takeover lies as many epochs later as the taker is steps from the removed peer', () => {
  assert.deepEqual(after(...takeover(C, 1)), ['0-7 0.0 A→A', '8-15 1.0 D→C']);
  assert.deepEqual(after(...takeover(B, 2)), ['0-7 0.0 A→A', '8-15 2.0 D→B']);
  const [wrong] = takeover(B, 2) as [RingSource];
  assert.deepEqual(after({ ...wrong, depth: 1 }), ['0-7 0.0 A→A', '8-15 0.1 A→D'], 'any other is refused');
});

test('takeovers by two of one line are never two words on one version, in whatever order they come', () => {
  const both = [...takeover(C, 1), ...takeover(B, 2)];
  for (const sources of [both, [...both].reverse()]) {
    assert.deepEqual(after(...sources), ['0-7 0.0 A→A', '8-15 1.0 D→C'], 'the nearer one, unless it is void');
  }
});
