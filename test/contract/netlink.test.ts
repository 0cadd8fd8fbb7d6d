/*
 * What src/host/ reads from the kernel and changes in it by netlink, next to what iproute2 makes and says, in two namespaces:
 *
 *   host ── weft-a ═══ eth0 ── inside
 */
import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { apply, type Change } from '../../src/host/changes.ts';
import { hostNamespace, openedNamespace } from '../../src/host/namespace.ts';
import { change } from '../../src/host/netlink.ts';
import { addElements, linkAndAddress, MOST_ELEMENTS } from '../../src/host/set-elements.ts';
import {
  readEntries,
  readLinks,
  readLinksAndNeighbours,
  readLinksAndRoutes,
  readRules,
  readSentPackets,
} from '../../src/host/tables.ts';
import { createNamespaces, type Namespaces, needsRoot } from '../hosts/namespaces.ts';

describe('netlink', { skip: needsRoot }, () => {
  let net: Namespaces;
  let sandbox: string;
  before(async () => {
    net = await createNamespaces();
    sandbox = await net.add('inside');
  });
  after(() => net.close());
  const ip = (...words: string[]) => net.run('host', 'ip', ...words);
  const host = () => hostNamespace(net.hostPath);

  test('packets that a link has sent are counted in its own namespace, and one that is missing has sent none', async () => {
    await ip('link', 'add', 'weft-sent', 'type', 'veth', 'peer', 'name', 'weft-other');
    for (const link of ['weft-sent', 'weft-other']) await ip('link', 'set', link, 'up');
    await ip('address', 'add', '192.0.2.1/24', 'dev', 'weft-sent');
    const before = await readSentPackets(host(), 'weft-sent');
    await net.run('host', 'ping', '-q', '-c', '3', '-i', '0.01', '-W', '0.1', '192.0.2.2').catch(() => '');
    const [{ stats64 }] = JSON.parse(await ip('-j', '-s', 'link', 'show', 'weft-sent'));
    const after = await readSentPackets(host(), 'weft-sent');
    assert.ok(after > before && after >= stats64.tx.packets, `${before}, then ${after}`);
    assert.equal(await readSentPackets(host(), 'weft-nobody'), 0);
    await ip('link', 'del', 'weft-sent');
  });

  test('links are read as ip made them, from both ends', async () => {
    const outer = [
      'weft-a',
      'group',
      '173',
      'mtu',
      '1400',
      'txqueuelen',
      '500',
      'address',
      '0e:57:0a:20:00:05',
    ];
    const inner = ['name', 'eth0', 'address', '0a:57:0a:20:00:05', 'netns', sandbox];
    await ip('link', 'add', ...outer, 'type', 'veth', 'peer', ...inner);
    await ip('link', 'set', 'weft-a', 'alias', 'weft:endpoint:a', 'up');
    await ip('address', 'add', '10.32.0.9/12', 'dev', 'weft-a');
    await ip('address', 'add', '10.33.0.1', 'peer', '10.33.0.2', 'dev', 'weft-a');
    await ip('address', 'add', 'fd00::9/64', 'dev', 'weft-a');
    const inside = await open(`/run/netns/${sandbox}`);
    try {
      const [links, there] = await Promise.all([readLinks(host()), readLinks(openedNamespace(inside.fd))]);
      const [link, other] = [
        links.find(({ name }) => name === 'weft-a'),
        there.find(({ name }) => name === 'eth0'),
      ];
      assert.ok(link !== undefined && other !== undefined);
      const { index, peer, addresses6, ...rest } = link;
      assert.deepEqual([peer, other.peer], [other.index, index]);
      assert.ok(addresses6.includes('fd00::9'), `${addresses6}`);
      assert.deepEqual(rest, {
        name: 'weft-a',
        kind: 'veth',
        group: 173,
        alias: 'weft:endpoint:a',
        mac: '0e:57:0a:20:00:05',
        mtu: 1400,
        queue: 500,
        up: true,
        carrier: false,
        signal: false,
        vxlan: undefined,
        addresses: [
          { local: '10.32.0.9', prefix: 12 },
          { local: '10.33.0.1', prefix: 32 },
        ],
      });
      assert.deepEqual([other.up, other.mac, other.kind], [false, '0a:57:0a:20:00:05', 'veth']);
      await net.run(sandbox, 'ip', 'link', 'set', 'eth0', 'up');
      const after = (await readLinks(host())).find(({ name }) => name === 'weft-a');
      assert.deepEqual([after?.signal, after?.carrier], [true, true]);
      assert.equal(links.find(({ name }) => name === 'lo')?.kind, undefined);
    } finally {
      await inside.close();
    }
  });

  test('routes, rules, neighbours and forwarding entries are read as ip made them', async () => {
    const ours = ['proto', '173', 'table', '173'];
    await ip('route', 'add', '10.32.0.0/12', 'dev', 'weft-a', ...ours, 'scope', 'link', 'src', '10.32.0.9');
    await ip('route', 'add', 'unreachable', '10.32.0.0/12', ...ours, 'metric', '4294967294');
    await ip(
      'route',
      'add',
      '10.34.0.5',
      'via',
      '10.32.0.7',
      'dev',
      'weft-a',
      'onlink',
      ...ours,
      'mtu',
      '1300',
    );
    await ip(
      'route',
      'add',
      '10.35.0.0/16',
      'via',
      'inet6',
      'fe80::7',
      'dev',
      'weft-a',
      'onlink',
      'table',
      '100000',
    );
    await ip('route', 'add', 'default', 'via', '10.32.0.1');
    await ip('rule', 'add', 'priority', '17300', 'to', '10.32.0.0/12', 'lookup', '173', 'protocol', '173');
    await ip('neigh', 'add', '10.32.0.7', 'lladdr', '0a:57:0a:20:00:07', 'dev', 'weft-a', 'nud', 'permanent');
    await ip('neigh', 'add', '10.32.0.8', 'lladdr', '0a:57:0a:20:00:08', 'dev', 'weft-a', 'nud', 'stale');
    const [, routes] = await readLinksAndRoutes(host());
    const way = { type: 'unicast', device: 'weft-a', protocol: 173, table: 173 };
    const plain = { source: undefined, gateway: undefined, mtu: undefined };
    for (const wanted of [
      { ...way, ...plain, destination: '10.32.0.0/12', source: '10.32.0.9' },
      { ...way, ...plain, destination: '10.32.0.0/12', type: 'unreachable', device: undefined },
      { ...way, ...plain, destination: '10.34.0.5', gateway: '10.32.0.7', mtu: 1300 },
      { ...way, ...plain, destination: '10.35.0.0/16', gateway: 'fe80::7', protocol: 3, table: 100_000 },
      { ...way, ...plain, destination: 'default', gateway: '10.32.0.1', protocol: 3, table: 254 },
    ]) {
      const alike = routes.filter(({ destination, table }) => {
        return destination === wanted.destination && table === wanted.table;
      });
      // The kernel may stand for a way out that nobody can take by the loopback.
      const found = alike.map((route) =>
        route.type === 'unreachable' ? { ...route, device: undefined } : route,
      );
      assert.ok(
        found.some((route) => JSON.stringify(sorted(route)) === JSON.stringify(sorted(wanted))),
        JSON.stringify({ wanted, alike }),
      );
    }
    assert.deepEqual(await readRules(host()), [{ destination: '10.32.0.0/12', table: 173, protocol: 173 }]);
    const [links, neighbours] = await readLinksAndNeighbours(host());
    const link = links.find(({ name }) => name === 'weft-a')?.index ?? 0;
    assert.deepEqual(neighbours, [{ link, address: '10.32.0.7', mac: '0a:57:0a:20:00:07' }]);
  });

  test('a VXLAN device is read with its entries', async () => {
    await ip('link', 'add', 'weft-v', 'type', 'vxlan', 'id', '77', 'dstport', '4790', 'nolearning');
    await ip('neigh', 'add', 'fe80::7', 'lladdr', '06:00:00:00:00:07', 'dev', 'weft-v', 'nud', 'permanent');
    const entry = ['06:00:00:00:00:07', 'dev', 'weft-v', 'dst', '192.0.2.7', 'self', 'permanent'];
    await net.run('host', 'bridge', 'fdb', 'add', ...entry);
    const device = (await readLinks(host())).find(({ name }) => name === 'weft-v');
    assert.deepEqual(device?.vxlan, { vni: 77, port: 4790 });
    const [neighbours, forwarding] = await readEntries(host(), device?.index ?? 0);
    assert.deepEqual(neighbours, [{ link: device?.index, address: 'fe80::7', mac: '06:00:00:00:00:07' }]);
    assert.deepEqual(forwarding, [{ mac: '06:00:00:00:00:07', underlay: '192.0.2.7' }]);
  });

  test('a list that does not fit into one datagram comes whole', async () => {
    const script =
      'for i in $(seq 2000); do echo "address add 10.9$((i / 250)).0.$((i % 250)) dev lo"; done | ip -batch -';
    await net.run('host', 'sh', '-c', script);
    const addresses = (await readLinks(host())).find(({ name }) => name === 'lo')?.addresses ?? [];
    assert.equal(new Set(addresses.map(({ local }) => local)).size, 2_000);
  });

  test('a pair is made with all that belongs to it, and made again when it has gone', async () => {
    const inside = await open(`/run/netns/${sandbox}`);
    const made: readonly Change[] = [
      {
        do: 'add pair',
        link: 'weft-p',
        mac: '0e:57:0a:20:00:06',
        mtu: 1380,
        other: { link: 'eth1', mac: '0a:57:0a:20:00:06' },
        network: inside.fd,
      },
      { do: 'set link', link: 'weft-p', up: true },
      { do: 'put neighbour', link: 'weft-p', address: '10.32.0.6', mac: '0a:57:0a:20:00:06' },
      { do: 'put route', destination: '10.32.0.6', link: 'weft-p', source: '10.32.0.9' },
      { do: 'set link', link: 'weft-p', alias: 'weft:endpoint:p' },
    ];
    const raised: readonly Change[] = [
      { do: 'put address', link: 'eth1', address: '10.32.0.6/12', broadcast: true },
      { do: 'set link', link: 'eth1', mtu: 1400, up: true },
    ];
    const removed: Change = { do: 'remove link', link: 'weft-p' };
    try {
      await apply(host(), made);
      await apply(openedNamespace(inside.fd), [...raised, ...raised]);
      const link = await ip('-details', 'link', 'show', 'weft-p');
      assert.match(
        link,
        /mtu 1380 .* state UP .* group 173 .*ether 0e:57:0a:20:00:06 .*alias weft:endpoint:p/s,
      );
      const eth1 = await net.run(sandbox, 'ip', '-details', 'address', 'show', 'eth1');
      assert.match(
        eth1,
        /mtu 1400 .*ether 0a:57:0a:20:00:06 .*inet 10.32.0.6\/12 brd 10.47.255.255 scope global/s,
      );
      const route = await ip('route', 'show', 'table', '173', '10.32.0.6');
      assert.equal(route.trim(), '10.32.0.6 dev weft-p proto 173 scope link src 10.32.0.9');
      const neighbour = await ip('neigh', 'show', '10.32.0.6', 'dev', 'weft-p');
      assert.equal(neighbour.trim(), '10.32.0.6 lladdr 0a:57:0a:20:00:06 PERMANENT');
      await apply(host(), [removed, ...made, removed]);
      await assert.rejects(apply(host(), [removed]), { errno: 'ENODEV' });
    } finally {
      await inside.close();
    }
  });

  test('routes, rules and addresses come, are replaced and go as they are asked for', async () => {
    const link = 'weft-a';
    const destination = '10.40.0.0/16';
    const table = async () => (await ip('route', 'show', 'table', '173', '10.40.0.0/16')).trim().split('\n');
    await apply(host(), [
      { do: 'put address', link, address: '10.32.0.10/32', scope: 'link' },
      { do: 'put address', link, address: 'fe80::99/64' },
      { do: 'put guard', destination },
      { do: 'put route', destination, link, source: '10.32.0.9' },
      { do: 'put route', destination, link, gateway: 'fe80::8', mtu: 1301 },
      { do: 'add rule', destination },
    ]);
    const addresses = await ip('address', 'show', 'dev', link);
    assert.match(addresses, /inet 10.32.0.10\/32 scope link/);
    assert.match(addresses, /inet6 fe80::99\/64 scope link nodad/);
    assert.deepEqual(
      (await table()).map((line) => line.trim()),
      [
        '10.40.0.0/16 via inet6 fe80::8 dev weft-a proto 173 onlink mtu 1301',
        'unreachable 10.40.0.0/16 proto 173 metric 4294967294',
      ],
    );
    assert.match(await ip('rule', 'show'), /17300:\tfrom all to 10.40.0.0\/16 lookup 173 proto 173/);
    await assert.rejects(apply(host(), [{ do: 'add rule', destination }]), { errno: 'EEXIST' });
    await apply(host(), [
      { do: 'put route', destination, link, gateway: '10.32.0.7', mtu: 1300 },
      { do: 'remove route', destination, type: 'unreachable' },
      { do: 'remove rule', destination },
      { do: 'remove address', link, address: '10.32.0.10/32' },
    ]);
    assert.deepEqual(await table(), ['10.40.0.0/16 via 10.32.0.7 dev weft-a proto 173 onlink mtu 1300']);
    await apply(host(), [{ do: 'remove route', destination, link, type: 'unicast' }]);
    assert.doesNotMatch(await ip('rule', 'show'), /10.40.0.0/);
    const gone: Change = { do: 'remove route', destination, link, type: 'unicast' };
    await assert.rejects(apply(host(), [gone]), { errno: 'ESRCH', message: /remove route .*10\.40\.0\.0/ });
  });

  test('VXLAN devices of both families and their entries are as ip and bridge say', async () => {
    const plan = { do: 'add vxlan', mac: '06:00:00:00:00:01', mtu: 65_485, vni: 78, port: 4791 } as const;
    const mac = '06:00:00:00:00:08';
    await apply(host(), [
      { ...plan, link: 'weft-4', family: 4 },
      { ...plan, link: 'weft-6', family: 6 },
      { do: 'put forwarding', link: 'weft-4', mac, underlay: '192.0.2.7' },
      { do: 'put forwarding', link: 'weft-4', mac, underlay: '192.0.2.8' },
      { do: 'put forwarding', link: 'weft-6', mac, underlay: '2001:db8::8' },
      { do: 'put neighbour', link: 'weft-4', address: 'fe80::8', mac },
    ]);
    const four = await ip('-details', 'link', 'show', 'weft-4');
    assert.match(four, /mtu 65485 .*group 173 .*vxlan id 78 .*dstport 4791 .*nolearning .*df set/s);
    assert.match(await ip('-details', 'link', 'show', 'weft-6'), /vxlan id 78 .*dstport 4791 .*nolearning/);
    const entries = (link: string) => net.run('host', 'bridge', 'fdb', 'show', 'dev', link);
    assert.equal((await entries('weft-4')).trim(), `${mac} dst 192.0.2.8 self permanent`);
    assert.equal((await entries('weft-6')).trim(), `${mac} dst 2001:db8::8 self permanent`);
    assert.match(await ip('neigh', 'show', 'dev', 'weft-4'), /fe80::8 lladdr 06:00:00:00:00:08 PERMANENT/);
    await apply(host(), [
      { do: 'remove forwarding', link: 'weft-4', mac },
      { do: 'remove neighbour', link: 'weft-4', address: 'fe80::8' },
    ]);
    assert.equal((await entries('weft-4')) + (await ip('neigh', 'show', 'dev', 'weft-4')), '');
  });

  test('elements of sets are as nft would have put them there, in all of the sets or in none', async () => {
    const nft = (...words: string[]) => net.run('host', 'nft', ...words);
    const set = '{ type ifname . ipv4_addr; }';
    for (const family of ['inet', 'arp']) await nft('add', 'table', family, 'weft-t');
    await nft('add', 'set', 'inet', 'weft-t', 'places', set);
    const sets = (['inet', 'arp'] as const).map((family) => ({ family, table: 'weft-t', set: 'places' }));
    const keys = [linkAndAddress('weft-a', 0x0a200005), linkAndAddress('abcdefghijklmno', 0xfffffffe)];
    await assert.rejects(addElements(host(), sets, keys), {
      errno: 'ENOENT',
      message: /places of arp weft-t/,
    });
    assert.doesNotMatch(await nft('list', 'table', 'inet', 'weft-t'), /elements/);
    await nft('add', 'set', 'arp', 'weft-t', 'places', set);
    await addElements(host(), sets, keys.slice(0, 1));
    await addElements(host(), sets, keys);
    for (const family of ['inet', 'arp']) {
      const text = (await nft('list', 'table', family, 'weft-t')).replace(/\s+/g, ' ');
      const elements = /elements = \{ (.*?) \}/.exec(text)?.[1]?.split(', ').sort();
      assert.deepEqual(elements, ['"abcdefghijklmno" . 255.255.255.254', '"weft-a" . 10.32.0.5']);
    }
    const many = Array.from({ length: 3_000 }, (_, number) => linkAndAddress('weft-a', number));
    await assert.rejects(addElements(host(), sets, many), { code: 'bad-request' });
    for (let at = 0; at < many.length; at += MOST_ELEMENTS)
      await addElements(host(), sets, many.slice(at, at + MOST_ELEMENTS));
    await nft('get', 'element', 'arp', 'weft-t', 'places', '{ weft-a . 0.0.11.183 }');
  });

  test('what cannot be a name or an address never reaches the kernel', async () => {
    for (const address of ['', '10.0.0.1', '10.0.0.1/33', 'fe80::1/129', '10.0.0.1/1.5', '10.0.0.300/8']) {
      const change: Change = { do: 'put address', link: 'lo', address };
      await assert.rejects(apply(host(), [change]), { code: 'bad-request' }, address);
    }
    const bad: readonly Change[] = [
      { do: 'set link', link: 'lo\0', up: true },
      { do: 'put neighbour', link: 'lo', address: '10.0.0.1', mac: '0a:57' },
      { do: 'put route', destination: '10.0.0.1/8', link: 'lo' },
    ];
    for (const change of bad) await assert.rejects(apply(host(), [change]), { code: 'bad-request' });
  });

  test('what the kernel refuses is told with its reason, and nothing after it is done', async () => {
    const bad = { type: 16, body: new Uint8Array(16), what: 'make a link' };
    const refused = {
      name: 'NetlinkError',
      code: 'command-failed',
      message: /does not make a link: E[A-Z]+/,
    };
    await assert.rejects(change(host(), [bad]), refused);
    await assert.rejects(change(hostNamespace('/proc/self/ns/mnt'), [bad]), { errno: 'EINVAL' });
    await assert.rejects(change(hostNamespace('/nowhere'), [bad]), { code: 'ENOENT' });
  });
});

function sorted(value: object): object {
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
