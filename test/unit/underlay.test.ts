import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat } from '../../src/core/bytes.ts';
import { numberAttribute, textAttribute } from '../../src/host/netlink-wire.ts';
import { LINK } from '../../src/host/rtnetlink.ts';
import { toLink } from '../../src/host/tables.ts';
import { underlayOf } from '../../src/host/underlay.ts';
import { linkState } from './support/link-state.ts';

const OWN = { device: 'weft0', range: { start: 0x0a200000, last: 0x0a2fffff } };
/** IFF_… of netdevice(7). */
const UP = 0x1;
const RUNNING = 0x40;
const LOWER_UP = 0x1_0000;

/** A network card as the kernel lists it, with an address. */
function card(flags: number) {
  const header = new Uint8Array(16);
  new DataView(header.buffer).setUint32(8, flags, true);
  const body = concat(header, textAttribute(LINK.name, 'eth0'), numberAttribute(LINK.mtu, 1500));
  const link = toLink({ type: 0, flags: 0, sequence: 0, body });
  return { ...link, addresses: [{ local: '192.0.2.1', prefix: 24 }] };
}

test('a link counts as soon as it has a signal, before the kernel calls it running', () => {
  assert.deepEqual(underlayOf([card(UP | LOWER_UP)], OWN), { addresses: ['192.0.2.1'], mtu: 1500 });
  assert.deepEqual(underlayOf([card(UP | LOWER_UP | RUNNING)], OWN).addresses, ['192.0.2.1']);
});

test('a link that is down or has no signal is none that others could dial', () => {
  const nothing = { addresses: [], mtu: undefined };
  assert.deepEqual(underlayOf([card(LOWER_UP)], OWN), nothing);
  assert.deepEqual(underlayOf([card(UP)], OWN), nothing);
});

test('others are told IPv4 first, and nothing that means something on this host only', () => {
  const at = (...texts: string[]) => ({ addresses: texts.map((local) => ({ local, prefix: 24 })) });
  const plain = { group: 0, kind: undefined };
  const links = [
    linkState(1, 'lo', { ...plain, ...at('127.0.0.1', '203.0.113.1'), addresses6: ['::1'], mtu: 65_536 }),
    linkState(2, 'eth0', { ...plain, addresses6: ['2001:db8::1', 'fe80::1'], mtu: 1500 }),
    linkState(3, 'eth1', { ...plain, ...at('192.0.2.1', '169.254.0.1', '10.32.0.5'), mtu: 1280 }),
    linkState(4, 'weft0', { ...plain, ...at('198.51.100.1'), mtu: 1000 }),
    linkState(5, 'docker0', { ...plain, ...at('172.17.0.1'), mtu: 900 }),
    linkState(6, 'weft-vxlan', { ...plain, addresses6: ['fe80::2'], mtu: 800 }),
  ];
  assert.deepEqual(underlayOf(links, OWN), { addresses: ['192.0.2.1', '2001:db8::1'], mtu: 1280 });
});
