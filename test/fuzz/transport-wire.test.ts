import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createFrameDecoder, encodeFrame } from '../../src/mesh/libp2p/frames.ts';
import {
  decodeDoorName,
  decodePrefaceHead,
  decodeRefusal,
  encodePreface,
  encodeRefusal,
  PREFACE_HEAD,
} from '../../src/mesh/libp2p/preface.ts';

const LIMIT = 1_000;
const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 });

test('messages come out whole and in order, wherever the stream is cut', () => {
  fc.assert(
    fc.property(messages, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (sent, cuts) => {
      const stream = Buffer.concat(sent.map(encodeFrame));
      const decoder = createFrameDecoder(LIMIT);
      const received: Uint8Array[] = [];
      let at = 0;
      for (let turn = 0; at < stream.length; turn++) {
        const end = at + (cuts[turn % cuts.length] as number);
        assert.ok(decoder.push(stream.subarray(at, end), (message) => received.push(message)));
        at = end;
      }
      assert.deepEqual(
        received,
        sent.map((message) => new Uint8Array(message)),
      );
    }),
    { numRuns: 2_000 },
  );
});

test('random bytes give messages within the limit or break the stream for good', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 20 }), (chunks) => {
      const decoder = createFrameDecoder(LIMIT);
      let broken = false;
      for (const chunk of chunks) {
        const fine = decoder.push(chunk, (message) => {
          assert.ok(!broken && message.length <= LIMIT);
        });
        assert.ok(!(broken && fine));
        broken ||= !fine;
      }
    }),
    { numRuns: 5_000 },
  );
});

test('a length just over the limit breaks the stream, one at the limit does not', () => {
  const push = (bytes: Uint8Array) => createFrameDecoder(LIMIT).push(bytes, () => assert.fail('no message'));
  assert.equal(push(Uint8Array.of(0, 0, 0x03, 0xe9)), false);
  assert.equal(push(Uint8Array.of(0, 0, 0x03, 0xe8)), true);
  assert.equal(push(Uint8Array.of(0xff, 0xff, 0xff, 0xff)), false);
});

test('a preface says the door that was written, and other bytes say none', () => {
  const letters = fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz0123456789/-');
  fc.assert(
    fc.property(fc.string({ unit: letters, minLength: 1, maxLength: 64 }), (door) => {
      const preface = encodePreface(door);
      const head = decodePrefaceHead(preface.subarray(0, PREFACE_HEAD));
      assert.ok(head.ok);
      assert.equal(head.nameLength, preface.length - PREFACE_HEAD);
      assert.equal(decodeDoorName(preface.subarray(PREFACE_HEAD)), door);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ minLength: PREFACE_HEAD, maxLength: PREFACE_HEAD }), (bytes) => {
      const head = decodePrefaceHead(bytes);
      if (head.ok) assert.equal(Buffer.from(bytes).subarray(0, 4).toString(), 'WEFT');
    }),
  );
  for (const door of ['', 'A', 'a b', 'a\n', 'é', '..', 'x'.repeat(65)]) {
    assert.throws(() => encodePreface(door), RangeError);
    assert.equal(decodeDoorName(Buffer.from(door)), undefined);
  }
});

test('refusals keep their numbers', () => {
  const reasons = [
    'wrong-mesh',
    'unknown-token',
    'expired',
    'used-up',
    'removed',
    'old-epoch',
    'busy',
  ] as const;
  assert.deepEqual(reasons.map(encodeRefusal), [1, 2, 3, 4, 5, 6, 7]);
  for (const reason of reasons) assert.equal(decodeRefusal(encodeRefusal(reason)), reason);
  assert.equal(decodeRefusal(0), undefined);
  assert.equal(decodeRefusal(8), undefined);
});
