import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { concat } from '../../src/core/bytes.ts';
import {
  attribute,
  type Message,
  nested,
  numberAttribute,
  readAttributes,
  readMessages,
  readRefusal,
  textAttribute,
  writeMessage,
} from '../../src/host/netlink-wire.ts';
import { toAddress, toLink, toNeighbour, toRoute, toRule } from '../../src/host/tables.ts';
import { HostError } from '../../src/ports/host.ts';

const RUNS = { numRuns: 5_000 };
const NAMES = new Map([[4, 'eth0']]);
const READERS: readonly ((message: Message) => unknown)[] = [
  toLink,
  toAddress,
  (message) => toRoute(message, NAMES),
  toRule,
  toNeighbour,
  readRefusal,
];

/** Each reader gives a value or the one typed error. */
function assertTotal(bytes: Uint8Array): void {
  for (const read of READERS) {
    try {
      for (const message of readMessages(bytes)) read(message);
    } catch (error) {
      assert.ok(error instanceof HostError && error.code === 'command-failed', String(error));
    }
  }
}

const info = nested(18, [
  textAttribute(1, 'vxlan'),
  nested(2, [numberAttribute(1, 7), attribute(15, Uint8Array.of(18, 181))]),
]);
const LINK = [
  textAttribute(3, 'weft-vxlan'),
  numberAttribute(4, 1400),
  attribute(1, new Uint8Array(6)),
  info,
];
const PLACE = [
  attribute(1, Uint8Array.of(10, 32, 0, 5)),
  attribute(2, new Uint8Array(6)),
  numberAttribute(15, 173),
];
const ROUTE = [
  attribute(1, Uint8Array.of(10, 32, 0, 0)),
  nested(8, [numberAttribute(2, 1300)]),
  numberAttribute(4, 4),
];
const refusal = concat(
  new Uint8Array([237, 255, 255, 255]),
  new Uint8Array(16),
  textAttribute(1, 'no such link'),
);
const SEEDS = [
  writeMessage(16, 0, concat(new Uint8Array(16), ...LINK)),
  writeMessage(20, 0, concat(Uint8Array.of(2, 12, 0, 0, 4, 0, 0, 0), ...PLACE)),
  writeMessage(24, 0, concat(Uint8Array.of(2, 12, 0, 0, 254, 173, 0, 1, 0, 0, 0, 0), ...ROUTE)),
  writeMessage(28, 0, concat(Uint8Array.of(2, 0, 0, 0, 4, 0, 0, 0, 128, 0, 0, 1), ...PLACE)),
  writeMessage(2, 0x200, refusal),
];

test('random bytes are read or refused with a typed error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => assertTotal(bytes)),
    RUNS,
  );
});

test('answers with flipped, added and missing bytes are read or refused with a typed error', () => {
  const edit = fc.record({ at: fc.nat(120), byte: fc.integer({ min: 0, max: 255 }) });
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...SEEDS), { minLength: 1, maxLength: 3 }),
      fc.array(edit, { minLength: 1, maxLength: 8 }),
      fc.uint8Array({ maxLength: 40 }),
      fc.nat(300),
      (seeds, edits, more, length) => {
        const bytes = concat(...seeds, more).slice(0, length + 16);
        for (const { at, byte } of edits) if (at < bytes.length) bytes[at] = byte;
        assertTotal(bytes);
      },
    ),
    RUNS,
  );
});

test('attributes that are written are read back', () => {
  const part = fc.tuple(fc.integer({ min: 1, max: 0x3fff }), fc.uint8Array({ maxLength: 50 }));
  fc.assert(
    fc.property(fc.array(part, { maxLength: 10 }), (parts) => {
      const body = concat(...parts.map(([type, value]) => attribute(type, value)));
      const [message, ...others] = readMessages(writeMessage(1, 0, body));
      assert.equal(others.length, 0);
      assert.deepEqual([...readAttributes(message?.body ?? body)], [...new Map(parts)]);
    }),
    RUNS,
  );
});

test('a refusal is told in the words of the kernel', () => {
  const [message] = readMessages(SEEDS[4] as Uint8Array);
  assert.deepEqual(readRefusal(message as Message), { errno: 19, text: 'no such link' });
});
