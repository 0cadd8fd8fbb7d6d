import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readConfig, variableOf } from '../../src/daemon/config.ts';
import { OPTIONS } from '../../src/daemon/options.ts';

const FOLDER = join(import.meta.dirname, '..', '..', 'docker-plugin', 'managed');
const README = readFileSync(join(FOLDER, 'README.md'), 'utf8');

/** Docker's plugin configuration, version 1 (docs.docker.com/engine/extend/config): what is in ours. */
interface PluginConfig {
  readonly network: { readonly type: string };
  readonly propagatedMount: string;
  readonly linux: {
    readonly capabilities: readonly string[];
    readonly devices: readonly { readonly path: string }[];
  };
  readonly mounts: readonly { readonly name: string }[];
  readonly env: readonly {
    readonly name: string;
    readonly value: string;
    readonly settable?: readonly string[];
  }[];
}

const config = JSON.parse(readFileSync(join(FOLDER, 'config.json'), 'utf8')) as PluginConfig;

test('the managed plugin may do what its table gives a reason for, and nothing else', () => {
  const { network, propagatedMount, linux, mounts } = config;
  const asked = [
    ...linux.capabilities,
    `network: ${network.type}`,
    ...linux.devices.map(({ path }) => `device ${path}`),
    ...mounts.map(({ name }) => `mount ${name}`),
    `propagatedMount ${propagatedMount}`,
  ];
  const table = README.slice(README.indexOf('| asked for |'), README.indexOf('It has no process ids'));
  const explained = [...table.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name);
  assert.deepEqual(asked, explained);
  // Nothing that Docker would ask the user about is anywhere else: pidhost, ipchost, allowAllDevices …
  assert.deepEqual(Object.keys(config).sort(), [
    ...['description', 'documentation', 'entrypoint', 'env', 'interface', 'linux', 'mounts', 'network'],
    ...['propagatedMount', 'workdir'],
  ]);
  assert.deepEqual(Object.keys(linux), ['capabilities', 'devices']);
});

test('what can be set of the managed plugin are options of weftd, as they stand there, and its manual names each', () => {
  const known = OPTIONS.map(variableOf);
  for (const { name, settable } of config.env) {
    assert.ok(known.includes(name), name);
    assert.equal(README.includes(`\`${name}\``), settable !== undefined, name);
  }
  const env = Object.fromEntries(config.env.map(({ name, value }) => [name, value]));
  const read = readConfig({ argv: [], env, readFile: () => undefined, hostname: 'host-a' });
  assert.ok(read.kind === 'run');
  assert.deepEqual(read.notes, []);
  assert.deepEqual(
    [read.config.docker, read.config.dockerDriver, read.config.dockerScope, read.config.join],
    ['on', 'weft:latest', 'local', null],
  );
});
