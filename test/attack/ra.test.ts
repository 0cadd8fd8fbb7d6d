/*
 * SECURITY.md 1: a router advertisement from a container takes the host's IPv6 default route (CVE-2020-11091, -13597, -10749).
 *
 *   attacker ──veth by Weft── host ──veth by Weft── neighbour
 *      └───────plain veth──────┘                                 control: here the same packets do their harm
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { EndpointId } from '../../src/core/ids.ts';
import { createLinuxHost } from '../../src/host/linux.ts';
import { silentLog } from '../hosts/log.ts';
import { createNamespaces, type Namespaces, needsRoot } from '../hosts/namespaces.ts';

const SCRIPT = join(import.meta.dirname, 'ra.pl');
const COUNT = 5;

describe('router advertisements from an endpoint', { skip: needsRoot }, () => {
  let net: Namespaces;
  let attacker: string;
  let neighbour: string;
  let link: string;

  beforeEach(async () => {
    net = await createNamespaces();
    attacker = await net.add('attacker');
    neighbour = await net.add('neighbour');
    const trusting = ['net.ipv6.conf.all.accept_ra=2', 'net.ipv6.conf.default.accept_ra=2'];
    const noWait = ['net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0'];
    for (const namespace of ['host', attacker, neighbour]) {
      await net.run(namespace, 'sysctl', '-qw', ...trusting, ...noWait);
    }
    const host = createLinuxHost({ stateDirectory: net.stateDirectory, netns: net.hostPath, log: silentLog });
    await host.prepare({ device: 'weft0', range: '10.32.0.0/12', mtu: 1400 });
    const plug = async (endpoint: string, sandbox: string, address: string) => {
      return host.plug({ endpoint: endpoint as EndpointId, sandbox, address, mtu: 1400 });
    };
    link = (await plug('attacker', attacker, '10.32.0.5/12')).hostLink;
    await plug('neighbour', neighbour, '10.32.0.6/12');
  });
  afterEach(() => net.close());

  const ipv6 = async (namespace: string) => ({
    routes: await net.run(namespace, 'ip', '-6', 'route', 'show', 'table', 'all'),
    addresses: await net.run(namespace, 'ip', '-6', '-o', 'address', 'show', 'scope', 'global'),
  });

  /** Advertisements that the kernel has handled on this link. */
  async function received(namespace: string, on: string): Promise<number> {
    const lines = await net.run(namespace, 'cat', `/proc/net/dev_snmp6/${on}`);
    return Number(/^Icmp6InRouterAdvertisements\s+(\d+)/m.exec(lines)?.[1]);
  }

  test('the firewall keeps them from the host', async () => {
    await net.run(attacker, 'perl', SCRIPT, 'eth0', String(COUNT));
    const dropped = async () => {
      const rules = await net.run('host', 'nft', 'list', 'chain', 'inet', 'weft', 'ours');
      return [...rules.matchAll(/counter packets (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
    };
    while ((await dropped()) < COUNT);
    assert.equal(await received('host', link), 0);
  });

  test('where it is gone they reach the host and change nothing there, nor at a neighbour', async () => {
    await net.run('host', 'nft', 'flush', 'ruleset');
    const before = [await ipv6('host'), await ipv6(neighbour)];
    await net.run(attacker, 'perl', SCRIPT, 'eth0', String(COUNT));
    while ((await received('host', link)) < COUNT);
    assert.deepEqual([await ipv6('host'), await ipv6(neighbour)], before);
    assert.equal(await received(neighbour, 'eth0'), 0);
  });

  test('the same packets on a link that is not ours take the default route', async () => {
    await net.run(
      'host',
      'ip',
      'link',
      'add',
      'plain',
      'type',
      'veth',
      'peer',
      'name',
      'plain',
      'netns',
      attacker,
    );
    await net.run('host', 'ip', 'link', 'set', 'plain', 'up');
    await net.run(attacker, 'ip', 'link', 'set', 'plain', 'up');
    await net.run(attacker, 'perl', SCRIPT, 'plain', String(COUNT));
    while ((await received('host', 'plain')) < COUNT);
    const { routes, addresses } = await ipv6('host');
    assert.match(routes, /^default .*dev plain proto ra/m);
    assert.match(addresses, /2001:db8:bad::?/);
  });

  test('an endpoint takes none from the host either', async () => {
    const before = await ipv6(attacker);
    await net.run('host', 'ip', 'address', 'add', 'fe80::1/64', 'dev', link);
    await net.run('host', 'perl', SCRIPT, link, String(COUNT));
    while ((await received(attacker, 'eth0')) < COUNT);
    assert.deepEqual(await ipv6(attacker), before);
  });
});
