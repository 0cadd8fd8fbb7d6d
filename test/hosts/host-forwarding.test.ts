import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createLinuxHost } from '../../src/host/linux.ts';
import { silentLog } from './log.ts';
import { createNamespaces, type Namespaces, needsRoot } from './namespaces.ts';

const MESH = { device: 'weft0', range: '10.32.0.0/12', mtu: 1400 };
const RULE = '-A FORWARD -s 10.32.0.0/12 -d 10.32.0.0/12 -m comment --comment weft -j ACCEPT';
const noIptables = existsSync('/usr/sbin/iptables') ? needsRoot : 'iptables is not installed';

describe('a chain FORWARD that somebody closed', { skip: noIptables }, () => {
  let net: Namespaces;
  const live = () =>
    createLinuxHost({ stateDirectory: net.stateDirectory, netns: net.hostPath, log: silentLog });
  const chain = async () => (await net.run('host', 'iptables', '-S', 'FORWARD')).trim().split('\n');

  beforeEach(async () => {
    net = await createNamespaces();
    await net.run('host', 'ip', 'link', 'set', 'lo', 'up');
  });
  afterEach(() => net.close());

  test('lets the mesh through and nothing else, once, until Weft goes', async () => {
    await net.run('host', 'iptables', '-P', 'FORWARD', 'DROP');
    await live().prepare(MESH);
    assert.deepEqual(await chain(), ['-P FORWARD DROP', RULE]);
    const host = live();
    await host.prepare(MESH);
    await host.admitForwarding();
    assert.deepEqual(await chain(), ['-P FORWARD DROP', RULE]);
    await host.restore();
    assert.deepEqual(await chain(), ['-P FORWARD DROP']);
  });

  test('is found when it is closed, or flushed, while Weft runs', async () => {
    const host = live();
    await host.prepare(MESH);
    assert.deepEqual(await chain(), ['-P FORWARD ACCEPT'], 'an open chain is left alone');
    await net.run('host', 'iptables', '-P', 'FORWARD', 'DROP');
    await host.admitForwarding();
    assert.deepEqual(await chain(), ['-P FORWARD DROP', RULE]);
    await net.run('host', 'iptables', '-F', 'FORWARD');
    await host.admitForwarding();
    assert.deepEqual(await chain(), ['-P FORWARD DROP', RULE]);
    await host.restore();
  });
});
