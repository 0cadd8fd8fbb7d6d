import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode } from 'dns-packet';
import fc from 'fast-check';
import { answers, RCODE, readQuery, writeAnswer } from '../../src/doors/dns/message.ts';
import type { Over } from '../../src/ports/name-sockets.ts';
import { query } from '../unit/support/dns-world.ts';

const RUNS = { numRuns: 5_000 };
const OVER: readonly Over[] = ['udp', 'tcp'];
const ROOM = 1_232;

/** Whatever the bytes, there is an answer or silence; what is answered is a message that repeats the id and fits. */
function assertTotal(bytes: Uint8Array): void {
  for (const over of OVER) {
    const read = readQuery(bytes, over);
    const reply = read.ok
      ? writeAnswer(read.query, { rcode: RCODE.ok, addresses: Array(300).fill(0x0a20_0001) })
      : read.reply;
    if (reply === undefined) continue;
    assert.deepEqual(reply.subarray(0, 2), Buffer.from(bytes.subarray(0, 2)));
    assert.ok(reply.length <= (over === 'udp' ? ROOM : 65_535), `${reply.length} bytes`);
    assert.equal((reply[2] as number) & 0x80, 0x80);
    decode(Buffer.from(reply));
  }
}

const seeds = ['web', 'web.front.weft.local', '1.0.32.10.in-addr.arpa', '.'].flatMap((name) =>
  ['A', 'AAAA', 'PTR', 'ANY', 'OPT'].map((type) => query(name, type)),
);

test('random bytes are never more than a question', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => assertTotal(bytes)),
    RUNS,
  );
});

test('questions with flipped, added and missing bytes are never more than a question', () => {
  const change = fc.record({ at: fc.nat(80), byte: fc.integer({ min: 0, max: 255 }) });
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.array(change, { minLength: 1, maxLength: 8 }),
      fc.uint8Array({ maxLength: 40 }),
      fc.nat(100),
      (seed, changes, more, length) => {
        const bytes = Buffer.concat([seed, more]).subarray(0, length + 12);
        for (const { at, byte } of changes) if (at < bytes.length) bytes[at] = byte;
        assertTotal(bytes);
      },
    ),
    RUNS,
  );
});

test('what is no answer to a question is never taken for one', () => {
  const read = readQuery(query('web'), 'udp');
  assert.ok(read.ok);
  const { query: asked } = read;
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 100 }),
      fc.uint8Array({ minLength: 2, maxLength: 2 }),
      (bytes, id) => {
        if (!answers(bytes, id, asked)) return;
        assert.deepEqual(bytes.subarray(0, 2), id);
        assert.ok(bytes.length >= 12 + asked.question.length);
      },
    ),
    RUNS,
  );
});
