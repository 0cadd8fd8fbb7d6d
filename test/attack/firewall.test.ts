/*
 * SECURITY.md 3 and 14: what routes and sysctls alone let through, on a host as Docker and Cilium set one up (forwarding on all links, no
 * reverse path filter on any). Each attack is tried twice: with the tables `weft`, and without them, when it succeeds.
 *
 *   attacker 10.32.0.5 ──veth by Weft──┐
 *                                     host ──wire── lan 192.0.2.1
 *   neighbour 10.32.0.6 ─veth by Weft──┘   192.0.2.2, 2001:db8::2, exposed 10.32.0.9
 */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { EndpointId } from '../../src/core/ids.ts';
import { openLinks } from '../../src/host/bpf.ts';
import { createLinuxHost } from '../../src/host/linux.ts';
import type { Host } from '../../src/ports/host.ts';
import { silentLog } from '../hosts/log.ts';
import { createNamespaces, type Namespaces, needsRoot } from '../hosts/namespaces.ts';
import { until } from '../lab/wait.ts';

const MESH = { device: 'weft0', range: '10.32.0.0/12', mtu: 1400 };
const COUNT = 3;

for (const shortcut of [true, false]) {
  const how = shortcut ? 'with the shortcut' : 'alone';
  describe(`the firewall, ${how}`, { skip: needsRoot }, () => attacks(shortcut));
}

function attacks(shortcut: boolean): void {
  let net: Namespaces;
  let attacker: string;
  let neighbour: string;
  let lan: string;
  let link: string;
  let host: Host;

  const ip = (namespace: string, line: string) => net.run(namespace, 'ip', ...line.split(' '));
  const plug = (endpoint: string, sandbox: string, address: string) =>
    host.plug({ endpoint: endpoint as EndpointId, sandbox, address, mtu: 1400 });

  beforeEach(async () => {
    net = await createNamespaces();
    attacker = await net.add('attacker');
    neighbour = await net.add('neighbour');
    lan = await net.add('lan');
    const noWait = ['net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0'];
    await net.run('host', 'sysctl', '-qw', 'net.ipv4.ip_forward=1', ...noWait);
    await net.run(lan, 'sysctl', '-qw', ...noWait);
    for (const namespace of ['host', lan]) await ip(namespace, 'link set lo up');
    await ip('host', `link add wire type veth peer name wire netns ${lan}`);
    for (const [namespace, number] of [
      [lan, 1],
      ['host', 2],
    ] as const) {
      await ip(namespace, `address add 192.0.2.${number}/24 dev wire`);
      await ip(namespace, `address add 2001:db8::${number}/64 dev wire`);
      await ip(namespace, 'link set wire up');
    }
    host = createLinuxHost({
      stateDirectory: net.stateDirectory,
      netns: net.hostPath,
      shortcut,
      log: silentLog,
    });
    await host.prepare(MESH);
    await host.setNetworks([]);
    link = (await plug('attacker', attacker, '10.32.0.5/12')).hostLink;
    await plug('neighbour', neighbour, '10.32.0.6/12');
    await net.run('host', 'sysctl', '-qw', `net.ipv4.conf.${link}.rp_filter=0`);
    await host.setHostAddresses([{ address: '10.32.0.9/12' }]);
  });
  afterEach(() => net.close());

  /** Echo requests that arrive in `at` while `from` sends COUNT of them. */
  async function arriving(at: string, from: string, ...ping: string[]): Promise<number> {
    const before = await echoes(at);
    await net
      .run(from, 'ping', '-n', '-q', '-c', String(COUNT), '-i', '0.01', '-W', '0.3', ...ping)
      .catch(() => '');
    return (await echoes(at)) - before;
  }

  async function echoes(at: string): Promise<number> {
    const [v4, v6] = await Promise.all([
      net.run(at, 'cat', '/proc/net/snmp'),
      net.run(at, 'cat', '/proc/net/snmp6'),
    ]);
    const [names = [], values = []] = v4
      .split('\n')
      .filter((line) => line.startsWith('Icmp: '))
      .map((line) => line.split(' '));
    return Number(values[names.indexOf('InEchos')]) + Number(/^Icmp6InEchos\s+(\d+)/m.exec(v6)?.[1]);
  }

  /** Takes away the rules, and what would go past them. */
  async function open(): Promise<void> {
    await net.run('host', 'nft', 'flush', 'ruleset');
    if (!shortcut) return;
    const [{ ifindex }] = JSON.parse(await ip('host', `-j link show dev ${link}`));
    const links = openLinks(net.hostPath);
    await links.detach(ifindex, 'entrance', 'weft_container');
    links.close();
  }

  async function onlyWithout(attack: () => Promise<number>): Promise<void> {
    assert.equal(await attack(), 0, 'with the firewall');
    await open();
    assert.ok((await attack()) > 0, 'without it the attack must work, or this test shows nothing');
  }

  test('endpoints reach each other and the exposed host, and it reaches them', async () => {
    assert.equal(await arriving(neighbour, attacker, '10.32.0.6'), COUNT);
    assert.equal(await arriving('host', attacker, '10.32.0.9'), COUNT);
    assert.equal(await arriving(attacker, 'host', '10.32.0.5'), COUNT);
    assert.equal(await arriving('host', 'host', '10.32.0.9'), COUNT);
    assert.equal(await arriving(lan, 'host', '192.0.2.1'), COUNT);
    assert.equal(await arriving('host', lan, '192.0.2.2'), COUNT);
  });

  test("an endpoint cannot use a neighbour's address, nor any other", async () => {
    await ip(attacker, 'address add 10.32.0.77/32 dev eth0');
    assert.equal(await arriving(neighbour, attacker, '10.32.0.6'), COUNT);
    await onlyWithout(() => arriving(neighbour, attacker, '-I', '10.32.0.77', '10.32.0.6'));
  });

  test('an endpoint gets nowhere behind the host', async () => {
    await ip(attacker, 'route add 192.0.2.0/24 via 10.32.0.9');
    await ip(lan, 'route add 10.32.0.0/12 via 192.0.2.2');
    await onlyWithout(() => arriving(lan, attacker, '192.0.2.1'));
  });

  test('an endpoint does not reach the addresses that the host has for others', async () => {
    await ip(attacker, 'route add 192.0.2.0/24 via 10.32.0.9');
    await onlyWithout(() => arriving('host', attacker, '192.0.2.2'));
  });

  test('an endpoint does not reach the host by IPv6', async () => {
    const [{ address }] = JSON.parse(await ip('host', `-j link show dev ${link}`));
    await ip(attacker, 'address add 2001:db8:1::5/64 dev eth0 nodad');
    await ip(attacker, 'route add 2001:db8::/64 dev eth0');
    await ip(attacker, `neighbour add 2001:db8::2 lladdr ${address} dev eth0`);
    await onlyWithout(() => arriving('host', attacker, '-I', '2001:db8:1::5', '2001:db8::2'));
  });

  test('nothing in clear gets to an endpoint from the wire', async () => {
    await ip(lan, 'route add 10.32.0.0/12 via 192.0.2.2');
    await onlyWithout(() => arriving(attacker, lan, '10.32.0.5'));
  });

  test('nobody on the wire passes for an endpoint towards the host', async () => {
    await ip(lan, 'address add 10.32.7.7/32 dev wire');
    await onlyWithout(() => arriving('host', lan, '-I', '10.32.7.7', '192.0.2.2'));
  });

  test('nothing leaves in clear when another route, of a VPN say, takes a part of the mesh', async () => {
    await ip(lan, 'address add 10.33.0.1/32 dev wire');
    await ip('host', 'rule add priority 100 lookup main');
    await ip('host', 'route add 10.33.0.0/16 via 192.0.2.1');
    await onlyWithout(() => arriving(lan, attacker, '10.33.0.1'));
  });

  test("the host's own packets do not leave in clear either", async () => {
    await ip(lan, 'address add 10.33.0.1/32 dev wire');
    await ip('host', 'rule add priority 100 lookup main');
    await ip('host', 'route add 10.33.0.0/16 via 192.0.2.1');
    await onlyWithout(() => arriving(lan, 'host', '10.33.0.1'));
  });

  test('made-up senders of ARP questions do not fill the neighbour table of the host', async () => {
    const known = async () => (await ip('host', `neighbour show dev ${link}`)).split('\n').length - 2;
    const ask = async () => {
      for (let i = 1; i <= COUNT; i++) {
        await ip(attacker, `address add 10.40.0.${i}/32 dev eth0`);
        await ip(attacker, 'neighbour flush dev eth0');
        await net
          .run(attacker, 'ping', '-q', '-c', '1', '-W', '0.1', '-I', `10.40.0.${i}`, '10.32.0.6')
          .catch(() => '');
        await ip(attacker, `address del 10.40.0.${i}/32 dev eth0`);
      }
      return known();
    };
    await onlyWithout(ask);
  });

  test('a restart puts back what somebody flushed, and a replug with another address replaces the rule', async () => {
    await ip(attacker, 'address add 10.32.0.77/32 dev eth0');
    const spoof = () => arriving(neighbour, attacker, '-I', '10.32.0.77', '10.32.0.6');
    await net.run('host', 'nft', 'flush', 'ruleset');
    assert.ok((await spoof()) > 0);
    const rules = () => net.run('host', 'nft', '--stateless', 'list', 'ruleset');
    const next = createLinuxHost({
      stateDirectory: net.stateDirectory,
      netns: net.hostPath,
      shortcut,
      log: silentLog,
    });
    await next.prepare(MESH);
    assert.equal(await spoof(), 0);
    assert.equal(await arriving(neighbour, attacker, '10.32.0.6'), COUNT);
    const before = await rules();
    await plug('attacker', attacker, '10.32.0.5/12');
    assert.equal(await rules(), before);
    await next.unplug('attacker' as EndpointId);
    await plug('attacker', attacker, '10.32.0.8/12');
    assert.doesNotMatch(await rules(), /10\.32\.0\.5/);
    assert.equal(await arriving(neighbour, attacker, '10.32.0.6'), COUNT);
    await next.restore();
    assert.equal(await rules(), '');
  });

  test('one endpoint more, or one less, puts back what somebody flushed', async () => {
    await ip(attacker, 'address add 10.32.0.77/32 dev eth0');
    const spoof = () => arriving(neighbour, attacker, '-I', '10.32.0.77', '10.32.0.6');
    await open();
    assert.ok((await spoof()) > 0);
    await plug('third', await net.add('third'), '10.32.0.7/12');
    assert.equal(await spoof(), 0);
    await net.run('host', 'nft', 'flush', 'table', 'inet', 'weft');
    assert.ok((await spoof()) > 0);
    await host.unplug('third' as EndpointId);
    assert.equal(await spoof(), 0);
    assert.equal(await arriving(neighbour, attacker, '10.32.0.6'), COUNT);
  });

  test('while the firewall is watched, rules that somebody flushed out of our tables are back at once', async () => {
    await ip(attacker, 'address add 10.32.0.77/32 dev eth0');
    const rules = () => net.run('host', 'nft', '--stateless', 'list', 'table', 'inet', 'weft');
    const before = await rules();
    const unguard = await host.guard();
    for (const what of [['table'], ['chain', 'ours'], ['chain', 'arriving']] as const) {
      const [kind, ...chain] = what;
      await net.run('host', 'nft', 'flush', kind, 'inet', 'weft', ...chain);
      await until('the rules to be back', async () => (await rules()) === before);
      assert.equal(await arriving(neighbour, attacker, '-I', '10.32.0.77', '10.32.0.6'), 0);
    }
    await unguard();
  });

  test('an endpoint whose link somebody deleted has nothing left of its old address', async () => {
    await ip('host', `link del dev ${link}`);
    await plug('attacker', attacker, '10.32.0.8/12');
    await net.run('host', 'sysctl', '-qw', `net.ipv4.conf.${link}.rp_filter=0`);
    await ip(attacker, 'address add 10.32.0.5/32 dev eth0');
    assert.equal(await arriving(neighbour, attacker, '10.32.0.6'), COUNT);
    await onlyWithout(() => arriving(neighbour, attacker, '-I', '10.32.0.5', '10.32.0.6'));
  });
}
