import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIpv4 } from '../../src/core/address.ts';
import { readAddress } from '../../src/host/ipv4.ts';
import {
  ownersOf,
  placesOfEndpoints,
  placesOfWays,
  type ShortcutView,
} from '../../src/host/shortcut-places.ts';
import { OWNER, PLACE } from '../../src/host/shortcut-steps.ts';
import type { FastPathPeer } from '../../src/ports/host.ts';
import { linkState } from './support/link-state.ts';

const link = (index: number, name: string, mtu: number) =>
  linkState(index, name, { mtu, mac: '0e:57:0a:20:00:05' });

const peer = (last: number, mtu: number | null, ...ranges: string[]): FastPathPeer => ({
  underlay: `192.0.2.${last}`,
  mac: `06:00:00:00:00:0${last}`,
  linkLocal: `fe80::${last}`,
  ranges: ranges.map(readAddress),
  mtu,
});

const VIEW: ShortcutView = {
  device: 'weft0',
  range: readAddress('10.32.0.0/12'),
  links: [link(3, 'weft0', 1420), link(4, 'weft-vxlan', 65_485)],
  endpoints: [
    { link: link(9, 'wfta', 1400), address: readAddress('10.33.1.5/32').start, mac: '0a:57:0a:20:00:05' },
  ],
  exposed: [readAddress('10.32.0.9/12')],
  apart: [readAddress('10.33.1.0/24'), readAddress('10.41.2.0/24')],
  fast: { vni: 1, port: 4789, mac: '06:00:00:00:00:01', linkLocal: 'fe80::1', own: [], peers: [] },
};

/** `10.32.0.0/12 by 3, network 0.0.0.0, 1420 bytes`, sorted by address. */
function ways(view: Partial<ShortcutView>): string[] {
  const entries = placesOfWays({ ...VIEW, ...view }).map(({ key, value }) => {
    const [prefix, at] = [new DataView(key.buffer), new DataView(value.buffer)];
    const [address, network] = [prefix.getUint32(4), at.getUint32(PLACE.network, true)];
    const where = `by ${at.getUint32(PLACE.link, true)}, network ${formatIpv4(network)}`;
    const text = `${formatIpv4(address)}/${prefix.getUint32(0, true)} ${where}, ${at.getUint32(PLACE.mtu, true)} bytes`;
    return { address, text };
  });
  return entries.sort((a, b) => a.address - b.address).map(({ text }) => text);
}

const ALWAYS = [
  '10.32.0.0/12 by 3, network 0.0.0.0, 1420 bytes',
  '10.32.0.9/32 by 0, network 0.0.0.0, 0 bytes',
  '10.33.1.0/24 by 3, network 10.33.1.0, 1420 bytes',
  '10.41.2.0/24 by 3, network 10.41.2.0, 1420 bytes',
];

test('the whole mesh lies behind its device, each network by itself, and the host is left to the kernel', () => {
  assert.deepEqual(ways({}), ALWAYS);
});

test("a peer's addresses by VXLAN are cut where a network begins and ends", () => {
  const fast = VIEW.fast && { ...VIEW.fast, peers: [peer(7, 1390, '10.41.0.0/22')] };
  assert.deepEqual(ways({ fast }), [
    ...ALWAYS.slice(0, 3),
    '10.41.0.0/23 by 4, network 0.0.0.0, 1390 bytes',
    '10.41.2.0/24 by 4, network 10.41.2.0, 1390 bytes',
    '10.41.3.0/24 by 4, network 0.0.0.0, 1390 bytes',
  ]);
});

test('a peer whose path is only probed, or whose device is not there, is reached as before', () => {
  const fast = VIEW.fast && { ...VIEW.fast, peers: [peer(7, null, '10.40.0.0/16')] };
  assert.deepEqual(ways({ fast }), ALWAYS);
  const open = VIEW.fast && { ...VIEW.fast, peers: [peer(7, 1390, '10.40.0.0/16')] };
  assert.deepEqual(ways({ fast: open, links: [link(3, 'weft0', 1420)] }), ALWAYS);
});

test("a container's place has its link, network and both Ethernet addresses", () => {
  const [entry] = placesOfEndpoints(VIEW);
  assert.ok(entry);
  assert.equal(entry.hostLink, 'wfta');
  assert.deepEqual([...entry.key], [10, 33, 1, 5]);
  const view = new DataView(entry.value.buffer);
  assert.deepEqual(
    [PLACE.link, PLACE.network, PLACE.mtu].map((offset) => view.getUint32(offset, true)),
    [9, readAddress('10.33.1.0/24').start, 1400],
  );
  const header = Buffer.from(entry.value.subarray(PLACE.header, PLACE.header + 14)).toString('hex');
  assert.equal(header, '0a570a200005' + '0e570a200005' + '0800');
});

test('owners are the hosts behind VXLAN, by their addresses on the wire, also where the path is only probed, and this host', () => {
  const plan = {
    own: [readAddress('10.32.0.0/16')],
    peers: [peer(7, null, '10.41.0.0/22'), peer(8, 1390, '10.42.0.0/16')],
  };
  const found = ownersOf(plan, VIEW.apart).map(({ key, value }) => {
    const [prefix, at] = [new DataView(key.buffer), new DataView(value.buffer)];
    const block = `${formatIpv4(prefix.getUint32(4))}/${prefix.getUint32(0, true)}`;
    const network = formatIpv4(at.getUint32(OWNER.network, true));
    return `${block} of ${formatIpv4(at.getUint32(OWNER.underlay))}, network ${network}`;
  });
  assert.deepEqual(found, [
    '10.32.0.0/16 of 0.0.0.0, network 0.0.0.0',
    '10.41.0.0/23 of 192.0.2.7, network 0.0.0.0',
    '10.41.2.0/24 of 192.0.2.7, network 10.41.2.0',
    '10.41.3.0/24 of 192.0.2.7, network 0.0.0.0',
    '10.42.0.0/16 of 192.0.2.8, network 0.0.0.0',
  ]);
});
