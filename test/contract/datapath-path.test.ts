import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { missing, run, until } from './datapath-native-rig.ts';
import {
  dropsOf,
  inside,
  type PathHost,
  pathOfEachTest,
  snmp,
  stream,
  sysctl,
  transfer,
} from './datapath-path.ts';

/** What wires do to a data path, with real kernels at both ends; see the drawing in datapath-path.ts. */

const MEGABYTE = 1 << 20;

describe('datapath: real paths', { skip: missing() ?? false }, () => {
  const open = pathOfEachTest();

  test('a stream whose server cannot listen is an error and no wait, and the next one passes', async () => {
    const [one, two] = await open(2);
    const other = spawn('ip', ['netns', 'exec', two.namespace, 'iperf3', '-s', '--forceflush']);
    await once(other.stdout, 'data');
    await assert.rejects(stream(one, two, '-n', '1M'), /iperf3 does not listen/);
    other.kill('SIGKILL');
    await once(other, 'close');
    for (let count = 0; count < 2; count++) assert.ok((await stream(one, two, '-n', '1M')).bytes > 0);
  });

  for (const mtu of [1400, 1280])
    for (const mute of [false, true])
      test(`a wire of ${mtu} bytes in the middle that says ${mute ? 'nothing' : 'so'} carries a megabyte both ways`, async () => {
        const [one, two, { router }] = await open(2);
        run('ip', '-n', router, 'link', 'set', 'h2', 'mtu', `${mtu}`);
        run('ip', '-n', two.namespace, 'link', 'set', 'u0', 'mtu', `${mtu}`);
        if (mute) {
          inside(
            router,
            'nft',
            'add table ip mute; add chain ip mute out { type filter hook output priority 0; }',
          );
          inside(router, 'nft', 'add rule ip mute out icmp type destination-unreachable drop');
        }
        assert.equal(await transfer(one, two, MEGABYTE), MEGABYTE);
        assert.equal(await transfer(two, one, MEGABYTE), MEGABYTE);
        // A packet that fits the device fits, and one that does not is said to be too large.
        assert.match(ping(one, two, 1420 - 28), / 0% packet loss/);
        assert.match(ping(one, two, 1420 - 27), /message too long|Message too long/);
      });

  for (const mtu of [1400, 1280])
    for (const mute of [false, true])
      test(`an IPv6 wire of ${mtu} bytes in the middle that says ${mute ? 'nothing' : 'so'} carries a megabyte both ways`, async () => {
        const [one, two, { router, rekey }] = await open(2, {}, 'ipv6');
        if (mute) {
          inside(
            router,
            'nft',
            'add table ip6 mute; add chain ip6 mute out { type filter hook output priority 0; }',
          );
          inside(router, 'nft', 'add rule ip6 mute out icmpv6 type packet-too-big drop');
        }
        run('ip', '-n', router, 'link', 'set', 'h2', 'mtu', `${mtu}`);
        run('ip', '-n', two.namespace, 'link', 'set', 'u0', 'mtu', `${mtu}`);
        // With every key it is asked anew what the path carries.
        rekey(2, 2);
        if (mute) await until(() => /mtu ?[=:] ?1188/.test(ping(one, two, 1420 - 28)));
        assert.equal(await transfer(one, two, MEGABYTE), MEGABYTE);
        assert.equal(await transfer(two, one, MEGABYTE), MEGABYTE);
        assert.match(ping(one, two, 1188 - 28), / 0% packet loss/);
        if (mute) assert.ok((dropsOf(one).txTooLong ?? 0) > 0);
      });

  test('datagrams that a wire carries one by one are joined again where the device can, and taken as few', async () => {
    const [one, two, { router }] = await open(2);
    // A virtual device joins only what comes from one that does not segment.
    for (const [where, device] of [[one.namespace, 'u0'] as const, [router, 'h2'] as const])
      inside(where, 'ethtool', '-K', device, 'tso', 'off', 'gso', 'off', 'tx-udp-segmentation', 'off');
    inside(two.namespace, 'ethtool', '-K', 'u0', 'gro', 'on');
    assert.equal(await transfer(one, two, 4 * MEGABYTE), 4 * MEGABYTE);
    const packets = Number(two.datapath.counters().total.receivedPackets);
    const taken = snmp(two, 'snmp', 'Udp:', 'InDatagrams');
    assert.ok(taken < packets / 3, `${packets} packets in ${taken} messages`);
  });

  test('congestion that a router marks reaches the receiver, and only where both ends know ECN', async () => {
    const [one, two, { router }] = await open(2);
    for (const { namespace } of [one, two]) sysctl(namespace, 'net.ipv4.tcp_ecn=1');
    inside(
      router,
      'nft',
      'add table ip marks; add chain ip marks way { type filter hook forward priority 0; }',
    );
    const rule =
      'add rule ip marks way udp dport 6783 ip ecn != not-ect numgen inc mod 16 0 counter ip ecn set ce';
    inside(router, 'nft', rule);
    assert.equal(await transfer(one, two, 4 * MEGABYTE), 4 * MEGABYTE);
    const marked = Number(/packets (\d+)/.exec(inside(router, 'nft', 'list', 'table', 'ip', 'marks'))?.[1]);
    const seen = congestionSeen(two);
    assert.ok(marked > 0 && seen > 0, `${marked} runs were marked, ${seen} packets were seen so`);
    assert.deepEqual(dropsOf(two), {});
  });

  test('a mark on a packet whose sender knows no ECN drops it, and the drop is counted', async () => {
    const [one, two, { router }] = await open(2);
    inside(
      router,
      'nft',
      'add table ip marks; add chain ip marks way { type filter hook forward priority 0; }',
    );
    inside(router, 'nft', 'add rule ip marks way ip daddr 10.98.2.2 udp dport 6783 ip ecn set ce');
    assert.match(ping(one, two, 100), / 100% packet loss/);
    assert.deepEqual(dropsOf(two), { rxInner: 2 });
  });

  for (const copyDscp of [false, true])
    test(`the wire ${copyDscp ? 'sees what kind of traffic it is when that is asked for' : 'does not see what kind of traffic it is'}`, async () => {
      const [one, two, { router }] = await open(2, { copyDscp });
      inside(
        router,
        'nft',
        'add table ip kinds; add chain ip kinds way { type filter hook forward priority 0; }',
      );
      inside(router, 'nft', 'add rule ip kinds way udp dport 6783 ip dscp ef counter');
      inside(one.namespace, 'ping', '-q', '-c', '3', '-i', '0.02', '-Q', '0xb8', two.address);
      const counted = /packets (\d+)/.exec(inside(router, 'nft', 'list', 'table', 'ip', 'kinds'))?.[1];
      assert.equal(counted, copyDscp ? '6' : '0');
    });
});

function ping(from: PathHost, to: PathHost, size: number): string {
  return inside(
    from.namespace,
    'sh',
    '-c',
    `ping -M do -c 2 -i 0.05 -W 2 -s ${size} ${to.address} 2>&1 || true`,
  );
}

/** Packets with CE that a host's stack has taken in. */
const congestionSeen = (host: PathHost): number => snmp(host, 'netstat', 'IpExt:', 'InCEPkts');
