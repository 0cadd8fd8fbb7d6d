import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as system from 'node:fs/promises';
import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createFileStore, type StoreFiles } from '../../src/host/file-store.ts';

const bytes = (text: string) => new Uint8Array(Buffer.from(text));

async function createFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-file-store-'));
  context.after(() => rm(folder, { recursive: true }));
  return folder;
}

test('the folder and the files are for the owner only', async (context) => {
  const directory = join(await createFolder(context), 'a', 'b');
  const store = createFileStore({ directory, name: 'state' });
  await store.write(bytes('one'));
  await store.write(bytes('two'));
  assert.equal((await stat(directory)).mode & 0o777, 0o700);
  assert.deepEqual((await readdir(directory)).sort(), ['state', 'state.previous']);
  for (const name of await readdir(directory)) {
    assert.equal((await stat(join(directory, name))).mode & 0o777, 0o600);
  }
});

test('a folder that others can write to is refused, and left as it is', async (context) => {
  const directory = await createFolder(context);
  await chmod(directory, 0o777);
  const store = createFileStore({ directory, name: 'state' });
  await assert.rejects(store.write(bytes('one')), { code: 'unsafe-directory', message: /chmod go-w/ });
  assert.equal((await stat(directory)).mode & 0o777, 0o777);
});

test('a link in the way is not followed', async (context) => {
  const directory = await createFolder(context);
  const victim = join(directory, 'victim');
  await writeFile(victim, 'precious');
  await symlink(victim, join(directory, 'state.new'));
  await symlink(victim, join(directory, 'state.previous.new'));
  const store = createFileStore({ directory, name: 'state' });
  await store.write(bytes('one'));
  await store.write(bytes('two'));
  assert.equal(await readFile(victim, 'utf8'), 'precious');
  assert.deepEqual(await store.read(), { generation: 'current', bytes: bytes('two') });
});

test('cut at every byte and with every byte flipped, the file gives the generation before and says so', async (context) => {
  const directory = await createFolder(context);
  const store = createFileStore({ directory, name: 'state' });
  await store.write(bytes('one'));
  await store.write(bytes('two, somewhat longer'));
  const path = join(directory, 'state');
  const whole = await readFile(path);
  const expectPrevious = async (content: Uint8Array, what: string) => {
    await writeFile(path, content);
    const stored = await createFileStore({ directory, name: 'state' }).read();
    assert.equal(stored.generation, 'previous', what);
    assert.ok(stored.generation === 'previous' && stored.problem.startsWith(path));
    assert.deepEqual(stored.generation === 'previous' && stored.bytes, bytes('one'));
  };
  for (let length = 0; length < whole.length; length++) {
    await expectPrevious(whole.subarray(0, length), `cut at ${length}`);
  }
  for (let at = 0; at < whole.length; at++) {
    const bent = Buffer.from(whole);
    bent[at] = (bent[at] as number) ^ (1 << (at % 8));
    await expectPrevious(bent, `flipped at ${at}`);
  }
  await expectPrevious(Buffer.concat([whole, Buffer.from([0])]), 'one byte more');
  await rm(path);
  const stored = await createFileStore({ directory, name: 'state' }).read();
  assert.ok(stored.generation === 'previous' && /missing/.test(stored.problem));
});

/** File calls of which the one with number `failing` (from 0) rejects with `code`; all calls on open files count too. */
function failingFiles(failing: number, code: string): { files: StoreFiles; calls: () => number } {
  let count = 0;
  const wrap = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(inner, key) {
        const value = Reflect.get(inner, key);
        if (typeof value !== 'function') return value;
        return async (...args: unknown[]) => {
          if (key !== 'close' && count++ === failing)
            throw Object.assign(new Error(`${code}: here`), { code });
          const result = await value.apply(inner, args);
          return key === 'open' ? wrap(result) : result;
        };
      },
    });
  // A module's exports are frozen; a proxy must be free to answer otherwise.
  return { files: wrap({ ...system }) as unknown as StoreFiles, calls: () => count };
}

test('whichever call finds the disk full, the write fails by name and the old or the new value is whole', async (context) => {
  const directory = await createFolder(context);
  let failures = 0;
  for (let failing = 0; ; failing++) {
    await rm(join(directory, 's'), { recursive: true, force: true });
    const plain = createFileStore({ directory: join(directory, 's'), name: 'state' });
    await plain.write(bytes('one'));
    await plain.write(bytes('two'));
    const { files, calls } = failingFiles(failing, 'ENOSPC');
    const store = createFileStore({ directory: join(directory, 's'), name: 'state', files });
    const outcome = await store.write(bytes('three')).then(
      () => 'written',
      (error) => error.code,
    );
    if (calls() <= failing) break;
    failures++;
    assert.equal(outcome, 'no-space', `call ${failing}`);
    const stored = await plain.read();
    assert.equal(stored.generation, 'current', `call ${failing}`);
    const value = stored.generation === 'current' ? Buffer.from(stored.bytes).toString() : '';
    assert.ok(['two', 'three'].includes(value), `call ${failing} left ${value}`);
    await store.write(bytes('four'));
    assert.deepEqual(await plain.read(), { generation: 'current', bytes: bytes('four') });
  }
  assert.ok(failures >= 8);
});

test('a file system without hard links keeps the generation before as a copy', async (context) => {
  const directory = await createFolder(context);
  const files: StoreFiles = {
    ...system,
    link: () => Promise.reject(Object.assign(new Error('EPERM: no links here'), { code: 'EPERM' })),
  };
  const store = createFileStore({ directory, name: 'state', files });
  await store.write(bytes('one'));
  await store.write(bytes('two'));
  await writeFile(join(directory, 'state'), 'damaged');
  const stored = await store.read();
  assert.deepEqual(stored.generation === 'previous' && stored.bytes, bytes('one'));
  assert.equal((await stat(join(directory, 'state.previous'))).mode & 0o777, 0o600);
});

test('killed in the middle of writing, the file holds a whole value, no older than the last that was confirmed', async (context) => {
  const directory = await createFolder(context);
  const writer = fileURLToPath(new URL('./fixtures/file-writer.ts', import.meta.url));
  for (const lines of [1, 2, 3, 5, 8]) {
    await rm(join(directory, 's'), { recursive: true, force: true });
    const child = spawn(process.execPath, [writer, join(directory, 's')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let confirmed = 0;
    createInterface({ input: child.stdout }).on('line', (line) => {
      confirmed = Number(line);
      if (confirmed === lines) child.kill('SIGKILL');
    });
    await once(child, 'close');
    const stored = await createFileStore({ directory: join(directory, 's'), name: 'state' }).read();
    assert.equal(stored.generation, 'current');
    const value = stored.generation === 'current' ? stored.bytes : new Uint8Array();
    assert.equal(value.length, 50_000);
    assert.ok(value.every((byte) => byte === value[0]));
    assert.ok((value[0] as number) >= confirmed && (value[0] as number) <= confirmed + 1);
  }
});

test('a medium that cannot be read is an error, not an empty store', async (context) => {
  const directory = await createFolder(context);
  const { files } = failingFiles(0, 'EIO');
  await assert.rejects(createFileStore({ directory, name: 'state', files }).read(), { code: 'failed' });
  const denied = failingFiles(0, 'EACCES').files;
  await assert.rejects(createFileStore({ directory, name: 'state', files: denied }).read(), {
    code: 'not-permitted',
  });
});
