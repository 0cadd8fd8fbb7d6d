/*
 * SECURITY.md 2, 3 and 14 for the kernel's own path: who may have packets unpacked here, and with which sources. The attackers have
 * kernel VXLAN devices with our VNI, port and Ethernet addresses, which are no secrets. Each attack that is refused is tried
 * again without the defences, when it must succeed.
 *
 *   peer      192.0.2.7, trusted, owns 10.40.0.0/16 ─┐
 *   other     192.0.2.8, trusted, owns 10.41.0.0/16 ─┤ wire ── host 192.0.2.1 ── container 10.32.0.5
 *   stranger  192.0.2.9 ─────────────────────────────┘
 *
 * All of it once more where they have 2001:db8:2::7 and so on instead.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { EndpointId } from '../../src/core/ids.ts';
import { openLinks } from '../../src/host/bpf.ts';
import { createLinuxHost } from '../../src/host/linux.ts';
import {
  FAST_PATH_DEVICES,
  type FastPathPlan,
  type Host,
  type UnderlayFamily,
} from '../../src/ports/host.ts';
import { silentLog } from '../hosts/log.ts';
import { createNamespaces, type Namespaces, needsRoot } from '../hosts/namespaces.ts';
import { until } from '../lab/wait.ts';

const VNI = 7_824_742;
const HOST_MAC = '06:57:00:00:00:01';
const CONTAINER = '10.32.0.5';
const COUNT = 3;

const WIRE: Readonly<Record<UnderlayFamily, { readonly prefix: string; readonly length: number }>> = {
  4: { prefix: '192.0.2.', length: 24 },
  6: { prefix: '2001:db8:2::', length: 64 },
};

for (const [family, shortcut] of [
  [4, true],
  [4, false],
  [6, true],
] as const) {
  const how = shortcut ? 'with its shortcut' : 'without BPF but for the classic one';
  describe(`the fast path over IPv${family}, ${how}`, { skip: needsRoot }, () => attacks(family, shortcut));
}

function attacks(family: UnderlayFamily, shortcut: boolean): void {
  const { prefix, length } = WIRE[family];
  const device = FAST_PATH_DEVICES[family];
  /** Over IPv6 what arrives is always checked by the table. */
  const byProgram = shortcut && family === 4;
  const at = (last: number) => `${prefix}${last}`;
  const peerAt = (last: number, second: number) => ({
    underlay: at(last),
    mac: `06:57:00:00:00:0${last}`,
    linkLocal: `fe80::${last}`,
    ranges: [
      { start: ((10 << 24) | (second << 16)) >>> 0, last: ((10 << 24) | (second << 16) | 0xffff) >>> 0 },
    ],
    mtu: 1400,
  });
  const PLAN: FastPathPlan = {
    vni: VNI,
    port: 4789,
    mac: HOST_MAC,
    linkLocal: 'fe80::1',
    own: [{ start: 0x0a200000, last: 0x0a20ffff }],
    peers: [peerAt(7, 40), peerAt(8, 41)],
  };

  let net: Namespaces;
  let host: Host;
  let container: string;
  const hosts = new Map<string, string>();
  const named = (name: string) => hosts.get(name) ?? name;
  const ip = (name: string, line: string) => net.run(named(name), 'ip', ...line.split(' '));

  beforeEach(async () => {
    net = await createNamespaces();
    container = await net.add('container');
    hosts.set('container', container);
    await ip('host', 'link set lo up');
    await ip('host', 'link add wire type bridge');
    await ip('host', 'link set wire up');
    await ip('host', `address add ${at(1)}/${length} dev wire nodad`);
    await ip('host', 'address add 198.51.100.9/32 dev lo');
    if (family === 4) await ip('host', 'route add default via 192.0.2.254');
    for (const [name, last] of [
      ['peer', 7],
      ['other', 8],
      ['stranger', 9],
    ] as const) {
      hosts.set(name, await net.add(name));
      await ip('host', `link add to-${name} type veth peer name eth0 netns ${named(name)}`);
      await ip('host', `link set to-${name} master wire up`);
      await ip(name, `address add ${at(last)}/${length} dev eth0 nodad`);
      await ip(name, 'link set eth0 up');
      await net.run(named(name), 'sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=0');
    }
    host = createLinuxHost({
      stateDirectory: net.stateDirectory,
      netns: net.hostPath,
      shortcut,
      log: silentLog,
    });
    await host.prepare({ device: 'weft0', range: '10.32.0.0/12', mtu: 1400 });
    await host.plug({
      endpoint: 'c' as EndpointId,
      sandbox: container,
      address: `${CONTAINER}/12`,
      mtu: 1400,
    });
    await host.setNetworks([]);
    await host.setFastPath(PLAN);
    await net.run('host', 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
  });
  afterEach(() => net.close());

  /** So that VXLAN comes in fragments. */
  const narrow = (name: string) => ip(name, 'link set eth0 mtu 1000');

  interface Attack {
    readonly from: string;
    readonly source: string;
    readonly to?: string;
    readonly vni?: number;
    /** Bytes of payload; more than the wire takes makes fragments. */
    readonly size?: number;
  }

  /** Echo requests that arrive in the container, or on the host where that is asked, of COUNT that are sent by VXLAN. */
  async function arriving({ from, source, to = CONTAINER, vni = VNI, size = 56 }: Attack): Promise<number> {
    const mac = PLAN.peers[0]?.mac ?? '';
    const receiver = to === CONTAINER ? 'container' : 'host';
    await ip(from, `link add vx address ${mac} mtu 1500 type vxlan id ${vni} dstport 4789 remote ${at(1)}`);
    // So that no discovery of IPv6 goes by it.
    await net.run(named(from), 'sysctl', '-qw', 'net.ipv6.conf.vx.disable_ipv6=1');
    await ip(from, 'link set vx up');
    await ip(from, `address add ${source}/32 dev vx`);
    await ip(from, `route add ${to} dev vx src ${source}`);
    await ip(from, `neighbour add ${to} lladdr ${HOST_MAC} dev vx`);
    const before = await echoes(receiver);
    const options = ['-n', '-q', '-c', String(COUNT), '-i', '0.01', '-W', '0.3', '-s', String(size)];
    await net.run(named(from), 'ping', ...options, '-I', source, to).catch(() => '');
    const arrived = (await echoes(receiver)) - before;
    await ip(from, 'link del vx');
    return arrived;
  }

  interface Fragments {
    readonly from: string;
    /** Of its address. */
    readonly last: number;
    readonly source: string;
    /** Bytes of the first fragment. */
    readonly first: number;
  }

  /** The same of what comes in two fragments. */
  async function fragmented({ from, last, source, first }: Fragments): Promise<number> {
    const before = await echoes('container');
    const words = [at(last), at(1), VNI, HOST_MAC, source, CONTAINER, first, COUNT].map(String);
    await net.run(named(from), 'perl', join(import.meta.dirname, 'fragments6.pl'), ...words);
    // When later ones have come and gone, these have been dealt with.
    const honest = await arriving({ from: 'other', source: '10.41.255.255' });
    return (await echoes('container')) - before - honest;
  }

  const echoes = (name: string) => counted(name, 'Icmp', 'InEchos');

  /** By RFC 2011's names. */
  async function counted(name: string, protocol: string, counter: string): Promise<number> {
    const text = await net.run(named(name), 'cat', '/proc/net/snmp');
    const [names = [], values = []] = text
      .split('\n')
      .filter((line) => line.startsWith(`${protocol}: `))
      .map((line) => line.split(' '));
    return Number(values[names.indexOf(counter)]);
  }

  async function open(): Promise<void> {
    await net.run('host', 'nft', 'flush', 'ruleset');
    if (!byProgram) return void (await net.run('host', 'tc', 'qdisc', 'del', 'dev', device, 'clsact'));
    const [{ ifindex }] = JSON.parse(await ip('host', `-j link show dev ${device}`));
    const links = openLinks(net.hostPath);
    await links.detach(ifindex, 'entrance', 'weft_vxlan');
    links.close();
  }

  /** Packets that the host's stack has forwarded: none that took the shortcut. */
  const routed = () => counted('host', 'Ip', 'ForwDatagrams');

  async function onlyWithoutDefences(attack: Attack): Promise<void> {
    assert.equal(await arriving(attack), 0, 'with the defences');
    await open();
    assert.equal(await arriving(attack), COUNT, 'without them it must arrive, or this test shows nothing');
  }

  test('a trusted peer reaches a container from its own addresses', async () => {
    assert.equal(await arriving({ from: 'peer', source: '10.40.1.1' }), COUNT);
    assert.equal(await arriving({ from: 'other', source: '10.41.255.255' }), COUNT);
    assert.equal((await routed()) === 0, byProgram, 'by the shortcut where there is one');
  });

  test('what a peer sends and is sent is counted for it alone, without outer headers', async () => {
    const countsOf = async (underlay: string) => {
      const { peers = [] } = (await host.fastPath()) ?? {};
      const { sent, received } = peers.find((peer) => peer.underlay === underlay) ?? assert.fail(underlay);
      return { sent, received };
    };
    // An echo request of IPv4 20, ICMP 8 and 56, and the answer.
    const echoes = (packets: number) => ({ packets, bytes: packets * 84 });
    assert.equal(await arriving({ from: 'peer', source: '10.40.1.1' }), COUNT);
    assert.equal(await arriving({ from: 'stranger', source: '10.40.1.1' }), 0);
    assert.deepEqual(await countsOf(at(7)), { sent: echoes(COUNT), received: echoes(COUNT) });
    assert.deepEqual(await countsOf(at(8)), { sent: echoes(0), received: echoes(0) });
    const [seven, eight] = PLAN.peers;
    assert.ok(seven && eight);
    await host.setFastPath({ ...PLAN, peers: [seven, { ...eight, mtu: 1_300 }] });
    assert.deepEqual(await countsOf(at(7)), { sent: echoes(COUNT), received: echoes(COUNT) });
  });

  test("a stranger does not get VXLAN unpacked, whatever peer's address it writes inside", () =>
    onlyWithoutDefences({ from: 'stranger', source: '10.40.1.1' }));

  test('a trusted peer cannot pass for another one', () =>
    onlyWithoutDefences({ from: 'peer', source: '10.41.0.1' }));

  test('a trusted peer cannot pass for a container of this host', () =>
    onlyWithoutDefences({ from: 'peer', source: '10.32.0.77' }));

  test('a trusted peer cannot pass for somebody outside of the mesh', () =>
    onlyWithoutDefences({ from: 'peer', source: '203.0.113.7' }));

  if (family === 4) {
    test('fragments of a stranger are not unpacked either', async () => {
      await narrow('stranger');
      await onlyWithoutDefences({ from: 'stranger', source: '10.40.1.1', size: 1_200 });
    });

    test("fragments do not hide a trusted peer's wrong source, and do no harm to a right one", async () => {
      await narrow('peer');
      assert.equal(await arriving({ from: 'peer', source: '10.40.0.1', size: 1_200 }), COUNT);
      await onlyWithoutDefences({ from: 'peer', source: '10.41.0.1', size: 1_200 });
    });
  } else {
    test('fragments are judged by the first, and one that is too short to judge by lets nothing in', async () => {
      // UDP 8, VXLAN 8, Ethernet 14, IPv4 20 and 6 of the echo request.
      const [whole, short] = [56, 8];
      assert.equal(await fragmented({ from: 'peer', last: 7, source: '10.40.0.1', first: whole }), COUNT);
      const attacks = [whole, short].flatMap((first) => [
        { from: 'stranger', last: 9, source: '10.40.0.1', first },
        { from: 'peer', last: 7, source: '10.41.0.1', first },
      ]);
      for (const attack of attacks) assert.equal(await fragmented(attack), 0, JSON.stringify(attack));
      await open();
      for (const attack of attacks) assert.equal(await fragmented(attack), COUNT, JSON.stringify(attack));
    });
  }

  test('a trusted peer does not reach what the host has for others', () =>
    onlyWithoutDefences({ from: 'peer', source: '10.40.1.1', to: '198.51.100.9' }));

  test('another VNI is none of ours: nothing arrives', async () => {
    assert.equal(await arriving({ from: 'peer', source: '10.40.1.1', vni: VNI + 1 }), 0);
  });

  test('whoever flushes the firewall closes the path, and the next look opens it again', async () => {
    const attack = { from: 'stranger', source: '10.40.1.1' };
    const honest = { from: 'peer', source: '10.40.1.1' };
    await net.run('host', 'nft', 'flush', 'ruleset');
    assert.equal(await arriving(attack), 0);
    assert.equal(await arriving(honest), 0);
    await host.setFastPath(PLAN);
    await host.prepare({ device: 'weft0', range: '10.32.0.0/12', mtu: 1400 });
    assert.equal(await arriving(honest), COUNT);
    assert.equal(await arriving(attack), 0);
  });

  test('while the firewall is watched, what somebody flushed is back before the next look', async () => {
    const unguard = await host.guard();
    await net.run('host', 'nft', 'flush', 'ruleset');
    const honest = async () => (await arriving({ from: 'peer', source: '10.40.1.1' })) === COUNT;
    await until('the path to be open again', honest);
    assert.equal(await arriving({ from: 'stranger', source: '10.40.1.1' }), 0);
    await unguard();
  });

  test('a peer that is trusted no more is a stranger from that moment', async () => {
    await host.setFastPath({ ...PLAN, peers: [peerAt(8, 41)] });
    assert.equal(await arriving({ from: 'peer', source: '10.40.1.1' }), 0);
    assert.equal(await arriving({ from: 'other', source: '10.41.0.1' }), COUNT);
  });

  test('addresses that change hands are taken from their new owner alone', async () => {
    const [seven, eight] = [peerAt(7, 40), peerAt(8, 41)];
    const swapped = [
      { ...seven, ranges: eight.ranges },
      { ...eight, ranges: seven.ranges },
    ];
    await host.setFastPath({ ...PLAN, peers: swapped });
    assert.equal(await arriving({ from: 'peer', source: '10.40.1.1' }), 0);
    assert.equal(await arriving({ from: 'other', source: '10.40.1.1' }), COUNT);
  });

  test("VXLAN of others on the same port is let be, and ours leaves for trusted peers' addresses only", async () => {
    await ip('host', `link add others type vxlan id 42 dstport 4789 nolearning remote ${at(9)}`);
    await ip('host', 'link set others up');
    await ip('host', 'address add 198.51.100.1/24 dev others');
    await ip('stranger', `link add others type vxlan id 42 dstport 4789 nolearning remote ${at(1)}`);
    await ip('stranger', 'link set others up');
    await ip('stranger', 'address add 198.51.100.2/24 dev others');
    await net.run('host', 'ping', '-q', '-c', '1', '-W', '2', '198.51.100.2');
    const entry = ['06:57:00:00:00:07', 'dev', device, 'dst', at(9), 'self', 'permanent'];
    await net.run('host', 'bridge', 'fdb', 'replace', ...entry);
    await net.run(container, 'ping', '-q', '-c', '1', '-W', '0.5', '10.40.0.1').catch(() => '');
    const chain = byProgram ? 'leaving' : 'leave';
    const words = ['list', 'chain', family === 4 ? 'ip' : 'ip6', 'weft_vxlan', chain];
    assert.match(await net.run('host', 'nft', ...words), /counter packets [1-9]\d* bytes \d+ drop/);
  });
}
