import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from './source.ts';

/** Fails with the tool's own words. */
function passes(tool: string, args: readonly string[]): void {
  const done = spawnSync(join(ROOT, 'node_modules/.bin', tool), args, { cwd: ROOT, encoding: 'utf8' });
  assert.equal(done.status, 0, `${tool} ${args.join(' ')}\n${done.stdout}${done.stderr}${done.error ?? ''}`);
}

test('every file is formatted and passes the linter', () => {
  passes('biome', ['check', '--error-on-warnings', '--colors=off', '.']);
});

test('every type holds', () => {
  passes('tsc', ['--noEmit', '--pretty', 'false', '-p', 'tsconfig.json']);
});
