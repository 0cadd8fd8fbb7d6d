import assert from 'node:assert/strict';
import { test } from 'node:test';
import { processIo } from '../../src/cli/io.ts';
import { createProgram } from '../../src/cli/program.ts';
import { read, repositoryFiles } from './source.ts';

interface Manifest {
  readonly scripts: Record<string, string>;
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
}

const manifest = JSON.parse(read('package.json')) as Manifest;
const lock = JSON.parse(read('package-lock.json')) as {
  packages: Record<string, { version?: string; integrity?: string; resolved?: string }>;
};

test('every dependency has an exact version', () => {
  for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
    assert.match(version, /^\d+\.\d+\.\d+$/, name);
  }
});

test('the lockfile names every package by version and content, and no registry', () => {
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (path === '') continue;
    assert.ok(entry.version, `${path} has no version: npm ci refuses such a lockfile`);
    assert.ok(entry.integrity, `${path} has no integrity`);
    assert.equal(entry.resolved, undefined, path);
  }
});

test('every npm command that a document names exists', () => {
  const builtIn = new Set(['ci', 'install', 'test', 'run', 'start', 'rebuild']);
  for (const path of repositoryFiles().filter((name) => name.endsWith('.md'))) {
    for (const match of read(path).matchAll(/(?:^|`)npm (?:run ([a-z:-]+)|([a-z]+))/gm)) {
      const [, script, command] = match;
      if (script !== undefined) assert.ok(script in manifest.scripts, `${path}: npm run ${script}`);
      else assert.ok(builtIn.has(command ?? ''), `${path}: npm ${command}`);
    }
  }
});

test('every weft command that a document names exists', () => {
  const program = createProgram({ ...processIo, out: () => {}, err: () => {} }, async () => {});
  const commands = new Set(['help', ...program.commands.map((command) => command.name())]);
  for (const path of repositoryFiles().filter((name) => name.endsWith('.md'))) {
    for (const match of read(path).matchAll(/(?:^\s*|`)weft ([a-z]+)\b/gm)) {
      assert.ok(commands.has(match[1] ?? ''), `${path}: ${match[0]}`);
    }
  }
});

test('every file that a document points to exists', () => {
  const files = repositoryFiles();
  const there = (target: string) => files.some((path) => path === target || path.startsWith(`${target}/`));
  for (const path of files.filter((name) => name.endsWith('.md'))) {
    for (const match of read(path).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)) {
      const folder = path.split('/').slice(0, -1).join('/');
      const target = new URL(match[1] ?? '', `file:///${folder ? `${folder}/` : ''}`).pathname.slice(1);
      assert.ok(there(target.replace(/\/$/, '')), `${path}: ${match[1]}`);
    }
  }
});
