import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { build, type Plugin } from 'esbuild';

/**
 * Makes dist/ of src/: `weft` and `weftd` with all packages in them but the native one. What is bundled starts in a fraction of the
 * time and takes two thirds of the memory of the same source run as it is (test/bench says how much).
 */
const root = join(import.meta.dirname, '..');
const out = join(root, 'dist');

/**
 * An `import` of one of these runs every getter that it has, and with them come modules that nobody uses: of `node:http` the client of
 * WebSockets, which takes longer than all the rest of a command. Node gives them out without that, too.
 */
const leanBuiltins: Plugin = {
  name: 'lean-builtins',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:(http|process)$/ }, ({ path }) => ({ path, namespace: 'lean' }));
    onLoad({ filter: /.*/, namespace: 'lean' }, ({ path }) => ({
      contents: `module.exports=process.getBuiltinModule('${path}')`,
    }));
  },
};

const { outputFiles } = await build({
  write: false,
  absWorkingDir: root,
  entryPoints: ['src/cli/main.ts', 'src/daemon/main.ts', 'src/daemon/stand-in/main.ts'],
  outdir: out,
  outbase: 'src',
  // Two folders below package.json and native/, like the source: relative paths mean the same.
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  minifyWhitespace: true,
  legalComments: 'external',
  logLevel: 'warning',
  plugins: [leanBuiltins],
  // Some packages are CommonJS inside, and look for a `require` that modules do not have.
  banner: {
    js: "import{createRequire as requireFrom}from'node:module';const require=requireFrom(import.meta.url);",
  },
});

// What is the same is left alone, and the rest is replaced file by file: programs may be running from here.
const HASH = '#'.charCodeAt(0);
for (const { path, contents } of outputFiles) {
  const there = await readFile(path).catch(() => undefined);
  if (there?.equals(contents)) continue;
  await mkdir(dirname(path), { recursive: true });
  const aside = `${path}.${process.pid}`;
  await writeFile(aside, contents, { mode: contents[0] === HASH ? 0o755 : 0o644 });
  await rename(aside, path);
}
const made = new Set(outputFiles.map(({ path }) => path));
for (const entry of await readdir(out, { recursive: true, withFileTypes: true })) {
  const path = join(entry.parentPath, entry.name);
  if (entry.isFile() && !made.has(path)) await rm(path, { force: true });
}
