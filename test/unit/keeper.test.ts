import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REPLICA_LIMITS } from '../../src/core/replica.ts';
import { encode } from '../../src/mesh/codec.ts';
import { FILE_LIMITS, openKeeper } from '../../src/mesh/keeper.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';
import { createMemoryStore } from '../../src/ports/memory/store.ts';

function checkNumber(data: unknown): number {
  if (typeof data !== 'number') throw new Error('expected a number');
  return data;
}
const any = (data: unknown) => data;

test('what was set is there after a restart', async () => {
  const store = createMemoryStore();
  const first = await openKeeper({ store });
  assert.equal(first.generation, 'none');
  const section = first.section('count', checkNumber, 7);
  assert.equal(section.get(), 7);
  const saved = section.set(8);
  assert.equal(section.get(), 8);
  await saved;
  const second = await openKeeper({ store });
  assert.equal(second.generation, 'current');
  assert.equal(second.section('count', checkNumber, 7).get(), 8);
});

test('many changes of one turn are one write, those during a write are one more', async () => {
  const clock = createVirtualClock();
  const store = createMemoryStore({ clock, latency: 10 });
  const keeper = await openKeeper({ store });
  const sections = Array.from({ length: 20 }, (_, index) => keeper.section(`s${index}`, any, 0));
  const early = sections.map((section, index) => section.set(index));
  await clock.settle();
  const late = sections.map((section, index) => section.set(index + 100));
  await clock.runUntil(() => store.writes() === 1);
  await Promise.all(early);
  await clock.advance(1_000);
  await Promise.all(late);
  assert.equal(store.writes(), 2);
  const again = await openKeeper({ store });
  assert.equal(again.section('s3', any, 0).get(), 103);
});

test('nobody is told that a value is on disk before it is', async () => {
  const clock = createVirtualClock();
  const store = createMemoryStore({ clock, latency: 10 });
  const keeper = await openKeeper({ store });
  const section = keeper.section('a', any, 0);
  let promised = false;
  void section.set(1).then(() => {
    promised = true;
  });
  await clock.advance(9);
  assert.equal(promised, false);
  store.crash();
  await clock.advance(100);
  assert.equal(promised, false);
  assert.equal((await store.read()).generation, 'none');
});

test('sections that nobody opens survive the writes of others', async () => {
  const store = createMemoryStore();
  const first = await openKeeper({ store });
  await first.section('optional', any, null).set({ deep: [1, new Uint8Array([2])] });
  const second = await openKeeper({ store });
  await second.section('other', any, null).set(5);
  const third = await openKeeper({ store });
  assert.deepEqual(third.section('optional', any, null).get(), { deep: [1, new Uint8Array([2])] });
});

test('a failed write is reported, keeps the value in memory, and the next write has it', async () => {
  const store = createMemoryStore();
  const keeper = await openKeeper({ store });
  const [a, b] = [keeper.section('a', any, 0), keeper.section('b', any, 0)];
  store.failWrites(new Error('no space left on device'));
  await assert.rejects(a.set(1), /no space left/);
  assert.equal(a.get(), 1);
  await assert.rejects(keeper.flush(), /no space left/);
  store.failWrites(undefined);
  await b.set(2);
  const again = await openKeeper({ store });
  assert.equal(again.section('a', any, 0).get(), 1);
});

test('flush waits for everything set so far and writes again what failed', async () => {
  const store = createMemoryStore();
  const keeper = await openKeeper({ store });
  await keeper.flush();
  assert.equal(store.writes(), 0);
  const section = keeper.section('a', any, 0);
  void section.set(1);
  await keeper.flush();
  assert.equal(store.writes(), 1);
  store.failWrites(new Error('full'));
  void section.set(2);
  await assert.rejects(keeper.flush(), /full/);
  store.failWrites(undefined);
  await keeper.flush();
  assert.equal((await openKeeper({ store })).section('a', any, 0).get(), 2);
});

test('a value that cannot be encoded fails its own write only', async () => {
  const store = createMemoryStore();
  const keeper = await openKeeper({ store });
  const [good, bad] = [keeper.section('good', any, 0), keeper.section('bad', any, 0)];
  await assert.rejects(
    bad.set(() => {}),
    /cannot encode a function/,
  );
  await good.set(3);
  assert.equal((await openKeeper({ store })).section('good', any, 0).get(), 3);
});

test('a damaged newest generation gives the one before, and says so', async () => {
  const store = createMemoryStore();
  const keeper = await openKeeper({ store });
  const section = keeper.section('a', any, 0);
  await section.set(1);
  await section.set(2);
  store.damage('current');
  const again = await openKeeper({ store });
  assert.equal(again.generation, 'previous');
  assert.match(again.problem ?? '', /damaged/);
  assert.equal(again.section('a', any, 0).get(), 1);
  store.damage('both');
  await assert.rejects(openKeeper({ store }), { code: 'damaged' });
});

test('a section that fails its check, a foreign file and a newer format are refused by name', async () => {
  const store = createMemoryStore();
  await (await openKeeper({ store })).section('count', any, 0).set('text');
  const keeper = await openKeeper({ store });
  assert.throws(() => keeper.section('count', checkNumber, 0), {
    code: 'bad-section',
    message: /section count of the state: expected a number/,
  });
  assert.throws(() => keeper.section('count', any, 0), /owner already/);
  await store.write(encode({ hello: 1 }));
  await assert.rejects(openKeeper({ store }), { code: 'not-ours' });
  await store.write(new Uint8Array([1, 2, 3]));
  await assert.rejects(openKeeper({ store }), { code: 'not-ours' });
  await store.write(encode({ format: 'weft-state', version: 2, sections: {} }));
  await assert.rejects(openKeeper({ store }), { code: 'newer-format', message: /upgrade/ });
  await store.write(encode({ format: 'weft-state', version: 1, sections: { a: 1 } }));
  await assert.rejects(openKeeper({ store }), { code: 'bad-section' });
});

test('what members can make this peer remember is no more than it can read again', () => {
  // A delta with one short record: body of 70 bytes and more, signature 64, heads 4.
  assert.ok(FILE_LIMITS.binary >= 2 * REPLICA_LIMITS.totalBytes);
});
