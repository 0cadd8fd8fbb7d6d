/*
 *   sandbox one ──veth── host ──veth── sandbox two
 *   10.32.0.5/12          │             10.32.0.6/12
 *                       weft0 (10.32.0.9 when exposed)
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { EndpointId } from '../../src/core/ids.ts';
import { createLinuxHost } from '../../src/host/linux.ts';
import type { Host, PlugResult } from '../../src/ports/host.ts';
import { silentLog } from './log.ts';
import { createNamespaces, type Namespaces, needsRoot } from './namespaces.ts';

const MESH = { device: 'weft0', range: '10.32.0.0/12', mtu: 1400 };
const ONE = 'one' as EndpointId;
const TWO = 'two' as EndpointId;

describe('endpoints of one host', { skip: needsRoot }, () => {
  let net: Namespaces;
  let host: Host;
  let one: string;
  let two: string;
  let first: PlugResult;

  beforeEach(async () => {
    net = await createNamespaces();
    host = createLinuxHost({ stateDirectory: net.stateDirectory, netns: net.hostPath, log: silentLog });
    one = await net.add('one');
    two = await net.add('two');
  });
  afterEach(() => net.close());

  async function plugBoth(): Promise<void> {
    await host.prepare(MESH);
    first = await host.plug({ endpoint: ONE, sandbox: one, address: '10.32.0.5/12', mtu: 1400 });
    await host.plug({ endpoint: TWO, sandbox: two, address: '10.32.0.6/12', mtu: 1400 });
  }

  /** One packet, with an answer well before the 0.8 s that the kernel may wait with a proxied ARP reply. */
  const ping = (from: string, to: string) => net.run(from, 'ping', '-n', '-q', '-c', '1', '-W', '1', to);

  async function sysctl(namespace: string, key: string): Promise<string> {
    return (await net.run(namespace, 'cat', `/proc/sys/net/${key}`)).trim();
  }

  test('two sandboxes reach each other, though the host forwards nothing else', async () => {
    await net.run('host', 'sysctl', '-qw', 'net.ipv4.ip_forward=0');
    await plugBoth();
    await ping(one, '10.32.0.6');
    await ping(two, '10.32.0.5');
    assert.equal(await sysctl('host', 'ipv4/ip_forward'), '0');
    assert.equal(await sysctl('host', 'ipv4/conf/lo/forwarding'), '0');
  });

  test('they do so where every new link is born strict and trusting', async () => {
    for (const namespace of ['host', one, two]) {
      await net.run(
        namespace,
        'sysctl',
        '-qw',
        'net.ipv4.conf.all.rp_filter=1',
        'net.ipv4.conf.default.rp_filter=1',
        'net.ipv6.conf.default.accept_ra=2',
        'net.ipv6.conf.default.autoconf=1',
      );
    }
    await plugBoth();
    await ping(one, '10.32.0.6');
    assert.equal(await sysctl(one, 'ipv6/conf/eth0/accept_ra'), '0');
    assert.equal(await sysctl(one, 'ipv6/conf/eth0/autoconf'), '0');
    for (const link of [first.hostLink, 'weft0']) {
      assert.equal(await sysctl('host', `ipv6/conf/${link}/accept_ra`), '0');
      assert.equal(await sysctl('host', `ipv6/conf/${link}/autoconf`), '0');
      assert.equal(await sysctl('host', `ipv4/conf/${link}/accept_redirects`), '0');
    }
  });

  test('TCP between them uses whole segments of the mesh', async () => {
    await plugBoth();
    const server = net.start(two, 'iperf3', '-s', '-p', '5201');
    const listening = async () => (await net.run(two, 'ss', '-Hltn', 'sport = 5201')) !== '';
    while (!(await listening()));
    const report = await net.run(one, 'iperf3', '-c', '10.32.0.6', '-n', '20M', '-J');
    server.stop();
    const { start, end } = JSON.parse(report) as {
      start: { tcp_mss_default: number };
      end: { sum_sent: { bytes: number } };
    };
    assert.ok(end.sum_sent.bytes >= 20 * 1024 * 1024, `${end.sum_sent.bytes} bytes`);
    assert.equal(start.tcp_mss_default, 1400 - 20 - 20 - 12);
  });

  test('the segmentation limits of both ends are the same as those of the device', async () => {
    await plugBoth();
    const limits = async (namespace: string, link: string) => {
      const [row] = JSON.parse(await net.run(namespace, 'ip', '-j', '-d', 'link', 'show', 'dev', link));
      return [row.gso_max_size, row.gso_max_segs];
    };
    assert.deepEqual(await limits(one, 'eth0'), await limits('host', 'weft0'));
    assert.deepEqual(await limits('host', first.hostLink), await limits('host', 'weft0'));
  });

  test('the host and its sandboxes reach each other once it has an address', async () => {
    await plugBoth();
    await host.setHostAddresses([{ address: '10.32.0.9/12' }]);
    await ping('host', '10.32.0.5');
    await ping(one, '10.32.0.9');
    const late = await net.add('late');
    await host.plug({ endpoint: 'late' as EndpointId, sandbox: late, address: '10.32.0.7/12', mtu: 1400 });
    await ping('host', '10.32.0.7');
    const towards = await net.run('host', 'ip', '-j', 'route', 'get', '10.47.1.1');
    assert.equal(JSON.parse(towards)[0].prefsrc, '10.32.0.9');
    await host.setHostAddresses([]);
    assert.doesNotMatch(await net.run('host', 'ip', '-4', 'address'), /10\.32\.0\.9/);
    assert.match(await net.run('host', 'ip', 'route', 'get', '10.47.1.1'), /dev weft0/);
    await ping(one, '10.32.0.7');
  });

  test('what belongs to the mesh goes to its device, and nowhere when that is gone', async () => {
    await net.run('host', 'ip', 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1');
    await net.run('host', 'ip', 'link', 'set', 'up0', 'up');
    await net.run('host', 'ip', 'address', 'add', '192.0.2.2/24', 'dev', 'up0');
    await net.run('host', 'ip', 'route', 'add', 'default', 'via', '192.0.2.1');
    await plugBoth();
    const route = await net.run('host', 'ip', '-j', 'route', 'get', '10.40.0.1');
    assert.equal(JSON.parse(route)[0].dev, 'weft0');
    await net.run('host', 'ip', 'link', 'del', 'weft0');
    await assert.rejects(net.run('host', 'ip', 'route', 'get', '10.40.0.1'), /No route to host/);
    await host.prepare(MESH);
    assert.match(await net.run('host', 'ip', 'route', 'get', '10.40.0.1'), /weft0/);
    await ping(one, '10.32.0.6');
  });

  test('no other route of the machine wins over the mesh, and none of the mesh is where other programs look', async () => {
    await net.run('host', 'ip', 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1');
    await net.run('host', 'ip', 'link', 'set', 'up0', 'up');
    await net.run('host', 'ip', 'address', 'add', '192.0.2.2/24', 'dev', 'up0');
    await plugBoth();
    await net.run('host', 'ip', 'route', 'add', '10.32.0.6/32', 'via', '192.0.2.1');
    await net.run('host', 'ip', 'route', 'add', '10.40.0.0/16', 'via', '192.0.2.1');
    await ping(one, '10.32.0.6');
    assert.match(await net.run('host', 'ip', 'route', 'get', '10.40.0.1'), /weft0/);
    assert.doesNotMatch(await net.run('host', 'ip', 'route'), /weft0|wft|unreachable/);
  });

  test('a sandbox cannot send with the address of its neighbour', async () => {
    await plugBoth();
    const third = await net.add('third');
    await host.plug({ endpoint: 'third' as EndpointId, sandbox: third, address: '10.32.0.8/12', mtu: 1400 });
    await ping(one, '10.32.0.8');
    await net.run(one, 'ip', 'address', 'add', '10.32.0.6/32', 'dev', 'lo');
    const spoof = net.run(
      one,
      'ping',
      '-n',
      '-q',
      '-c',
      '3',
      '-i',
      '0.2',
      '-W',
      '1',
      '-I',
      '10.32.0.6',
      '10.32.0.8',
    );
    await assert.rejects(spoof, /0 received/);
    const seen = await net.run(third, 'cat', '/proc/net/snmp');
    const [names = [], values = []] = seen
      .split('\n')
      .filter((line) => line.startsWith('Icmp:'))
      .map((line) => line.split(' '));
    assert.equal(values[names.indexOf('InEchos')], '1');
  });

  test('a process inside is as good a name for a sandbox as a path', async () => {
    await host.prepare(MESH);
    const sleeper = net.start(one, 'sleep', '60');
    const inside = async () => {
      const links = await Promise.all(
        [sleeper.pid, one].map((text) => host.locate(String(text)).catch(() => null)),
      );
      return links[0] !== null && links[0]?.namespace === links[1]?.namespace;
    };
    while (!(await inside()));
    const result = await host.plug({
      endpoint: ONE,
      sandbox: String(sleeper.pid),
      address: '10.32.0.5/12',
      mtu: 1400,
    });
    assert.equal(result.sandboxPath, `/proc/${sleeper.pid}/ns/net`);
    assert.match(await net.run(one, 'ip', '-4', 'address', 'show', 'dev', 'eth0'), /10\.32\.0\.5\/12/);
  });

  test("the host's own namespace, other kinds of namespaces and plain files are no sandboxes", async () => {
    await host.prepare(MESH);
    const refused = { code: 'sandbox-missing' };
    for (const text of [
      net.hostPath,
      '/proc/self/ns/mnt',
      '/etc/hostname',
      '/dev/null',
      '/proc',
      'a/b',
      '../x',
    ]) {
      await assert.rejects(host.locate(text), refused, text);
      await assert.rejects(
        host.plug({ endpoint: ONE, sandbox: text, address: '10.32.0.5/12', mtu: 1400 }),
        refused,
      );
    }
    assert.deepEqual(await host.plugged(), []);
  });
});
