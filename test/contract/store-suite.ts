import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Store } from '../../src/ports/store.ts';

/** One medium: `open` gives a store on it, as after a restart. */
export interface StoreMedium {
  open(): Store;
  /** Spoils the newest generation, or both. */
  damage(which: 'current' | 'both'): Promise<void>;
  end(): Promise<void>;
}

const bytes = (text: string) => new Uint8Array(Buffer.from(text));

export function storeSuite(name: string, createMedium: () => Promise<StoreMedium>): void {
  const story = (title: string, run: (medium: StoreMedium) => Promise<void>) =>
    test(`${name}: ${title}`, async () => {
      const medium = await createMedium();
      try {
        await run(medium);
      } finally {
        await medium.end();
      }
    });

  story('an untouched store has nothing', async (medium) => {
    assert.deepEqual(await medium.open().read(), { generation: 'none' });
  });

  story('what was written last is read, by whoever opens it next too', async (medium) => {
    const store = medium.open();
    for (const value of ['one', 'two', '', 'x'.repeat(300_000)]) {
      await store.write(bytes(value));
      assert.deepEqual(await store.read(), { generation: 'current', bytes: bytes(value) });
      assert.deepEqual(await medium.open().read(), { generation: 'current', bytes: bytes(value) });
    }
  });

  story('later changes of the given bytes change nothing', async (medium) => {
    const store = medium.open();
    const value = bytes('kept');
    const writing = store.write(value);
    await writing;
    value.fill(0);
    assert.deepEqual(await store.read(), { generation: 'current', bytes: bytes('kept') });
  });

  story('a damaged value gives the one before, with the reason', async (medium) => {
    await medium.open().write(bytes('one'));
    await medium.open().write(bytes('two'));
    await medium.damage('current');
    const stored = await medium.open().read();
    assert.equal(stored.generation, 'previous');
    assert.ok(stored.generation === 'previous' && stored.problem.length > 0);
    assert.deepEqual(stored.generation === 'previous' && stored.bytes, bytes('one'));
  });

  story('a damaged value never becomes the one before', async (medium) => {
    await medium.open().write(bytes('one'));
    await medium.open().write(bytes('two'));
    await medium.damage('current');
    await medium.open().write(bytes('three'));
    assert.deepEqual(await medium.open().read(), { generation: 'current', bytes: bytes('three') });
    await medium.damage('current');
    const stored = await medium.open().read();
    assert.deepEqual(stored.generation === 'previous' && stored.bytes, bytes('one'));
  });

  story('two damaged values are said to be damaged, and a write mends the store', async (medium) => {
    await medium.open().write(bytes('one'));
    await medium.open().write(bytes('two'));
    await medium.damage('both');
    assert.equal((await medium.open().read()).generation, 'damaged');
    await medium.open().write(bytes('three'));
    assert.deepEqual(await medium.open().read(), { generation: 'current', bytes: bytes('three') });
  });
}
