import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { openNativeDatapath } from '../../src/datapath/native.ts';
import { createNativeRig, missing, run, until } from './datapath-native-rig.ts';
import { HERE, key, packet, ROUTES, SLOT, THERE } from './datapath-rig.ts';

/** What a person reads when the machine does not let the data path start, and what is left behind: nothing. */

const reason = missing();
const ROOT = join(import.meta.dirname, '../..');
const quiet = { device: 'weft0', address: '127.0.0.1', port: 0, onEvent: () => {} };

describe('datapath: faults of the machine', { skip: reason ?? false }, () => {
  const rig = createNativeRig();
  afterEach(() => rig.end());

  test('a port in use, a busy device and a link of another kind are named with what to do', async () => {
    const host = await rig.openNative();
    const deviceNamespace = `/var/run/netns/${host.namespace}`;
    const taken = createSocket('udp4').bind(0, '127.0.0.1');
    await once(taken, 'listening');
    const cases = [
      [
        { device: 'weft1', port: taken.address().port },
        'port-taken',
        /UDP port \d+ on 127\.0\.0\.1 is in use/,
      ],
      [{ device: 'weft1', address: '203.0.113.9' }, 'address-missing', /not an address of this host/],
      [{}, 'device-busy', /weft0 is in use by another process/],
      [{ device: 'lo' }, 'device-taken', /lo is a link of another kind/],
      [{ deviceNamespace: '/var/run/netns/weft-none' }, 'namespace-missing', /check its path/],
      [{ device: '../x' }, 'bad-argument', /not a device name/],
      [{ address: 'localhost' }, 'bad-argument', /not an IP address/],
      [{ port: 70_000 }, 'bad-argument', /not a port/],
      [{ queues: 5 }, 'bad-argument', /queues/],
    ] as const;
    for (const [change, code, message] of cases)
      await assert.rejects(openNativeDatapath({ ...quiet, deviceNamespace, ...change }), { code, message });
    taken.close();
    assert.doesNotMatch(run('ip', '-n', host.namespace, 'link'), /weft1/);
  });

  test('a port is free again after closing', async () => {
    const host = await rig.openNative();
    const { port } = host.datapath;
    await rig.end();
    const again = await rig.openNative({ port });
    assert.equal(again.datapath.port, port);
  });

  test('a device that was made beforehand is adopted and outlives the data path', async () => {
    const first = await rig.openNative();
    await rig.end();
    for (const queues of ['', 'multi_queue']) {
      const flags = ['mode', 'tun', ...queues.split(' ').filter(Boolean)];
      run('ip', '-n', first.namespace, 'tuntap', 'add', 'weft7', ...flags);
      const deviceNamespace = `/var/run/netns/${first.namespace}`;
      for (const wanted of [1, 2]) {
        const path = await openNativeDatapath({ ...quiet, device: 'weft7', deviceNamespace, queues: wanted });
        assert.equal(path.features.queues, queues === '' ? 1 : wanted);
        await path.close();
        assert.match(run('ip', '-n', first.namespace, 'link', 'show', 'weft7'), /weft7/);
      }
      run('ip', '-n', first.namespace, 'link', 'del', 'weft7');
    }
  });

  test('a device that is deleted while it is used is reported once', async () => {
    const host = await rig.openNative();
    run('ip', '-n', host.namespace, 'link', 'del', 'weft0');
    await until(() => host.events.length > 0);
    assert.equal(host.events.length, 1);
    const [event] = host.events;
    assert.ok(event?.type === 'failed' && /weft0 is gone/.test(event.message));
  });

  test('packets to a place that refuses them are counted, and the path goes on', async () => {
    const host = await rig.openNative();
    const peer = await rig.stranger();
    host.datapath.setRoutes(ROUTES);
    // A loopback socket has no way to an outside address.
    host.datapath.setPeer(SLOT, { address: '203.0.113.9', port: 9 });
    host.datapath.setKeys(SLOT, [key()]);
    host.send(packet(HERE, THERE));
    await until(() => host.datapath.counters().drops.txQueue === 1n);
    host.datapath.setPeer(SLOT, peer.endpoint);
    host.send(packet(HERE, THERE));
    await until(() => peer.received.length === 2);
  });

  test('several queues share one port and each packet arrives once', async () => {
    const host = await rig.openNative({ queues: 4 });
    assert.equal(host.datapath.features.queues, 4);
    host.datapath.setRoutes(ROUTES);
    const peer = await rig.stranger();
    host.datapath.setPeer(SLOT, peer.endpoint);
    host.datapath.setKeys(SLOT, [key()]);
    for (let i = 0; i < 200; i++) {
      const one = packet(HERE, THERE + (i % 100), `${i}`);
      host.send(one);
      const header = { type: 1, lane: i % 4, index: key().receiveIndex, counter: BigInt(i >> 2) };
      const body = packet(THERE, HERE, `${i}`);
      for (let copy = 0; copy < 2; copy++)
        peer.send(host.endpoint, rig.seal(key().receiveKey, 'aes-256-gcm', header, body));
    }
    await until(() => peer.received.length === 201 && host.datapath.counters().drops.rxReplayed === 200n);
    await until(() => host.received.length === 200);
    const nonces = new Set(peer.received.map((one) => Buffer.from(one).subarray(0, 16).toString('hex')));
    assert.equal(nonces.size, 201);
  });

  test('without the driver, without the right and without the binary it says so in one line', () => {
    const open = [
      `import { openNativeDatapath } from '${ROOT}/src/datapath/native.ts';`,
      `openNativeDatapath({ device: 'weft9', address: '127.0.0.1', port: 0, onEvent() {} })`,
      '  .catch((error) => console.log(error.code + ": " + error.message));',
    ].join('\n');
    // What this process may have been preloaded with (native/test/sanitize.sh) is for node alone: a shell does not survive it.
    const { LD_PRELOAD: preload = '', ...environment } = process.env;
    const node = ['env', `LD_PRELOAD=${preload}`, process.execPath, '--input-type=module', '-e', open];
    const say = (command: string[], env = {}): string =>
      spawnSync(command[0] as string, command.slice(1), { encoding: 'utf8', env: { ...environment, ...env } })
        .stdout;

    const hide = 'mount -t tmpfs none /dev/net && exec "$@"';
    assert.match(
      say(['unshare', '--mount', 'sh', '-c', hide, 'sh', ...node]),
      /^no-tun: .*modprobe tun.*\n$/,
    );
    const bound = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin', ...node];
    assert.match(say(bound), /^not-permitted: .*run as root.*\n$/);
    const nowhere = { TUN_TAP_NAPI_BINARY: '/nonexistent/x.node' };
    assert.match(say(node, nowhere), /^not-built: .*build it with.*\n$/);
  });

  test('a process that ends with the path open, being closed or forgotten ends cleanly', async () => {
    const { namespace } = await rig.openNative();
    const endings = {
      open: '',
      exit: 'process.exit(0)',
      closing: 'path.close(); process.exit(0)',
      forgotten: 'path = undefined; gc(); setImmediate(gc)',
    };
    for (const [name, ending] of Object.entries(endings)) {
      const script = [
        `const { openNativeDatapath } = await import('${ROOT}/src/datapath/native.ts');`,
        `const where = { deviceNamespace: '/var/run/netns/${namespace}', address: '127.0.0.1', port: 0 };`,
        `let path = await openNativeDatapath({ ...where, device: 'weft5', onEvent() {} });`,
        ending,
      ].join('\n');
      const node = ['--expose-gc', '--input-type=module', '-e', script];
      const { status, signal, stderr } = spawnSync(process.execPath, node, {
        encoding: 'utf8',
        timeout: 20_000,
      });
      assert.deepEqual({ status, signal, stderr }, { status: 0, signal: null, stderr: '' }, name);
    }
  });

  test('a file that is no addon is refused in one line', () => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-addon-'));
    const fake = join(folder, 'fake.node');
    cpSync(import.meta.filename, fake);
    chmodSync(fake, 0o600);
    const script = `import('${ROOT}/src/datapath/addon.ts').then((m) => m.loadAddon()).catch((e) => console.log(e.code))`;
    const options = { encoding: 'utf8', env: { ...process.env, TUN_TAP_NAPI_BINARY: fake } } as const;
    assert.equal(spawnSync(process.execPath, ['-e', script], options).stdout, 'not-built\n');
    rmSync(folder, { recursive: true });
  });
});
