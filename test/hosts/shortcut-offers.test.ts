/*
 * The shortcut while Docker starts a container. The kernel lets nobody change links while it gives one a program, so the container's own link gets
 * its program afterwards; the links that were there before keep theirs, and the daemon goes on.
 *
 *   one 10.32.0.5 ─┐
 *   two 10.32.0.6 ─┤ host
 *   new 10.32.0.7 ─┘ offered
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { EndpointId } from '../../src/core/ids.ts';
import { openLinks } from '../../src/host/bpf.ts';
import { createLinuxHost } from '../../src/host/linux.ts';
import type { Host } from '../../src/ports/host.ts';
import { until } from '../lab/wait.ts';
import { silentLog } from './log.ts';
import { createNamespaces, type Namespaces, needsRoot } from './namespaces.ts';

const COUNT = 3;

describe('the shortcut of a container that is being started', { skip: needsRoot }, () => {
  let net: Namespaces;
  let host: Host;
  let one: string;

  const ip = (namespace: string, line: string) => net.run(namespace, 'ip', ...line.split(' '));
  const plan = (endpoint: string, address: string) => ({
    ...{ endpoint: endpoint as EndpointId, address, mtu: 1400 },
  });

  beforeEach(async () => {
    net = await createNamespaces();
    one = await net.add('one');
    const two = await net.add('two');
    await ip('host', 'link set lo up');
    await net.run('host', 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
    host = createLinuxHost({
      stateDirectory: net.stateDirectory,
      netns: net.hostPath,
      log: silentLog,
    });
    await host.prepare({ device: 'weft0', range: '10.32.0.0/12', mtu: 1400 });
    await host.setNetworks([]);
    await host.setFastPath(null);
    await host.plug({ ...plan('one', '10.32.0.5/12'), sandbox: one });
    await host.plug({ ...plan('two', '10.32.0.6/12'), sandbox: two });
    await until('the shortcut between both', () => isDirect(one, '10.32.0.6'));
  });
  afterEach(() => net.close());

  /** Packets that the host's stack has forwarded (RFC 2011, ipForwDatagrams). */
  async function forwarded(): Promise<number> {
    const [names = '', values = ''] = (await net.run('host', 'grep', '^Ip:', '/proc/net/snmp')).split('\n');
    return Number(values.split(' ')[names.split(' ').indexOf('ForwDatagrams')]);
  }

  async function isDirect(from: string, to: string): Promise<boolean> {
    const before = await forwarded();
    await net.run(from, 'ping', '-n', '-q', '-c', `${COUNT}`, '-i', '0.01', '-W', '1', to);
    return (await forwarded()) === before;
  }

  test('others keep theirs, and its link gets one when Docker has moved it', async () => {
    const { link } = await host.offerLink(plan('new', '10.32.0.7/12'));
    await until('the shortcut to be open again', () => isDirect(one, '10.32.0.6'));
    const fresh = await net.add('new');
    await ip('host', `link set ${link} netns ${fresh} name eth0`);
    await ip(fresh, 'address add 10.32.0.7/12 dev eth0');
    await ip(fresh, 'link set eth0 up');
    await until('the shortcut from the new container', () => isDirect(fresh, '10.32.0.5'));
  });

  test('an offer that is withdrawn at once, with its link, closes nothing', async () => {
    await host.offerLink(plan('new', '10.32.0.7/12'));
    await host.unplug('new' as EndpointId);
    await host.offerLink(plan('next', '10.32.0.8/12'));
    await host.unplug('next' as EndpointId);
    await until('the shortcut to be open', () => isDirect(one, '10.32.0.6'));
  });

  test('a program is taken off a link beside the event loop; one that has gone is no error', async () => {
    const [{ ifindex, ifname }] = JSON.parse(await ip('host', '-j link show type veth'));
    const links = openLinks(net.hostPath);
    let turns = 0;
    const counting = setInterval(() => turns++, 0);
    await links.detach(ifindex, 'entrance', 'weft_container');
    clearInterval(counting);
    assert.ok(turns > 0, 'nothing else ran meanwhile');
    await ip('host', `link delete ${ifname}`);
    await links.detach(ifindex, 'entrance', 'weft_container');
    links.close();
  });
});
