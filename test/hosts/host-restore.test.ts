import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { EndpointId } from '../../src/core/ids.ts';
import { createLinuxHost } from '../../src/host/linux.ts';
import { silentLog } from './log.ts';
import { createNamespaces, type Namespaces, needsRoot } from './namespaces.ts';
import { snapshot } from './snapshot.ts';

const MESH = { device: 'weft0', range: '10.32.0.0/12', mtu: 1400 };

describe('what Weft leaves on a machine', { skip: needsRoot }, () => {
  let net: Namespaces;
  let one: string;
  const live = () =>
    createLinuxHost({ stateDirectory: net.stateDirectory, netns: net.hostPath, log: silentLog });

  beforeEach(async () => {
    net = await createNamespaces();
    one = await net.add('one');
    // Without duplicate detection no address changes its state by itself between two looks.
    await net.run(
      'host',
      'sysctl',
      '-qw',
      'net.ipv6.conf.all.accept_dad=0',
      'net.ipv6.conf.default.accept_dad=0',
    );
    // A host that is used for something, with an uplink, a default route and a bridge.
    for (const line of [
      'link set lo up',
      'link add up0 type veth peer name up1',
      'link set up1 up',
      'link set up0 up',
      'address add 192.0.2.2/24 dev up0',
      'route add default via 192.0.2.1',
      'link add br0 type bridge',
      'rule add from 192.0.2.2 lookup 100',
    ]) {
      await net.run('host', 'ip', ...line.split(' '));
    }
    await net.run(one, 'ip', 'link', 'set', 'lo', 'up');
  });
  afterEach(() => net.close());

  test('a restore leaves links, routes, rules, sysctls and nftables as they were', async () => {
    const before = [await snapshot(net, 'host'), await snapshot(net, one)];
    const host = live();
    await host.prepare(MESH);
    for (const [endpoint, sandbox, address] of [
      ['a', one, '10.32.0.5/12'],
      ['b', one, '10.32.0.6/12'],
    ] as const) {
      await host.plug({ endpoint: endpoint as EndpointId, sandbox, address, mtu: 1400 });
    }
    await host.setHostAddresses([{ address: '10.32.0.9/12' }, { address: '10.40.1.1/24' }]);
    assert.notDeepEqual([await snapshot(net, 'host'), await snapshot(net, one)], before);
    await live().restore();
    assert.deepEqual([await snapshot(net, 'host'), await snapshot(net, one)], before);
  });

  test('an unplug leaves the sandbox and the host as they were', async () => {
    const host = live();
    await host.prepare(MESH);
    const before = [await snapshot(net, 'host'), await snapshot(net, one)];
    await host.plug({ endpoint: 'a' as EndpointId, sandbox: one, address: '10.32.0.5/12', mtu: 1400 });
    await host.unplug('a' as EndpointId);
    assert.deepEqual([await snapshot(net, 'host'), await snapshot(net, one)], before);
  });

  test('a second prepare changes nothing, and one with another range moves the routes', async () => {
    await live().prepare(MESH);
    const before = await snapshot(net, 'host');
    await live().prepare(MESH);
    assert.deepEqual(await snapshot(net, 'host'), before);
    await live().prepare({ ...MESH, range: '10.96.0.0/12', mtu: 1300 });
    const routes = await net.run('host', 'ip', 'route', 'show', 'table', 'all', 'proto', '173');
    assert.doesNotMatch(routes, /10\.32\./);
    assert.match(routes, /^10\.96\.0\.0\/12 dev weft0/m);
  });

  test('the device is what the data path opens: TUN, virtio-net header, one queue, short', async () => {
    await live().prepare(MESH);
    const [link] = JSON.parse(await net.run('host', 'ip', '-j', '-d', 'link', 'show', 'dev', 'weft0'));
    const { type, pi, vnet_hdr, multi_queue, persist } = link.linkinfo.info_data;
    assert.deepEqual(
      { type, pi, vnet_hdr, multi_queue, persist, mtu: link.mtu, queue: link.txqlen },
      { type: 'tun', pi: false, vnet_hdr: true, multi_queue: false, persist: true, mtu: 1400, queue: 500 },
    );
  });

  test('a daemon that runs in the namespace itself does as one that is told of it', async () => {
    const look = async () => {
      const { sysctls, routes4 } = await snapshot(net, 'host');
      return { routes4, sysctls: sysctls?.split('\n').filter((line) => line.includes('.weft0.')) };
    };
    await live().prepare(MESH);
    const told = await look();
    assert.ok(told.sysctls?.includes('net.ipv4.conf.weft0.forwarding = 1'));
    await live().restore();
    const life = join(import.meta.dirname, 'host-life.ts');
    await net.run('host', process.execPath, life, '', net.stateDirectory, one);
    const { routes4, sysctls } = await look();
    assert.deepEqual([routes4, sysctls], [told.routes4, told.sysctls]);
  });

  test('a user can be given the device', async () => {
    const { stateDirectory, hostPath: netns } = net;
    await createLinuxHost({ deviceOwner: 65534, stateDirectory, netns, log: silentLog }).prepare(MESH);
    const [link] = JSON.parse(await net.run('host', 'ip', '-j', '-d', 'link', 'show', 'dev', 'weft0'));
    assert.equal(link.linkinfo.info_data.user, 'nobody');
  });

  test('a range that hides something of the host is refused by the name of that', async () => {
    const refusal = async (range: string) => {
      return live()
        .prepare({ ...MESH, range })
        .then(() => 'prepared')
        .catch((error) => `${error.code}: ${error.message}`);
    };
    assert.match(
      await refusal('192.0.2.0/28'),
      /^range-overlap: .* address 192\.0\.2\.2\/24 of up0.*--range/,
    );
    await net.run('host', 'ip', 'route', 'add', '10.33.0.0/16', 'via', '192.0.2.1');
    assert.match(await refusal('10.32.0.0/12'), /^range-overlap: .* route 10\.33\.0\.0\/16 dev up0.*--range/);
    await net.run('host', 'ip', 'route', 'add', '10.64.0.0/10', 'via', '192.0.2.1', 'table', '77');
    assert.match(await refusal('10.96.0.0/12'), /route 10\.64\.0\.0\/10 dev up0 \(table 77\)/);
    assert.match(await refusal('10.32.0.1/12'), /^bad-request/);
    assert.doesNotMatch(await net.run('host', 'ip', 'link'), /weft0/);
    await net.run('host', 'ip', 'route', 'add', '0.0.0.0/1', 'via', '192.0.2.1');
    assert.equal(await refusal('172.16.0.0/16'), 'prepared');
  });

  test("a device of another's making is refused and left alone", async () => {
    await net.run('host', 'ip', 'tuntap', 'add', 'dev', 'weft0', 'mode', 'tun');
    await assert.rejects(live().prepare(MESH), { code: 'device-taken' });
    await live().restore();
    assert.match(await net.run('host', 'ip', 'link'), /weft0/);
    await live().prepare({ ...MESH, device: 'weft1' });
  });
});
