import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isUtf8, MESSAGE_LIMITS, scanMsgpack } from '../../src/core/wire/msgpack-scan.ts';
import { decode, encode } from '../../src/mesh/codec.ts';

const RUNS = { numRuns: 3_000 };

/** Values as the codec knows them, already in the form in which they come back. */
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.maxSafeInteger().map((number) => (Object.is(number, -0) ? 0 : number)),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => (number === 0 ? 0 : number)),
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => new Uint8Array(bytes)),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(
      fc.string({ unit: 'grapheme', maxLength: 20 }).filter((key) => key !== '__proto__'),
      tie('value'),
      { maxKeys: 20, noNullPrototype: true },
    ),
  ),
}));

/** The same value with the properties of every object in another order. */
function shuffled(input: unknown): unknown {
  if (Array.isArray(input)) return input.map(shuffled);
  if (typeof input !== 'object' || input === null || input instanceof Uint8Array) return input;
  const entries = Object.entries(input).map(([key, item]) => [key, shuffled(item)] as const);
  return Object.fromEntries(entries.reverse());
}

test('every value comes back equal, and equal values have equal bytes', () => {
  fc.assert(
    fc.property(value, (input) => {
      const bytes = encode(input);
      assert.equal(scanMsgpack(bytes), undefined);
      const result = decode(bytes);
      assert.deepEqual(result, { ok: true, value: input });
      assert.deepEqual(encode(result.ok && result.value), bytes);
      assert.deepEqual(encode(shuffled(input)), bytes);
    }),
    RUNS,
  );
});

/** Whatever the bytes, there is an answer; and what is accepted is a value that can be written again. */
function assertTotal(bytes: Uint8Array): void {
  const result = decode(bytes);
  if (!result.ok) assert.ok(result.problem.length > 0);
  else assert.deepEqual(decode(encode(result.value)), result);
}

test('random bytes never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => assertTotal(bytes)),
    { numRuns: 20_000 },
  );
});

test('bytes that begin like containers never throw', () => {
  const header = fc.constantFrom(
    0x81,
    0x82,
    0x91,
    0x9f,
    0xdc,
    0xdd,
    0xde,
    0xdf,
    0xc4,
    0xc6,
    0xd9,
    0xdb,
    0xa1,
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(header, fc.nat(255)), { maxLength: 60 }), (bytes) =>
      assertTotal(Uint8Array.from(bytes)),
    ),
    { numRuns: 20_000 },
  );
});

test('a message cut anywhere is refused', () => {
  fc.assert(
    fc.property(value, fc.nat(), (input, at) => {
      const bytes = encode(input);
      assert.equal(decode(bytes.subarray(0, at % bytes.length)).ok, false);
    }),
    RUNS,
  );
});

test('a message with bytes changed, added or taken out never throws', () => {
  const edit = fc.record({
    at: fc.nat(),
    byte: fc.nat(255),
    kind: fc.constantFrom('set', 'insert', 'delete'),
  });
  fc.assert(
    fc.property(value, fc.array(edit, { minLength: 1, maxLength: 4 }), (input, edits) => {
      const bytes = [...encode(input)];
      for (const { at, byte, kind } of edits) {
        const place = at % (bytes.length + 1);
        if (kind === 'insert') bytes.splice(place, 0, byte);
        else if (kind === 'delete') bytes.splice(place, 1);
        else bytes[place] = byte;
      }
      assertTotal(Uint8Array.from(bytes));
    }),
    RUNS,
  );
});

test('any limits hold: what passes is within them', () => {
  const limits = fc.record({
    depth: fc.nat(6),
    items: fc.nat(60),
    string: fc.nat(40),
    binary: fc.nat(40),
    key: fc.nat(40),
  });
  fc.assert(
    fc.property(value, limits, (input, chosen) => {
      const measured = measure(input);
      const within =
        measured.depth <= chosen.depth &&
        measured.items <= chosen.items &&
        measured.string <= chosen.string &&
        measured.binary <= chosen.binary &&
        measured.key <= chosen.key;
      assert.equal(decode(encode(input), { ...MESSAGE_LIMITS, ...chosen }).ok, within);
    }),
    RUNS,
  );
});

function measure(input: unknown) {
  const found = { depth: 0, items: 0, string: 0, binary: 0, key: 0 };
  const visit = (item: unknown, depth: number): void => {
    found.items++;
    if (typeof item === 'string') found.string = Math.max(found.string, Buffer.byteLength(item));
    if (item instanceof Uint8Array) found.binary = Math.max(found.binary, item.length);
    else if (typeof item === 'object' && item !== null) {
      found.depth = Math.max(found.depth, depth + 1);
      for (const [key, inner] of Object.entries(item)) {
        if (!Array.isArray(item)) {
          found.items++;
          found.key = Math.max(found.key, Buffer.byteLength(key));
        }
        visit(inner, depth + 1);
      }
    }
  };
  visit(input, 0);
  return found;
}

test('the check of UTF-8 agrees with the platform', () => {
  const strict = new TextDecoder('utf-8', { fatal: true });
  const lead = fc.constantFrom(
    0xc0,
    0xc1,
    0xc2,
    0xdf,
    0xe0,
    0xed,
    0xef,
    0xf0,
    0xf4,
    0xf5,
    0x80,
    0x9f,
    0xa0,
    0xbf,
    0x41,
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(lead, fc.nat(255)), { maxLength: 8 }), (list) => {
      const bytes = Uint8Array.from(list);
      let valid = true;
      try {
        strict.decode(bytes);
      } catch {
        valid = false;
      }
      assert.equal(isUtf8(bytes), valid);
    }),
    { numRuns: 30_000 },
  );
});
