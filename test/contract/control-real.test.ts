import { join } from 'node:path';
import { test } from 'node:test';
import { createNamespaces, needsRoot } from '../hosts/namespaces.ts';

/** The daemon changes the network of where it runs, so the contract runs in a namespace and in a process of its own. */
const CONTRACT = join(import.meta.dirname, 'fixtures', 'control-daemon.ts');

test('the daemon is a Control like its twin', { skip: needsRoot, timeout: 120_000 }, async () => {
  const namespaces = await createNamespaces();
  try {
    const sandboxes = [await namespaces.add('one'), await namespaces.add('two')];
    await namespaces.run('host', 'ip', 'link', 'set', 'lo', 'up');
    await namespaces.run('host', 'ip', 'link', 'add', 'u0', 'type', 'veth', 'peer', 'name', 'u1');
    await namespaces.run('host', 'ip', 'address', 'add', '198.18.0.1/24', 'dev', 'u0');
    await namespaces.run('host', 'ip', 'link', 'set', 'u0', 'up');
    await namespaces.run('host', 'ip', 'link', 'set', 'u1', 'up');
    const command = ['--test', '--test-reporter=spec', CONTRACT];
    const environment = `WEFT_SANDBOXES=${sandboxes.join(' ')}`;
    await namespaces.run('host', 'env', '-u', 'NODE_TEST_CONTEXT', environment, process.execPath, ...command);
  } finally {
    await namespaces.close();
  }
});
