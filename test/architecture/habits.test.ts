import assert from 'node:assert/strict';
import { test } from 'node:test';
import { places, read, repositoryFiles, sources } from './source.ts';

/** About 300 lines is what a reader takes in; a suite of stories may be longer. */
const LONGEST_SOURCE = 340;
const LONGEST_TEST = 500;

/** Files that may be longer, each with its reason. */
const LONG_FILES: Readonly<Record<string, string>> = {
  'src/doors/error-table.ts': 'one table, read by its keys',
};

/** Where time and randomness come in; the virtual clock lets the event loop turn between its timers. */
const ADAPTERS = ['src/host/', 'src/ports/memory/clock.ts'];

const TIME_OR_CHANCE = new RegExp(
  [
    String.raw`\bDate\b`,
    String.raw`(?<![.\w])(?:set|clear)(?:Timeout|Interval|Immediate)\b`,
    String.raw`\bMath\.random\b`,
    String.raw`\brandom(?:Bytes|UUID|Int|FillSync|Fill)\b`,
    String.raw`\bgetRandomValues\b`,
    String.raw`\bperformance\.`,
    String.raw`\bhrtime\b`,
    String.raw`\bAbortSignal\.timeout\b`,
    "'node:timers",
  ].join('|'),
  'g',
);

test('only the adapters of Clock and Random touch time and randomness', () => {
  const files = [...sources('src'), ...sources('docker-plugin')];
  const users = files.filter((file) => !ADAPTERS.some((adapter) => file.path.startsWith(adapter)));
  assert.deepEqual(
    users.flatMap((file) => places(file, TIME_OR_CHANCE)),
    [],
  );
});

test('the search for time and randomness finds them', () => {
  const code =
    "new Date();\nsetTimeout(f, 1);\nserver.setTimeout(5);\nMath.random();\nimport 'node:timers/promises';";
  const found = places({ path: 'x.ts', text: code, code }, TIME_OR_CHANCE);
  assert.deepEqual(found, ['x.ts:1 Date', 'x.ts:2 setTimeout', 'x.ts:4 Math.random', "x.ts:5 'node:timers"]);
});

test('a reader takes in each file at once', () => {
  const long = repositoryFiles()
    .filter((path) => /^(src|native|docker-plugin|test)\/.*\.(ts|cc|h|sh)$/.test(path))
    .map((path) => ({ path, lines: read(path).split('\n').length - 1 }))
    .filter(({ path, lines }) => lines > longest(path) && !(path in LONG_FILES));
  assert.deepEqual(long, []);
});

function longest(path: string): number {
  return path.startsWith('test/') ? LONGEST_TEST : LONGEST_SOURCE;
}

test('no file leaves work for an unnamed somebody', () => {
  const marker = new RegExp(['TO', 'DO|FIX', 'ME|X', 'XX'].join(''), 'g');
  const found = [...sources('src'), ...sources('docker-plugin'), ...sources('test')].flatMap((file) =>
    [...file.text.matchAll(marker)].map((match) => `${file.path}: ${match[0]}`),
  );
  assert.deepEqual(found, []);
});

test('the top of the repository holds what the design names and nothing else', () => {
  const folders = new Set(
    repositoryFiles().flatMap((path) => (path.includes('/') ? [path.split('/')[0]] : [])),
  );
  const known = ['.ci', 'docker-plugin', 'docs', 'examples', 'native', 'src', 'test'];
  assert.deepEqual(
    [...folders].filter((name) => !known.includes(name ?? '')),
    [],
  );
});
