import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Import, importsOf, type SourceFile, sources } from './source.ts';

interface Layer {
  readonly folder: string;
  /** Folders of src/ that it may import besides itself. */
  readonly layers: readonly string[];
  /** Node's own modules. */
  readonly node: boolean;
  /** npm packages; `only` narrows one to a file or folder. */
  readonly packages?: readonly { readonly name: RegExp; readonly only: string }[];
}

/** ARCHITECTURE: dependencies point one way. daemon/ is the composition root and may import everything. */
const LAYERS: readonly Layer[] = [
  { folder: 'src/core', layers: [], node: false },
  {
    folder: 'src/ports',
    layers: ['core'],
    node: false,
    packages: [{ name: /^node:/, only: 'src/ports/memory/' }],
  },
  {
    folder: 'src/mesh',
    layers: ['core', 'ports'],
    node: false,
    packages: [
      { name: /^msgpackr(\/|$)/, only: 'src/mesh/codec.ts' },
      {
        name: /^(libp2p|@libp2p\/[a-z-]+|@chainsafe\/libp2p-noise|@multiformats\/multiaddr)(\/|$)/,
        only: 'src/mesh/libp2p/',
      },
      { name: /^node:/, only: 'src/mesh/libp2p/' },
    ],
  },
  { folder: 'src/host', layers: ['core', 'ports'], node: true },
  { folder: 'src/datapath', layers: ['core', 'ports'], node: true },
  { folder: 'src/attach', layers: ['core', 'ports'], node: false },
  {
    folder: 'src/doors',
    layers: ['core', 'ports'],
    node: true,
    packages: [{ name: /^dns-packet$/, only: 'src/doors/dns/message.ts' }],
  },
  { folder: 'docker-plugin', layers: ['core', 'ports'], node: true },
  {
    folder: 'src/cli',
    layers: [],
    node: true,
    packages: [{ name: /^commander$/, only: 'src/cli/' }],
  },
];

/** Makes dist/ and is no part of it. */
const BUILD = 'src/build.ts';

/** Imports across the direction, each with its reason. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  'src/datapath/addon.ts imports native/index.cjs': 'the addon itself, a package of its own',
  'src/host/namespace-socket.ts imports native/index.cjs': 'the same addon, for sockets in other namespaces',
};

for (const layer of LAYERS) {
  test(`${layer.folder} imports only what lies below it`, () => {
    const wrong = sources(layer.folder).flatMap((file) =>
      importsOf(file)
        .filter((found) => !allowed(layer, file, found))
        .map((found) => `${file.path} imports ${found.target ?? found.specifier}`)
        .filter((line) => !(line in EXCEPTIONS)),
    );
    assert.deepEqual(wrong, []);
  });
}

function allowed(layer: Layer, file: SourceFile, found: Import): boolean {
  if (found.target === undefined) return allowedPackage(layer, file, found.specifier);
  if (found.target.startsWith(`${layer.folder}/`)) return true;
  if (layer.folder === 'src/cli') return found.typeOnly && found.target.startsWith('src/doors/');
  return layer.layers.some((name) => found.target?.startsWith(`src/${name}/`));
}

function allowedPackage(layer: Layer, file: SourceFile, specifier: string): boolean {
  if (layer.node && specifier.startsWith('node:')) return true;
  return (layer.packages ?? []).some(({ name, only }) => name.test(specifier) && file.path.startsWith(only));
}

test('what answers Docker cannot ask it back', () => {
  const answering = sources('docker-plugin').filter(({ path }) => !path.startsWith('docker-plugin/engine/'));
  const wrong = answering.flatMap((file) =>
    importsOf(file)
      .filter(({ target, specifier }) => {
        const client = specifier === 'node:http' && file.path !== 'docker-plugin/server.ts';
        return client || target?.startsWith('docker-plugin/engine/');
      })
      .map((found) => `${file.path} imports ${found.target ?? found.specifier}`),
  );
  assert.ok(answering.length > 5);
  assert.deepEqual(wrong, []);
});

test('every folder of src has its place in the order', () => {
  const known = [...LAYERS.map((layer) => layer.folder), 'src/daemon'];
  const inPlace = (path: string) => path === BUILD || known.some((folder) => path.startsWith(`${folder}/`));
  const strays = sources('src').filter((file) => !inPlace(file.path));
  assert.deepEqual(
    strays.map((file) => file.path),
    [],
  );
});

test('nothing that ships imports the tests', () => {
  const wrong = [...sources('src'), ...sources('docker-plugin')].flatMap((file) =>
    importsOf(file)
      .filter((found) => found.target?.startsWith('test/'))
      .map((found) => `${file.path} imports ${found.target}`),
  );
  assert.deepEqual(wrong, []);
});

test('an import is seen in each of its forms', () => {
  const code = [
    "import { a } from './a.ts';",
    "import type { B } from '../ports/b.ts';",
    "export { c } from './c.ts';",
    'import {\n  d,\n} from "node:fs";',
    "import 'side-effect';",
    "const e = await import('late');",
  ].join('\n');
  assert.deepEqual(importsOf({ path: 'src/core/x.ts', text: code, code }), [
    { specifier: './a.ts', typeOnly: false, target: 'src/core/a.ts' },
    { specifier: '../ports/b.ts', typeOnly: true, target: 'src/ports/b.ts' },
    { specifier: './c.ts', typeOnly: false, target: 'src/core/c.ts' },
    { specifier: 'node:fs', typeOnly: false },
    { specifier: 'side-effect', typeOnly: false },
    { specifier: 'late', typeOnly: false },
  ]);
});
