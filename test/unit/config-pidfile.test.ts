import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { acquirePidFile } from '../../src/daemon/pidfile.ts';

const MODULE = new URL('../../src/daemon/pidfile.ts', import.meta.url).pathname;

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weft-pid-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('a pid file has one holder until it is released', (t) => {
  const path = join(folderFor(t), 'state', 'weftd.pid');
  const held = acquirePidFile(path);
  assert.match(readFileSync(path, 'utf8'), new RegExp(`^${process.pid} `));
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.throws(() => acquirePidFile(path), {
    code: 'already-running',
    message: new RegExp(`process ${process.pid}`),
  });
  held.release();
  assert.equal(existsSync(path), false);
  held.release();
  acquirePidFile(path).release();
});

test('another process is kept out as well, and let in once the first has been killed', (t) => {
  const path = join(folderFor(t), 'weftd.pid');
  const script = `const { acquirePidFile } = await import(${JSON.stringify(MODULE)}); acquirePidFile(${JSON.stringify(path)}); process.kill(process.pid, 'SIGKILL');`;
  const { signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script]);
  assert.equal(signal, 'SIGKILL');
  assert.ok(existsSync(path));
  acquirePidFile(path).release();
  assert.deepEqual(readdirSync(join(path, '..')), []);
});

test('an id that belongs to another process now, another boot or nonsense is no holder', (t) => {
  const path = join(folderFor(t), 'weftd.pid');
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  for (const text of [
    `1 999999999999 ${boot}`,
    `${process.pid} 1 ${boot}`,
    `${process.pid} 1 x`,
    '',
    'x',
    '-1 2 3',
    '\0'.repeat(9),
  ]) {
    writeFileSync(path, text);
    acquirePidFile(path).release();
  }
});

test('of many that find a dead holder at once, exactly one gets the file', async (t) => {
  const path = join(folderFor(t), 'weftd.pid');
  writeFileSync(path, '1 1 dead');
  const script = `const { acquirePidFile } = await import(${JSON.stringify(MODULE)});
    process.stdin.once('data', () => {
      try { acquirePidFile(${JSON.stringify(path)}); console.log('held'); } catch (error) { console.log(error.code); }
      process.stdin.once('end', () => process.exit(0)).resume();
    });
    console.log('up');`;
  const children = Array.from({ length: 6 }, () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdout.setEncoding('utf8');
    return child;
  });
  await Promise.all(children.map((child) => once(child.stdout, 'data')));
  const answers = children.map((child) => once(child.stdout, 'data'));
  for (const child of children) child.stdin.write('go');
  const said = (await Promise.all(answers)).map(([text]) => String(text).trim());
  for (const child of children) child.stdin.end();
  assert.deepEqual(said.sort(), [...Array(5).fill('already-running'), 'held']);
});
