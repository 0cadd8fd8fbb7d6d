import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MeshId, PeerId } from '../../src/core/ids.ts';
import { keyOfPeerId } from '../../src/core/peer-id.ts';
import { type LinkMessage, MAX_DELTAS, packMessage, unpackMessage } from '../../src/core/wire/messages.ts';
import { decode, encode } from '../../src/mesh/codec.ts';
import { identity } from './support/replica-parts.ts';

const isPeer = (text: string) => keyOfPeerId(text) !== undefined;
const [alice, bob] = [identity(1).peer, identity(2).peer];

const HELLO: LinkMessage = {
  type: 'hello',
  protocol: 1,
  mesh: 'ab'.repeat(32) as MeshId,
  boot: '0123456789abcdef',
  nickname: 'host',
  release: '1.2.3',
  observed: '192.0.2.1:6783',
  links: 3,
  credentials: { chain: [1, 2] },
};
const UNICAST: LinkMessage = {
  type: 'unicast',
  to: alice,
  from: bob,
  hops: 16,
  role: 'request',
  id: 2 ** 40,
  kind: 'echo',
  body: Uint8Array.of(1, 2),
};
const MESSAGES: readonly LinkMessage[] = [
  HELLO,
  { type: 'ready' },
  { type: 'bye', reason: 'wrong-mesh', message: 'this peer is in another mesh' },
  { type: 'beat', received: 2 ** 45 },
  { type: 'deltas', deltas: [{ body: Uint8Array.of(1), signature: new Uint8Array(64) }] },
  { type: 'summary', authors: 1, deltas: 2, sum: 2 ** 47 },
  { type: 'vector', from: 0, to: 2 ** 48 - 1, entries: new Uint8Array(36) },
  { type: 'want', want: new Uint8Array(12) },
  { type: 'offer', entries: new Uint8Array(36) },
  UNICAST,
];

test('every message survives the wire', () => {
  for (const message of MESSAGES) {
    const decoded = decode(encode(packMessage(message)));
    assert.ok(decoded.ok);
    assert.deepEqual(unpackMessage(decoded.value, isPeer), { ok: true, message });
  }
});

/** The packed message with one field replaced. */
function spoilt(message: LinkMessage, field: number, value: unknown): unknown[] {
  const packed = packMessage(message);
  packed[field] = value;
  return packed;
}

test('a field that is not what it should be spoils its message, and only that', () => {
  const cases: readonly (readonly [LinkMessage, number, readonly unknown[]])[] = [
    [HELLO, 1, [-1, 1.5, '1', 70_000, null]],
    [HELLO, 2, ['AB'.repeat(32), 'ab', 5, undefined]],
    [HELLO, 3, ['0123456789abcdeg', '']],
    [HELLO, 4, ['x'.repeat(65), 'a\nb', 'a\u202eb', 'a\u0000', 7]],
    [HELLO, 6, ['x'.repeat(129)]],
    [HELLO, 7, [-1, Number.NaN]],
    [{ type: 'bye', reason: 'x', message: '' }, 1, ['', 'Wrong', 'a b', 'x'.repeat(33), 5]],
    [{ type: 'bye', reason: 'x', message: '' }, 2, ['x'.repeat(513), null]],
    [{ type: 'beat', received: 0 }, 1, [-1, 2 ** 60, 'x']],
    [{ type: 'deltas', deltas: [] }, 1, [new Uint8Array()]],
    [{ type: 'summary', authors: 0, deltas: 0, sum: 0 }, 3, [-1, undefined]],
    [{ type: 'vector', from: 0, to: 5, entries: new Uint8Array() }, 2, [-1, 2 ** 48]],
    [{ type: 'want', want: new Uint8Array() }, 1, [new Uint8Array(11), []]],
    [{ type: 'offer', entries: new Uint8Array() }, 1, [new Uint8Array(17), undefined]],
    [UNICAST, 1, ['x', `${alice}x`, alice.toLowerCase(), 5, null]],
    [UNICAST, 2, ['', bob.slice(1)]],
    [UNICAST, 3, [17, -1]],
    [UNICAST, 4, [5, -1, 'request']],
    [UNICAST, 6, ['x'.repeat(65)]],
    [UNICAST, 7, [new Uint8Array((64 << 10) + 1), 'body']],
  ];
  for (const [message, field, values] of cases) {
    for (const value of values) {
      const result = unpackMessage(spoilt(message, field, value), isPeer);
      assert.equal(result.ok, false, `${message.type}[${field}] = ${String(value)}`);
    }
  }
});

test('what no version knows yet is named, and fields added later are ignored', () => {
  assert.deepEqual(unpackMessage([77, 1], isPeer), { ok: false, problem: 'unknown type 77' });
  assert.deepEqual(unpackMessage([0], isPeer), { ok: false, problem: 'unknown type 0' });
  assert.deepEqual(unpackMessage({ type: 'hello' }, isPeer), { ok: false, problem: 'not a message' });
  assert.deepEqual(unpackMessage([...packMessage(HELLO), 'later'], isPeer), { ok: true, message: HELLO });
});

test('more deltas than one message may carry are refused as a whole', () => {
  const deltas = Array.from({ length: MAX_DELTAS + 1 }, () => [Uint8Array.of(1), Uint8Array.of(2)]).flat();
  assert.deepEqual(unpackMessage([5, ...deltas], isPeer), { ok: false, problem: 'malformed deltas' });
});

test('nothing that a neighbour sends makes the reader throw', () => {
  const fields = fc.array(
    fc.oneof(fc.anything({ withTypedArray: true }), fc.constantFrom<unknown>(alice, bob, 0, 1, 2 ** 48)),
    { maxLength: 9 },
  );
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10 }), fields, (type, rest) => {
      const result = unpackMessage([type, ...rest], isPeer);
      if (result.ok) assert.equal(packMessage(result.message)[0], type);
    }),
    { numRuns: 3_000 },
  );
  const wire = fc.constantFrom(...MESSAGES.map((message) => encode(packMessage(message))));
  fc.assert(
    fc.property(
      wire,
      fc.nat(400),
      fc.integer({ min: 0, max: 255 }),
      fc.nat(400),
      (bytes, at, byte, length) => {
        const damaged = bytes.slice(0, length);
        if (at < damaged.length) damaged[at] = byte;
        const decoded = decode(damaged);
        if (decoded.ok) unpackMessage(decoded.value, isPeer);
      },
    ),
    { numRuns: 3_000 },
  );
});

test('a peer id is the text of a key and nothing else', () => {
  assert.equal(isPeer(alice), true);
  const result = unpackMessage(spoilt(UNICAST, 1, 'constructor' as PeerId), isPeer);
  assert.equal(result.ok, false);
});
