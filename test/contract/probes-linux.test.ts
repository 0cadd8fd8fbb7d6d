/*
 * Threads of Node cannot change their network namespace, and sockets for probes are opened in that of the process: so this file runs once more
 * inside of one that has the two devices, when it is not in there yet.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { openProbes } from '../../src/host/probes.ts';
import { createNamespaces, needsRoot } from '../hosts/namespaces.ts';
import { until } from '../lab/wait.ts';
import { probesContract } from './probes.ts';

const INSIDE = 'WEFT_TEST_INSIDE';
const ADDRESSES = { a: 'fe80::1', b: 'fe80::2' };
const DEVICES = { a: 'end-a', b: 'end-b' };
const PORT = 7_000;

if (process.env[INSIDE] === undefined) {
  test('sockets for probes on devices of Linux', { skip: needsRoot }, async () => {
    const net = await createNamespaces();
    try {
      await net.run('host', 'ip', 'link', 'add', DEVICES.a, 'type', 'veth', 'peer', 'name', DEVICES.b);
      for (const end of ['a', 'b'] as const) {
        const [device, address] = [DEVICES[end], ADDRESSES[end]];
        await net.run('host', 'ip', 'link', 'set', device, 'addrgenmode', 'none', 'up');
        await net.run('host', 'ip', 'address', 'add', `${address}/64`, 'dev', device, 'nodad');
      }
      const enter = ['nsenter', `--net=${net.hostPath}`, '--', process.execPath, '--test-reporter=tap'];
      const { NODE_TEST_CONTEXT: _, ...env } = process.env;
      const [program = '', ...words] = [...enter, import.meta.filename];
      const { stdout } = await promisify(execFile)(program, words, {
        env: { ...env, [INSIDE]: 'yes' },
      }).catch((error: { stdout?: string }) => assert.fail(error.stdout ?? String(error)));
      assert.match(stdout, /^# pass 5$/m);
    } finally {
      await net.close();
    }
  });
} else {
  probesContract('probes on devices', async () => ({
    addresses: ADDRESSES,
    open: (end, onMessage = () => {}) =>
      openProbes({ device: DEVICES[end], address: ADDRESSES[end], port: PORT, onMessage }),
    until: async (what, condition) => void (await until(what, condition)),
    async close() {},
  }));

  test('an address that the device has not is refused', async () => {
    const at = { device: DEVICES.a, port: PORT, onMessage() {} };
    await assert.rejects(openProbes({ ...at, address: 'fe80::3' }), /EADDRNOTAVAIL/);
    await assert.rejects(openProbes({ ...at, device: 'none', address: ADDRESSES.a }));
  });
}
