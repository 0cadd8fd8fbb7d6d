import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PeerId } from '../../src/core/ids.ts';
import { decodeProbe, encodeProbe, type Probe, probeKey } from '../../src/core/wire/probe.ts';
import { createMemoryCrypto } from '../../src/ports/memory/crypto.ts';

const crypto = createMemoryCrypto();
const [one, two] = ['one', 'two'] as PeerId[] as [PeerId, PeerId];
const key = probeKey(crypto, new Uint8Array(32).fill(1));
const other = probeKey(crypto, new Uint8Array(32).fill(2));
const there = { from: one, to: two };
const probe: Probe = { kind: 'ask', number: 0xffff_ffff, life: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) };

test('a probe has the size that it is to test, and is read as it was written', () => {
  for (const size of [32, 200, 1402]) {
    const bytes = encodeProbe(crypto, key, there, probe, size);
    assert.equal(bytes.length, size);
    assert.deepEqual(decodeProbe(crypto, [other, key], there, bytes), probe);
  }
});

test('a probe counts between its two peers, in its direction, with a key of the mesh, whole and unchanged', () => {
  const bytes = encodeProbe(crypto, key, there, probe, 64);
  assert.equal(decodeProbe(crypto, [key], { from: two, to: one }, bytes), undefined);
  assert.equal(decodeProbe(crypto, [other], there, bytes), undefined);
  assert.equal(decodeProbe(crypto, [], there, bytes), undefined);
  assert.equal(decodeProbe(crypto, [key], there, bytes.subarray(0, 63)), undefined);
  for (let at = 0; at < 32; at++) {
    const changed = bytes.slice();
    changed[at] = (changed[at] as number) ^ 1;
    assert.equal(decodeProbe(crypto, [key], there, changed), undefined, `byte ${at}`);
  }
});

test('any bytes are a probe or none, and nothing is thrown', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      assert.equal(decodeProbe(crypto, [key], there, bytes), undefined);
    }),
  );
});
