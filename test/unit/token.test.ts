import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromBase64url, toBase64url } from '../../src/core/bytes.ts';
import type { MeshId } from '../../src/core/ids.ts';
import { decodeToken, encodeToken, isTokenAddress, type Token, TokenError } from '../../src/core/token.ts';
import { nodeCrypto as crypto } from '../../src/host/crypto.ts';

const token: Token = {
  mesh: 'ab'.repeat(32) as MeshId,
  id: '0123456789abcdef'.repeat(2),
  secret: Uint8Array.from({ length: 32 }, (_, at) => at),
  expires: 1_767_225_600_000,
  uses: 3,
  addresses: ['192.0.2.7:6783', '[2001:db8::7]:6783', 'host.example:1'],
};
const text = encodeToken(token, crypto);

function problemOf(pasted: string): string {
  try {
    decodeToken(pasted, crypto);
    return 'none';
  } catch (error) {
    assert.ok(error instanceof TokenError, String(error));
    assert.ok(
      !error.message.includes(pasted.slice(4, 24)) || pasted.length < 8,
      'the message repeats the token',
    );
    return error.problem;
  }
}

test('a token says what it was made of', () => {
  assert.match(text, /^wf1_[A-Za-z0-9_-]+$/);
  assert.deepEqual(decodeToken(text, crypto), token);
  assert.deepEqual(decodeToken(`  ${text}\n`, crypto), token);
});

test('a paste that was cut off at any character is called truncated', () => {
  for (let length = 4; length < text.length; length++) {
    assert.equal(problemOf(text.slice(0, length)), 'truncated', `${length} characters`);
  }
});

test('any single wrong character is noticed', () => {
  const found = new Set<string>();
  for (let at = 4; at < text.length; at++) {
    const other = text[at] === 'A' ? 'B' : 'A';
    found.add(problemOf(text.slice(0, at) + other + text.slice(at + 1)));
  }
  // The first characters hold the length.
  assert.deepEqual([...found].sort(), ['checksum', 'too-long', 'truncated']);
});

test('two swapped characters are noticed', () => {
  for (let at = 7; at + 1 < text.length; at++) {
    const [a, b] = [text[at] as string, text[at + 1] as string];
    if (a !== b) assert.equal(problemOf(text.slice(0, at) + b + a + text.slice(at + 2)), 'checksum');
  }
});

test('what is wrong with a paste is named', () => {
  assert.equal(problemOf(''), 'not-a-token');
  assert.equal(problemOf('K10abc::server:def'), 'not-a-token');
  assert.equal(problemOf(`weft join ${text}`), 'not-a-token');
  assert.equal(problemOf(text.replace('wf1_', 'wf2_')), 'other-version');
  assert.equal(problemOf(`${text.slice(0, 20)} ${text.slice(20)}`), 'bad-character');
  assert.equal(problemOf(`${text.slice(0, 20)}é${text.slice(20)}`), 'bad-character');
  assert.equal(problemOf(`${text}${text.slice(4)}`), 'too-long');
  assert.equal(problemOf(`wf1_${'A'.repeat(100_000)}`), 'too-long');
  assert.equal(problemOf('wf1_AAAA'), 'too-long');
  assert.equal(problemOf('wf1_AAA'), 'truncated');
});

test('a token with the right checksum and odd content is called malformed', () => {
  const remake = (change: (bytes: Uint8Array) => void) => {
    const bytes = (fromBase64url(text.slice(4)) as Uint8Array).slice(0, -4);
    change(bytes);
    return `wf1_${toBase64url(Uint8Array.of(...bytes, ...crypto.hash(bytes).subarray(0, 4)))}`;
  };
  assert.equal(problemOf(remake(() => {})), 'none');
  assert.equal(problemOf(remake((bytes) => bytes.fill(0, 90, 94))), 'malformed', 'no uses');
  assert.equal(problemOf(remake((bytes) => bytes.fill(255, 82, 90))), 'malformed', 'expiry beyond 2^53');
  for (const count of [0, 2, 4, 17, 255]) {
    assert.equal(problemOf(remake((bytes) => bytes.fill(count, 94, 95))), 'malformed', `${count} addresses`);
  }
  for (const length of [0, 13, 15, 255]) {
    assert.equal(
      problemOf(remake((bytes) => bytes.fill(length, 95, 96))),
      'malformed',
      `${length} characters`,
    );
  }
  assert.equal(problemOf(remake((bytes) => bytes.fill(0x20, 96, 97))), 'malformed', 'a space in an address');
});

test('addresses are HOST:PORT with a real port', () => {
  for (const good of ['10.0.0.1:1', 'a:65535', '[::1]:6783', 'my_host.example.:80'])
    assert.ok(isTokenAddress(good), good);
  for (const bad of [
    '',
    'a',
    'a:0',
    'a:65536',
    'a:01',
    '::1:80',
    '[::1]',
    'a b:1',
    'a:1\n',
    '[x]:1',
    'a/b:1',
    `${'a'.repeat(241)}:1`,
  ]) {
    assert.ok(!isTokenAddress(bad), bad);
  }
});

test('random text never gets past the decoder as anything but a TokenError', () => {
  fc.assert(fc.property(fc.string({ maxLength: 200 }), (random) => problemOf(random) !== 'none'));
  fc.assert(
    fc.property(fc.base64String({ maxLength: 400 }), (random) => problemOf(`wf1_${random}`) !== 'none'),
  );
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 99, maxLength: 600 }), (bytes) => {
      const length = bytes.length - 2;
      bytes.set([length >> 8, length & 255]);
      const body = bytes.subarray(0, -4);
      const whole = Uint8Array.of(...body, ...crypto.hash(body).subarray(0, 4));
      return ['malformed', 'none'].includes(problemOf(`wf1_${toBase64url(whole)}`));
    }),
  );
});

test('base64url has one text for each run of bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const encoded = toBase64url(bytes);
      assert.equal(encoded, Buffer.from(bytes).toString('base64url'));
      assert.deepEqual(fromBase64url(encoded), bytes);
    }),
  );
  for (const bad of ['A', 'AB', 'AAB', 'AA==', 'A+', 'A A']) assert.equal(fromBase64url(bad), undefined, bad);
});
