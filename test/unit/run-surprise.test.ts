import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FAILED } from '../../src/daemon/run.ts';

const WEFTD = join(import.meta.dirname, 'fixtures', 'surprised-weftd.ts');

for (const [where, origin] of [
  ['promise', 'unhandledRejection'],
  ['callback', 'uncaughtException'],
] as const) {
  test(`an error that nobody catches in a ${where} is logged and ends weftd with a code of its own`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'weft-surprise-'));
    try {
      const words = [WEFTD, `--state=${join(folder, 'state')}`, `--socket=${join(folder, 'weft.sock')}`];
      const { status, stderr } = spawnSync(process.execPath, words, {
        env: { ...process.env, SURPRISE: where },
        encoding: 'utf8',
        timeout: 60_000,
      });
      assert.equal(status, FAILED, stderr);
      const [line = ''] = stderr.split('\n').filter((one) => one.includes('weftd has failed'));
      assert.match(
        line,
        new RegExp(`error weftd has failed and ends origin=${origin} .*nobody expected this`),
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });
}
