import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createReplica, REPLICA_LIMITS } from '../../src/core/replica.ts';
import type { VerifiedDelta } from '../../src/core/wire/delta.ts';
import { contents, delta, exchange, identity } from './support/replica-parts.ts';

const [alice, bob, carol] = [identity(1), identity(2), identity(3)];
const text = (value: Uint8Array | undefined) =>
  value === undefined ? undefined : new TextDecoder().decode(value);

/** What one author did: a list of changes, numbered from 1. */
const history = fc
  .array(
    fc.dictionary(fc.constantFrom('a', 'b', 'c/1', 'c/2'), fc.option(fc.string({ maxLength: 3 })), {
      minKeys: 1,
    }),
    {
      maxLength: 12,
    },
  )
  .map((changes) => changes.map((change) => ({ ...change })));

const histories = fc.tuple(history, history, history).map((all) =>
  all.flatMap((changes, author) => {
    const writer = [alice, bob, carol][author] as typeof alice;
    return changes.map((change, index) => delta(writer, index + 1, change));
  }),
);

/** A way for deltas to arrive: any order, some twice. */
const arrival = histories.chain((deltas) =>
  fc.tuple(
    fc.constant(deltas),
    fc.shuffledSubarray([...deltas, ...deltas], { minLength: 2 * deltas.length }),
  ),
);

test('any order of arrival, with repetitions, gives the state that the authors have', () => {
  fc.assert(
    fc.property(arrival, ([written, arrived]) => {
      const [author, other] = [createReplica(), createReplica()];
      for (const one of written) author.merge(one);
      for (const one of arrived) other.merge(one);
      assert.deepEqual(contents(other), contents(author));
      assert.deepEqual(other.digest(), author.digest());
    }),
  );
});

test('two replicas that missed different things agree after one exchange, whatever the size of its parts', () => {
  const missing = histories.chain((deltas) =>
    fc.tuple(fc.constant(deltas), fc.subarray(deltas), fc.subarray(deltas), fc.integer({ min: 1, max: 4 })),
  );
  fc.assert(
    fc.property(missing, ([all, some, others, size]) => {
      const [a, b, union] = [createReplica(), createReplica(), createReplica()];
      for (const one of some) a.merge(one);
      for (const one of others) b.merge(one);
      for (const one of all) if (some.includes(one) || others.includes(one)) union.merge(one);
      exchange(a, b, size);
      assert.deepEqual(a.digest(), union.digest());
      assert.deepEqual(b.digest(), union.digest());
      assert.deepEqual(contents(a), contents(union));
      assert.deepEqual(contents(b), contents(union));
    }),
  );
});

test('the deltas that are held rebuild the state on their own', () => {
  fc.assert(
    fc.property(arrival, ([, arrived]) => {
      const [first, second] = [createReplica(), createReplica()];
      for (const one of arrived) first.merge(one);
      for (const author of first.authors()) for (const one of first.deltas(author)) second.merge(one);
      assert.deepEqual(second.digest(), first.digest());
      assert.deepEqual(contents(second), contents(first));
    }),
  );
});

test('no delta is held of which every key was overwritten', () => {
  fc.assert(
    fc.property(arrival, ([, arrived]) => {
      const replica = createReplica();
      for (const one of arrived) replica.merge(one);
      for (const author of replica.authors()) {
        const newest = new Map<string, number>();
        for (const { changes, seq } of replica.deltas(author)) {
          for (const { key } of changes) newest.set(key, Math.max(seq, newest.get(key) ?? 0));
        }
        for (const held of replica.deltas(author)) {
          assert.ok(held.changes.some(({ key }) => newest.get(key) === held.seq));
          assert.equal(replica.held(held.signature), held);
        }
      }
    }),
  );
});

test('an author whose state was set back uses a seq twice, and all peers still agree', () => {
  const before = delta(alice, 5, { ring: 'old', links: 'x' });
  const after = delta(alice, 5, { ring: 'new', other: 'y' });
  const [a, b] = [createReplica(), createReplica()];
  a.merge(before);
  b.merge(after);
  exchange(a, b);
  assert.deepEqual(contents(a), contents(b));
  assert.deepEqual(a.digest(), b.digest());
  assert.equal(contents(a).length, 3);
});

test('a neighbour that withheld an older delta is found out by the next one', () => {
  const [liar, victim, honest] = [createReplica(), createReplica(), createReplica()];
  const deltas = [delta(alice, 1, { a: '1' }), delta(alice, 2, { b: '2' }), delta(alice, 3, { c: '3' })];
  for (const one of deltas) honest.merge(one);
  for (const one of [deltas[0], deltas[2]]) liar.merge(one as VerifiedDelta);
  exchange(liar, victim);
  assert.equal(victim.get(alice.peer, 'b'), undefined);
  assert.equal(victim.seq(alice.peer), honest.seq(alice.peer));
  exchange(honest, victim);
  assert.equal(text(victim.get(alice.peer, 'b')?.value), '2');
});

test('a removed key is not brought back by an older delta that arrives late', () => {
  const replica = createReplica();
  assert.equal(replica.merge(delta(alice, 2, { a: null })).ok, true);
  assert.deepEqual(replica.merge(delta(alice, 1, { a: 'late', b: 'kept' })), {
    ok: true,
    changes: [replica.get(alice.peer, 'b')],
  });
  assert.equal(replica.get(alice.peer, 'a'), undefined);
  assert.equal(replica.isNews(delta(alice, 1, { a: 'late' })), false);
});

test('changes are told once, in order of keys, removals only of what was there', () => {
  const replica = createReplica();
  const told = (one: VerifiedDelta) => {
    const merged = replica.merge(one);
    assert.ok(merged.ok);
    return merged.changes.map(({ key, value }) => `${key}=${text(value)}`);
  };
  assert.deepEqual(told(delta(alice, 1, { b: '1', a: '1' })), ['a=1', 'b=1']);
  assert.deepEqual(told(delta(alice, 1, { b: '1', a: '1' })), []);
  assert.deepEqual(told(delta(alice, 2, { a: null, c: null })), ['a=undefined']);
});

test('entries are found by the start of their key, over all authors', () => {
  const replica = createReplica();
  replica.merge(delta(alice, 1, { peer: 'p', 'ring/1-2': 'r', 'ring/3-4': 's', links: 'l' }));
  replica.merge(delta(bob, 1, { peer: 'q', 'ring/1-2': 't', peers: 'no' }));
  const find = (prefix: string) => [...replica.entries(prefix)].map(({ value }) => text(value)).sort();
  assert.deepEqual(find('ring/'), ['r', 's', 't']);
  assert.deepEqual(find('ring/1'), ['r', 't']);
  assert.deepEqual(find('peer'), ['no', 'p', 'q']);
  assert.deepEqual(find('member/'), []);
});

test('what is over a limit is refused and leaves no trace', () => {
  const limits = { ...REPLICA_LIMITS, authors: 2, entries: 3, authorBytes: 400, totalBytes: 600 };
  const replica = createReplica({ limits });
  replica.merge(delta(alice, 1, { a: '1', b: '1' }));
  replica.merge(delta(bob, 1, { a: '1' }));
  const before = replica.digest();
  const refused = (one: VerifiedDelta, problem: string) =>
    assert.deepEqual(replica.merge(one), { ok: false, problem });
  refused(delta(carol, 1, { a: '1' }), 'too-many-authors');
  refused(delta(alice, 2, { c: '1', d: '1' }), 'too-many-records');
  refused(delta(alice, 2, { c: 'x'.repeat(400) }), 'too-many-bytes');
  refused(delta(bob, 2, { c: 'x'.repeat(500) }), 'too-many-bytes');
  assert.deepEqual(replica.digest(), before);
  assert.equal(contents(replica).length, 3);
  assert.equal(replica.merge(delta(alice, 2, { c: '1' })).ok, true);
});

test('how full the state is follows the limit that is nearest', () => {
  const limits = { ...REPLICA_LIMITS, entries: 4, authorBytes: 100_000, totalBytes: 1_000 };
  const replica = createReplica({ limits });
  assert.equal(replica.fill(alice.peer), 0);
  replica.merge(delta(alice, 1, { a: '1', b: '1', c: '1' }));
  assert.equal(replica.fill(alice.peer), 3 / 4);
  replica.merge(delta(bob, 1, { a: 'x'.repeat(700) }));
  assert.ok(replica.fill(alice.peer) > 3 / 4, 'what others wrote counts for the whole');
});
