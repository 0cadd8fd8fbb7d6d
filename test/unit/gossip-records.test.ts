import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Identity } from '../../src/core/crypto.ts';
import { signDelta } from '../../src/core/wire/delta.ts';
import { encode } from '../../src/mesh/codec.ts';
import { openKeeper } from '../../src/mesh/keeper.ts';
import type { RecordEntry } from '../../src/mesh/records.ts';
import { createRecords, type OpenRecords, SAVE_DELAY } from '../../src/mesh/replicated.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';
import { createMemoryStore, type MemoryStore } from '../../src/ports/memory/store.ts';
import { crypto, identity, MESH } from './support/replica-parts.ts';

const [alice, bob] = [identity(1), identity(2)];
const clock = createVirtualClock();

async function open(store: MemoryStore, owner: Identity = alice): Promise<OpenRecords> {
  const warnings: string[] = [];
  const log = { debug() {}, info() {}, warn: (message: string) => void warnings.push(message), error() {} };
  const keeper = await openKeeper({ store });
  return createRecords({ identity: owner, mesh: MESH, crypto, clock, keeper, log });
}

/** A delta as another peer, or an earlier life, signs it. */
function written(by: Identity, seq: number, changes: Readonly<Record<string, unknown>>) {
  const encoded = Object.entries(changes).map(([key, value]) => [key, encode(value)] as const);
  return signDelta({ crypto, identity: by, mesh: MESH, seq, changes: new Map(encoded) });
}

test('a record is seen and sent once it is on disk, and not before', async () => {
  const store = createMemoryStore({ clock, latency: 50 });
  const records = await open(store);
  const seen: RecordEntry[] = [];
  const sent: number[] = [];
  records.watch('note', (entry) => seen.push(entry));
  records.onWritten(({ seq }) => sent.push(seq));
  const put = records.put('note', { text: 'hello' });
  await clock.advance(40);
  assert.equal(records.get(alice.peer, 'note'), undefined);
  assert.deepEqual([seen, sent], [[], []]);
  await clock.advance(20);
  await put;
  assert.deepEqual(records.get(alice.peer, 'note'), { text: 'hello' });
  assert.deepEqual(seen, [{ author: alice.peer, key: 'note', value: { text: 'hello' } }]);
  assert.deepEqual(sent, [1]);
});

test('what the disk refused is told to the writer, seen by nobody, and does not block what follows', async () => {
  const store = createMemoryStore();
  const records = await open(store);
  store.failWrites(new Error('disk full'));
  await assert.rejects(records.put('a', 1), /disk full/);
  assert.equal(records.get(alice.peer, 'a'), undefined);
  store.failWrites(undefined);
  await records.put('b', 2);
  assert.deepEqual([...records.entries('')], [{ author: alice.peer, key: 'b', value: 2 }]);
  const again = await open(store);
  assert.deepEqual([...again.entries('')], [{ author: alice.peer, key: 'b', value: 2 }]);
});

test('several writes at once arrive in their order, one delta each', async () => {
  const records = await open(createMemoryStore({ clock, latency: 5 }));
  const seen: unknown[] = [];
  records.watch('', ({ key, value }) => seen.push(`${key}=${value}`));
  const puts = [
    records.put('a', 1),
    records.put('a', 2),
    records.putAll(new Map([['b', 3] as const, ['a', undefined]])),
  ];
  await clock.advance(50);
  await Promise.all(puts);
  assert.deepEqual(seen, ['a=1', 'a=2', 'a=undefined', 'b=3']);
  assert.equal(records.replica.seq(alice.peer), 3);
});

test('writing what is there already costs nothing', async () => {
  const store = createMemoryStore();
  const records = await open(store);
  await records.put('a', { x: 1, y: [1, 2] });
  const writes = store.writes();
  await records.put('a', { y: [1, 2], x: 1 });
  await records.put('never', undefined);
  assert.equal(records.replica.seq(alice.peer), 1);
  assert.equal(store.writes(), writes);
  await records.put('a', { x: 1, y: [1, 3] });
  assert.equal(records.replica.seq(alice.peer), 2);
});

test('a restart knows own records at once, and those of others as they were some seconds ago', async () => {
  const store = createMemoryStore();
  const records = await open(store);
  await records.put('a', 1);
  records.merge(written(bob, 1, { b: 2 }));
  await clock.advance(SAVE_DELAY - 100);
  assert.equal((await open(store)).get(bob.peer, 'b'), undefined);
  await clock.advance(200);
  records.merge(written(bob, 2, { b: 3 }));
  const again = await open(store);
  assert.equal(again.get(alice.peer, 'a'), 1);
  assert.equal(again.get(bob.peer, 'b'), 2);
  await records.flush();
  assert.equal((await open(store)).get(bob.peer, 'b'), 3);
  assert.deepEqual((await open(store)).replica.digest(), records.replica.digest());
});

test('a host whose state was set back takes its own records from the mesh and goes on behind them', async () => {
  const records = await open(createMemoryStore());
  const sent: number[] = [];
  records.onWritten(({ seq }) => sent.push(seq));
  await records.put('links', 'new run');
  records.merge(written(alice, 7, { ring: 'given away', links: 'old run' }));
  await clock.settle();
  assert.equal(records.get(alice.peer, 'ring'), 'given away', 'what only the earlier life knew');
  assert.equal(records.get(alice.peer, 'links'), 'new run', 'what this life has written since');
  assert.deepEqual(sent, [1, 8]);
  await records.put('peer', 1);
  assert.equal(records.replica.seq(alice.peer), 9);
});

test('own records that come back while a write is under way do not swallow it', async () => {
  const records = await open(createMemoryStore({ clock, latency: 20 }));
  const put = records.put('a', 'now');
  await clock.advance(5);
  records.merge(written(alice, 4, { a: 'before' }));
  await clock.advance(200);
  await put;
  assert.equal(records.get(alice.peer, 'a'), 'now');
  assert.equal(records.replica.seq(alice.peer), 5);
});

test('a value that cannot be read is counted under its author and looks as if it were not there', async () => {
  const records = await open(createMemoryStore());
  const seen: unknown[] = [];
  records.watch('b', ({ value }) => seen.push(value));
  const bad = new Map([['b', Uint8Array.of(0xc1)]]);
  records.merge(written(bob, 1, { b: 'fine' }));
  records.merge(signDelta({ crypto, identity: bob, mesh: MESH, seq: 2, changes: bad }));
  assert.deepEqual(seen, ['fine', undefined]);
  assert.equal(records.get(bob.peer, 'b'), undefined);
  assert.deepEqual([...records.entries('b')], []);
  const [counted] = records.quarantined();
  assert.deepEqual([counted?.author, counted?.count], [bob.peer, 1]);
});

test('a part that fails on a record does not keep it from the others', async () => {
  const records = await open(createMemoryStore());
  const seen: unknown[] = [];
  records.watch('a', () => {
    throw new Error('mistake');
  });
  const stop = records.watch('a', ({ value }) => seen.push(value));
  await records.put('a', 1);
  stop();
  await records.put('a', 2);
  assert.deepEqual(seen, [1]);
});

test('a snapshot gives a newcomer everything, and a forged one nothing', async () => {
  const records = await open(createMemoryStore());
  await records.put('a', 1);
  await records.put('b', 2);
  const snapshot = records.snapshot(10_000);
  const newcomer = await open(createMemoryStore(), bob);
  assert.equal(newcomer.absorb(snapshot), 2);
  assert.equal(newcomer.absorb(snapshot), 0);
  assert.deepEqual(newcomer.replica.digest(), records.replica.digest());
  assert.equal(records.snapshot(100), undefined, 'too much for the limit');

  const victim = await open(createMemoryStore(), bob);
  const [body, signature, ...rest] = snapshot as Uint8Array[];
  const forged = signature?.slice();
  forged?.set([1], 10);
  assert.equal(victim.absorb([body, forged, ...rest]), 1);
  for (const nonsense of [undefined, 5, [1], [body], [[body, signature]], 'text']) {
    assert.equal(victim.absorb(nonsense), 0);
  }
});

test('what nobody would take is refused before anything is written', async () => {
  const store = createMemoryStore();
  const records = await open(store);
  await assert.rejects(records.put('no spaces', 1), { code: 'bad-record' });
  await assert.rejects(records.put('big', new Uint8Array(70_000)), { code: 'bad-record' });
  await assert.rejects(
    records.put('odd', () => {}),
    TypeError,
  );
  assert.equal(store.writes(), 0);
});
