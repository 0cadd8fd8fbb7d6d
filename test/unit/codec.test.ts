import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scanMsgpack } from '../../src/core/wire/msgpack-scan.ts';
import { decode, encode } from '../../src/mesh/codec.ts';

const bytes = (...parts: (number | string)[]) =>
  new Uint8Array(Buffer.concat(parts.map((part) => Buffer.from(typeof part === 'number' ? [part] : part))));

function problemOf(input: Uint8Array): string {
  const result = decode(input);
  assert.equal(result.ok, false, Buffer.from(input).toString('hex'));
  return result.ok ? '' : result.problem;
}

test('values come back as they were', () => {
  const values = [
    null,
    true,
    false,
    0,
    -1,
    127,
    128,
    2 ** 32 - 1,
    2 ** 32,
    Number.MAX_SAFE_INTEGER,
    -(2 ** 31) - 1,
    1.5,
    1e-300,
    '',
    'weft',
    'ż漢😀',
    'x'.repeat(40_000),
    [],
    {},
    { a: [{ b: null }], c: new Uint8Array(70_000).fill(3) },
    Array.from({ length: 70_000 }, (_, index) => index),
    Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`key${index}`, index])),
  ];
  for (const value of values) assert.deepEqual(decode(encode(value)), { ok: true, value });
});

test('equal values give equal bytes, however they were built', () => {
  const one = { b: 1, a: { y: undefined, x: -0 }, '10': 'ten', '9': 'nine', '\uffff': 1, '😀': 2 };
  const other = { '😀': 2, '9': 'nine', '\uffff': 1, '10': 'ten', a: { x: 0 }, b: 1, z: undefined };
  assert.deepEqual(encode(one), encode(other));
  assert.equal(decode(encode(one)).ok, true);
  assert.deepEqual(encode(Buffer.from([1, 2])), encode(new Uint8Array([1, 2])));
  assert.deepEqual(encode(Object.assign(Object.create(null), { a: 1 })), encode({ a: 1 }));
  assert.deepEqual(encode([undefined]), encode([null]));
  assert.deepEqual(encode('\ud800'), encode('\ufffd'));
});

test('an object in a list has the bytes that it has alone, whatever came before it', () => {
  const objects = [
    { b: 1, a: 2 },
    { b: 1, a: undefined },
    { a: 2, b: 1 },
    { b: { d: 1, c: 2 }, a: { e: 1 } },
    { b: 1, c: 2 },
    { b: 1 },
    {},
    { b: 1, a: 2 },
    { '\ud800': 1, a: 2 },
    { '\udfff': 1, a: 2 },
  ];
  const head = encode(Array.from(objects, () => null)).subarray(0, 1);
  assert.deepEqual(Buffer.from(encode(objects)), Buffer.concat([head, ...objects.map(encode)]));
  assert.deepEqual(
    encode(objects.map((item) => ({ item }))),
    encode(structuredClone(objects.map((item) => ({ item })))),
  );
});

test('decoded binary and encoded bytes own their memory', () => {
  const message = encode({ key: new Uint8Array(32) });
  assert.equal(message.byteLength, message.buffer.byteLength);
  const decoded = decode(message);
  assert.ok(decoded.ok);
  const { key } = decoded.value as { key: Uint8Array };
  message.fill(0xff);
  assert.deepEqual(key, new Uint8Array(32));
  assert.equal(Object.getPrototypeOf(key), Uint8Array.prototype);
});

test('what is no value is a mistake of the program and thrown at it', () => {
  const cycle: unknown[] = [];
  cycle.push(cycle);
  assert.throws(() => encode(cycle), RangeError);
  assert.throws(() => encode({ [`k${'y'.repeat(300)}`]: 1 }), RangeError);
  for (const value of [1n, Number.NaN, Infinity, () => 1, Symbol('s'), new Map(), new Date(0), [new Set()]]) {
    assert.throws(() => encode(value), TypeError);
  }
  assert.throws(() => encode(JSON.parse('{"__proto__": 1}')), TypeError);
});

test('input outside the subset is refused with the reason', () => {
  assert.match(problemOf(bytes()), /truncated value at byte 0/);
  assert.match(problemOf(bytes(0xc1)), /type 0xc1/);
  assert.match(problemOf(bytes(0xd4, 0, 0)), /type 0xd4/);
  assert.match(problemOf(bytes(0xc7, 8, 0x74)), /type 0xc7/);
  assert.match(problemOf(bytes(0xcf, 0, 0, 0, 0, 0, 0, 0, 1)), /type 0xcf/);
  assert.match(problemOf(bytes(0xca, 0, 0, 0, 0)), /type 0xca/);
  assert.match(problemOf(bytes(0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0)), /not finite/);
  assert.match(problemOf(bytes(0xcb, 0xff, 0xf0, 0, 0, 0, 0, 0, 0)), /not finite/);
  assert.match(problemOf(bytes(1, 2)), /1 bytes after the value/);
  assert.match(problemOf(bytes(0x81, 0x01, 0x01)), /key is not a string/);
  assert.match(problemOf(bytes(0x81, 0xa9, '__proto__', 0x80)), /__proto__/);
  assert.match(problemOf(bytes(0x82, 0xa1, 'a', 1, 0xa1, 'a', 2)), /out of order or repeated/);
  assert.match(problemOf(bytes(0x82, 0xa1, 'b', 1, 0xa1, 'a', 2)), /out of order or repeated/);
  assert.match(problemOf(bytes(0xa2, 0xc0, 0xaf)), /not UTF-8/);
  assert.match(problemOf(bytes(0xa3, 0xed, 0xa0, 0x80)), /not UTF-8/);
});

test('announced sizes are believed only as far as bytes and limits go', () => {
  assert.match(problemOf(bytes(0xdd, 0xff, 0xff, 0xff, 0xff)), /fewer bytes left/);
  assert.match(problemOf(bytes(0xdf, 0x7f, 0xff, 0xff, 0xff)), /fewer bytes left/);
  assert.match(problemOf(bytes(0xdb, 0x00, 0x00, 0xff, 0xff)), /truncated/);
  assert.match(problemOf(bytes(0xdb, 0xff, 0xff, 0xff, 0xff)), /limit 65536/);
  assert.match(problemOf(bytes(0xc6, 0xff, 0xff, 0xff, 0xff)), /limit 1048576/);
  assert.match(problemOf(new Uint8Array(100_000).fill(0x91)), /nested deeper than 16/);
  const many = new Uint8Array(1_000_005).fill(0xc0);
  many.set([0xdd, 0x00, 0x0f, 0x42, 0x40]);
  assert.match(problemOf(many), /more than 100000 items/);
  // Many small arrays rather than one long one.
  const nested = new Uint8Array(1_000_005).fill(0x90);
  nested.set([0xdd, 0x00, 0x01, 0x86, 0x9f]);
  assert.match(problemOf(nested.subarray(0, 5 + 0x1869f - 1)), /fewer bytes left/);
  assert.equal(scanMsgpack(nested.subarray(0, 5 + 0x1869f)), undefined);
});
