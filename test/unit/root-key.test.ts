import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeRootKey, encodeRootKey } from '../../src/core/root-key.ts';
import { redact } from '../../src/doors/errors.ts';
import { createMemoryCrypto } from '../../src/ports/memory/crypto.ts';
import { createSeededRandom } from '../../src/ports/memory/random.ts';

const crypto = createMemoryCrypto();
const seed = createSeededRandom('root').bytes(32);

test('a root key is read as it was written, and never with a slip in it', () => {
  const text = encodeRootKey(seed, crypto);
  assert.match(text, /^wfr1_[\w-]{48}$/);
  assert.deepEqual(decodeRootKey(text, crypto), seed);
  for (let at = 0; at < text.length; at += 1) {
    const other = text[at] === 'x' ? 'y' : 'x';
    assert.equal(decodeRootKey(text.slice(0, at) + other + text.slice(at + 1), crypto), undefined, `${at}`);
    assert.equal(decodeRootKey(text.slice(0, at), crypto), undefined);
  }
});

test('a root key is struck out of what leaves', () => {
  assert.equal(redact(`it is ${encodeRootKey(seed, crypto)}.`), 'it is wfr1_….');
});
