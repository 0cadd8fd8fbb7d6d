import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MeshId, PeerId } from '../../src/core/ids.ts';
import {
  type Delta,
  DeltaError,
  decodeDelta,
  MAX_DELTA,
  MAX_SEQ,
  MAX_VALUE,
  signDelta,
  verifyDelta,
} from '../../src/core/wire/delta.ts';
import {
  compareVectors,
  createOffer,
  createVector,
  createWant,
  isVectorPart,
  isWant,
  type Lacking,
  lackingOf,
  missingAfter,
  wantedFrom,
} from '../../src/core/wire/vector.ts';
import { crypto, delta, identity, MESH } from './support/replica-parts.ts';

const alice = identity(1);
const signed = delta(alice, 7, { peer: 'value', 'ring/1-2': null, zero: '' });

function decoded(parts: Parameters<typeof decodeDelta>[1]): Delta {
  const result = decodeDelta(crypto, parts);
  assert.ok(result.ok);
  return result.delta;
}

function problem(body: Uint8Array, signature: Uint8Array = signed.signature): string {
  const result = decodeDelta(crypto, { body, signature });
  return result.ok ? 'none' : result.problem;
}

function patched(at: number, ...bytes: number[]): Uint8Array {
  const body = signed.body.slice();
  body.set(bytes, at);
  return body;
}

test('a delta survives the wire and its signature holds for its mesh only', () => {
  const read = decoded(signed);
  assert.deepEqual({ ...read }, { ...signed });
  assert.ok(verifyDelta(crypto, MESH, read));
  assert.equal(verifyDelta(crypto, 'cd'.repeat(32) as MeshId, read), undefined);
});

test('a delta cannot be shown as that of another author', () => {
  const body = signed.body.slice();
  body.set(identity(2).publicKey, 1);
  const read = decoded({ body, signature: signed.signature });
  assert.equal(read.author, identity(2).peer);
  assert.equal(verifyDelta(crypto, MESH, read), undefined);
});

test('each thing that can be wrong with the bytes has its name', () => {
  assert.equal(problem(signed.body), 'none');
  assert.equal(problem(new Uint8Array(MAX_DELTA + 1)), 'too-long');
  assert.equal(problem(signed.body.subarray(0, 40)), 'truncated');
  assert.equal(problem(patched(0, 2)), 'bad-version');
  assert.equal(problem(signed.body, new Uint8Array(63)), 'bad-signature');
  assert.equal(problem(patched(33, 0, 0, 0, 0, 0, 0)), 'bad-seq');
  assert.equal(problem(patched(39, 0, 0)), 'bad-count');
  assert.equal(problem(patched(39, 0xff, 0xff)), 'bad-count');
  assert.equal(problem(patched(39, 0, 4)), 'truncated');
  assert.equal(problem(patched(39, 0, 2)), 'trailing-bytes');
  assert.equal(problem(patched(41, 0)), 'bad-key');
  assert.equal(problem(patched(42, 0x20)), 'bad-key');
  assert.equal(problem(patched(42, 0xc3)), 'bad-key');
  assert.equal(problem(patched(42, 0x7a)), 'bad-order');
  assert.equal(problem(patched(46, 0, 1, 0, 1)), 'bad-value');
  assert.equal(problem(patched(46, 0, 0, 1, 0)), 'truncated');
});

test('no bytes make the decoder throw, and what it takes it takes exactly', () => {
  const mutated = fc
    .tuple(fc.nat(signed.body.length - 1), fc.integer({ min: 0, max: 255 }), fc.nat(signed.body.length))
    .map(([at, byte, length]) => patched(at, byte).subarray(0, length));
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated),
      fc.uint8Array({ maxLength: 70 }),
      (body, tail) => {
        for (const signature of [tail, signed.signature]) {
          const result = decodeDelta(crypto, { body, signature });
          if (!result.ok) continue;
          assert.deepEqual(result.delta.body, body.slice());
          const genuine = verifyDelta(crypto, MESH, result.delta) !== undefined;
          assert.equal(genuine, Buffer.compare(body, signed.body) === 0);
        }
      },
    ),
    { numRuns: 2_000 },
  );
});

test('a writer is told what no peer would take', () => {
  const sign = (seq: number, key: string, value: Uint8Array | undefined) =>
    signDelta({ crypto, identity: alice, mesh: MESH, seq, changes: new Map([[key, value]]) });
  assert.throws(() => sign(1, 'a b', undefined), DeltaError);
  assert.throws(() => sign(1, '', undefined), DeltaError);
  assert.throws(() => sign(1, 'k'.repeat(129), undefined), DeltaError);
  assert.throws(() => sign(1, 'a', new Uint8Array(MAX_VALUE + 1)), /at most 65536/);
  assert.throws(
    () => signDelta({ crypto, identity: alice, mesh: MESH, seq: 1, changes: new Map() }),
    DeltaError,
  );
  const big = new Map(
    Array.from({ length: 5 }, (_, index) => [`k${index}`, new Uint8Array(MAX_VALUE)] as const),
  );
  assert.throws(
    () => signDelta({ crypto, identity: alice, mesh: MESH, seq: 1, changes: big }),
    /fewer records at once/,
  );
  assert.equal(decoded(sign(MAX_SEQ, 'k'.repeat(128), new Uint8Array(MAX_VALUE))).seq, MAX_SEQ);
});

const author = (name: string, tag: number, seq: number, sum: number) => ({
  author: name as PeerId,
  tag,
  seq,
  sum,
});
/** Stands for deltas: who and from where on. */
const since = (peer: PeerId, after: number) => [`${peer}>${after}`];

test('authors that share a tag are sent in full and never compared by seq', () => {
  const mine = [author('a', 5, 3, 30), author('b', 5, 9, 90)];
  const [part] = createVector([author('a', 5, 9, 70)], 10);
  assert.ok(part);
  const compared = compareVectors(mine, part, since);
  assert.deepEqual(compared.send, ['a>0', 'b>0']);
  assert.deepEqual(
    wantedFrom(createWant(compared.lacking), () => [author('a', 5, 9, 70)], since),
    ['a>0'],
  );
  assert.equal(createVector(mine, 1).length, 1, 'one part holds both, so that neither is taken for missing');
});

test('an offer of authors that share a tag hides none of them behind what is held of another, at once or later', () => {
  const [one, other] = [author('x', 7, 10, 5), author('y', 7, 3, 3)];
  for (const offer of [createOffer([one, other]), createOffer([other, one])]) {
    const [lacking] = lackingOf(offer, () => [one]);
    assert.deepEqual([lacking?.tag, lacking?.after], [7, 0]);
    assert.equal(missingAfter(lacking as Lacking, [one]), 0);
    assert.deepEqual(
      lackingOf(offer, () => [one, other]),
      [],
    );
  }
});

test('parts of a vector cover every tag once, also where there is no author', () => {
  const tags = fc.uniqueArray(fc.integer({ min: 0, max: 40 }), { maxLength: 20 });
  fc.assert(
    fc.property(tags, fc.integer({ min: 1, max: 5 }), (chosen, size) => {
      const mine = chosen.sort((a, b) => a - b).map((tag) => author(`p${tag}`, tag, 1, 1));
      const parts = createVector(mine, size);
      assert.equal(parts[0]?.from, 0);
      assert.equal(parts.at(-1)?.to, 2 ** 48 - 1);
      parts.forEach((part, index) => {
        assert.ok(isVectorPart(part.from, part.to, part.entries));
        if (index > 0) assert.equal(part.from, (parts[index - 1]?.to ?? 0) + 1);
      });
      const everyTag = Array.from({ length: 41 }, (_, tag) => author(`p${tag}`, tag, 1, 1));
      const lacking = parts.flatMap((part) => compareVectors(everyTag, part, since).send);
      assert.equal(lacking.length, 41 - chosen.length);
    }),
  );
});

test('vectors and wants from the wire are checked before they are read', () => {
  assert.equal(isVectorPart(0, 5, new Uint8Array(18)), true);
  for (const [from, to, entries] of [
    [0, 5, new Uint8Array(17)],
    [6, 5, new Uint8Array(18)],
    [-1, 5, new Uint8Array(18)],
    [0, 2 ** 48, new Uint8Array(18)],
    [0.5, 5, new Uint8Array(18)],
    ['0', 5, new Uint8Array(18)],
    [0, 5, 'entries'],
  ]) {
    assert.equal(isVectorPart(from, to, entries), false);
  }
  assert.equal(isWant(new Uint8Array(24)), true);
  assert.equal(isWant(new Uint8Array(13)), false);
  assert.equal(isWant([1]), false);
});
