import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { missing, run } from './datapath-native-rig.ts';
import {
  dropsOf,
  inside,
  type Path,
  type PathHost,
  pathOfEachTest,
  sysctl,
  transfer,
} from './datapath-path.ts';
import { IPV6_PREFIX } from './datapath-rig.ts';

/**
 * IPv6 inside the tunnel, with real kernels at both ends, over wires of both families; see the drawing in datapath-path.ts. The addresses
 * are the mesh's prefix and the IPv4 addresses of the drawing: fd12:3456:789a::10.32.0.1.
 */

const MEGABYTE = 1 << 20;
const MTU = 1420;

describe('datapath: IPv6 inside', { skip: missing() ?? false }, () => {
  const openEach = pathOfEachTest();
  const open = (wire: 'ipv4' | 'ipv6' = 'ipv4') => openEach(2, { ipv6Prefix: IPV6_PREFIX.text }, wire);
  const ipv6 = (host: PathHost): PathHost => ({ ...host, address: host.address6 });

  for (const wire of ['ipv4', 'ipv6'] as const)
    test(`a stream over ${wire} leaves one kernel and reaches the other as few large packets`, async () => {
      const [one, two] = await open(wire);
      // The outer header of IPv6 is larger; nothing should have to be fragmented.
      if (wire === 'ipv6')
        for (const { namespace } of [one, two])
          run('ip', '-n', namespace, 'link', 'set', 'weft0', 'mtu', '1400');
      for (const [from, to] of [
        [one, two],
        [two, one],
      ] as const) {
        const before = [from, to].map(countsOf);
        assert.equal(await transfer(from, ipv6(to), 4 * MEGABYTE), 4 * MEGABYTE);
        const [sender, receiver] = [from, to].map((host, at) => since(before[at] as Counts, countsOf(host)));
        assert.ok(sender && receiver);
        // Each packet of the path is one that fits the wire.
        assert.ok(sender.left < sender.sent / 3, `${sender.left} packets became ${sender.sent}`);
        assert.ok(
          receiver.came < receiver.received / 3,
          `${receiver.received} packets became ${receiver.came}`,
        );
      }
      assert.deepEqual([faultsOf(one), faultsOf(two)], [{}, {}]);
    });

  test('a kernel that must cut and join by itself carries the same', async () => {
    const parts = ['tunSegmentation', 'tunUdpSegmentation', 'udpSegmentation', 'udpCoalescing'] as const;
    const [one, two] = await openEach(2, { ipv6Prefix: IPV6_PREFIX.text, without: parts });
    assert.equal(await transfer(one, ipv6(two), MEGABYTE), MEGABYTE);
    assert.deepEqual([faultsOf(one), faultsOf(two)], [{}, {}]);
  });

  test('containers of two hosts reach each other, and one host the container of another', async () => {
    const [one, two, path] = await open();
    const [near, far] = [container(path, one, 5), container(path, two, 5)];
    assert.equal(await transfer(near, ipv6(far), 4 * MEGABYTE), 4 * MEGABYTE);
    assert.equal(await transfer(far, ipv6(near), MEGABYTE), MEGABYTE);
    assert.equal(await transfer(one, ipv6(far), MEGABYTE), MEGABYTE);
    assert.match(ping(near, ipv6(far), 1000), / 0% packet loss/);
  });

  test('a packet of the size of the device fits, and a larger one is said to be too large or goes in fragments', async () => {
    const [one, two] = await open();
    assert.match(ping(one, ipv6(two), MTU - 48, '-M', 'do'), / 0% packet loss/);
    assert.match(ping(one, ipv6(two), MTU - 47, '-M', 'do'), /[Mm]essage too long/);
    for (const size of [1, MTU - 47, 3001, 60_001])
      assert.match(ping(one, ipv6(two), size), / 0% packet loss/, `${size}`);
    assert.deepEqual([faultsOf(one), faultsOf(two)], [{}, {}]);
  });

  test('congestion that a router marks reaches the receiver', async () => {
    const [one, two, { router }] = await open();
    for (const { namespace } of [one, two]) sysctl(namespace, 'net.ipv4.tcp_ecn=1');
    const chain = 'chain ip marks way { type filter hook forward priority 0; }';
    inside(router, 'nft', `add table ip marks; add ${chain}`);
    const rule = 'udp dport 6783 ip ecn != not-ect numgen inc mod 16 0 ip ecn set ce';
    inside(router, 'nft', `add rule ip marks way ${rule}`);
    assert.equal(await transfer(one, ipv6(two), 4 * MEGABYTE), 4 * MEGABYTE);
    assert.ok(snmp6(two, 'Ip6InCEPkts') > 0);
    assert.deepEqual(faultsOf(two), {});
  });

  test('the wire sees what kind of traffic it is when that is asked for', async () => {
    const [one, two, { router }] = await openEach(2, { ipv6Prefix: IPV6_PREFIX.text, copyDscp: true });
    const chain = 'chain ip kinds way { type filter hook forward priority 0; }';
    inside(router, 'nft', `add table ip kinds; add ${chain}`);
    inside(router, 'nft', 'add rule ip kinds way udp dport 6783 ip dscp ef counter');
    inside(one.namespace, 'ping', '-q', '-c', '3', '-i', '0.02', '-Q', '0xb8', two.address6);
    const counted = /packets (\d+)/.exec(inside(router, 'nft', 'list', 'table', 'ip', 'kinds'))?.[1];
    assert.equal(counted, '6');
  });
});

/** A namespace behind a host, with the address `last` of the host's range, that lives as long as the host's. */
function container(path: Path, host: PathHost, last: number): PathHost {
  const namespace = `${host.namespace}c`;
  const address = host.address.replace(/1$/, `${last}`);
  const address6 = host.address6.replace(/1$/, `${last}`);
  run('ip', 'netns', 'add', namespace);
  path.alsoEnd(() => run('ip', 'netns', 'del', namespace));
  run(
    'ip',
    'link',
    'add',
    'eth0',
    'netns',
    namespace,
    'type',
    'veth',
    'peer',
    'name',
    'c0',
    'netns',
    host.namespace,
  );
  for (const [where, device] of [
    [namespace, 'eth0'],
    [host.namespace, 'c0'],
  ] as const) {
    sysctl(where, `net.ipv6.conf.${device}.disable_ipv6=0`);
    run('ip', '-n', where, 'link', 'set', device, 'mtu', `${MTU}`, 'up');
  }
  sysctl(host.namespace, 'net.ipv6.conf.all.forwarding=1');
  run('ip', '-n', host.namespace, 'address', 'add', 'fe80::1/64', 'dev', 'c0', 'nodad');
  run('ip', '-n', host.namespace, 'route', 'add', `${address6}/128`, 'dev', 'c0');
  run('ip', '-n', namespace, 'address', 'add', `${address6}/128`, 'dev', 'eth0', 'nodad');
  run('ip', '-n', namespace, 'route', 'add', 'default', 'via', 'fe80::1', 'dev', 'eth0');
  return { ...host, namespace, address, address6 };
}

function ping(from: PathHost, to: PathHost, size: number, ...flags: string[]): string {
  const command = `ping ${flags.join(' ')} -c 2 -i 0.05 -W 5 -s ${size} ${to.address} 2>&1 || true`;
  return inside(from.namespace, 'sh', '-c', command);
}

interface Counts {
  /** Packets that the kernel gave to its devices, and got from them. */
  readonly left: number;
  readonly came: number;
  /** Packets on the wire. */
  readonly sent: number;
  readonly received: number;
}

function countsOf(host: PathHost): Counts {
  const { sentPackets, receivedPackets } = host.datapath.counters().total;
  const [left, came] = [snmp6(host, 'Ip6OutRequests'), snmp6(host, 'Ip6InReceives')];
  return { left, came, sent: Number(sentPackets), received: Number(receivedPackets) };
}

const since = (before: Counts, now: Counts): Counts => ({
  left: now.left - before.left,
  came: now.came - before.came,
  sent: now.sent - before.sent,
  received: now.received - before.received,
});

/** Of IPv6; on a wire of IPv6 the outer packets count, too, so few there says as much. */
function snmp6(host: PathHost, name: string): number {
  const line = inside(host.namespace, 'cat', '/proc/net/snmp6')
    .split('\n')
    .find((one) => one.startsWith(`${name} `));
  return Number(line?.split(/\s+/)[1] ?? 0);
}

/** What was dropped, but for what a kernel asks its neighbours by itself. */
function faultsOf(host: PathHost) {
  const { txNoRoute: _, ...others } = dropsOf(host);
  return others;
}
