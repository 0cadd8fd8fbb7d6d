/*
 * The shortcut's programs, run by the kernel on single packets without any link (BPF_PROG_TEST_RUN). The kernel stands for all links of
 * such a run by the loopback, whose index is 1 and whose Ethernet address is zeros.
 *
 *   10.33.1.5 (red) ── link 1 ─┐
 *   10.33.1.6 (red) ── link 21 ─┤ host ── link 31, VXLAN ── 10.33.1.128/25 (red), 10.40.0.0/16
 *   10.33.2.5 (blue) ─ link 22 ─┤      ── link 32, TUN ──── the rest of 10.32.0.0/12
 *   10.32.0.5 ──────── link 23 ─┘      its own address: 10.32.0.9
 */
import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { createMap, loadProgram, setEntry, testRun } from '../../src/host/bpf.ts';
import { readAddress } from '../../src/host/ipv4.ts';
import { createShortcutCounts, type ShortcutCounts } from '../../src/host/shortcut-counts.ts';
import {
  type Entry,
  ownersOf,
  placesOfEndpoints,
  placesOfWays,
  type ShortcutView,
} from '../../src/host/shortcut-places.ts';
import { containerProgram, leavingProgram, vxlanProgram } from '../../src/host/shortcut-programs.ts';
import { CONTEXT, OWNER, PLACE, VERDICT } from '../../src/host/shortcut-steps.ts';
import type { FastPathPlan } from '../../src/ports/host.ts';
import { needsRoot } from '../hosts/namespaces.ts';
import { linkState } from '../unit/support/link-state.ts';

/** 192.0.2.7 as it lies in a packet: the table `ip weft_vxlan` leaves it as the mark. */
const SENDER = 0x070200c0;
const OTHER_SENDER = 0x080200c0;
const ADMITTED = 0x57;
const PROBE_PORT = 6784;
const PEER_MAC = '06:00:00:00:00:07';
const OWN_MAC = '06:00:00:00:00:01';
const HOST_MAC = '0e:57:00:00:00:01';
const macOf = (last: number) => `0a:57:00:00:00:${last.toString(16).padStart(2, '0')}`;

const link = (index: number, name: string) => linkState(index, name, { mac: HOST_MAC });

const FAST: FastPathPlan = {
  vni: 1,
  port: 4789,
  mac: OWN_MAC,
  linkLocal: 'fe80::1',
  own: [readAddress('10.32.0.0/16'), readAddress('10.33.0.0/16')],
  peers: [
    {
      underlay: '192.0.2.7',
      mac: PEER_MAC,
      linkLocal: 'fe80::7',
      ranges: [readAddress('10.33.1.128/25'), readAddress('10.40.0.0/16')],
      mtu: 1300,
    },
    {
      underlay: '192.0.2.8',
      mac: '06:00:00:00:00:08',
      linkLocal: 'fe80::8',
      ranges: [readAddress('10.41.0.0/16')],
      mtu: null,
    },
  ],
};

const VIEW: ShortcutView = {
  device: 'weft0',
  range: readAddress('10.32.0.0/12'),
  links: [link(31, 'weft-vxlan'), link(32, 'weft0')],
  endpoints: [
    { link: link(1, 'red1'), address: readAddress('10.33.1.5/32').start, mac: macOf(1) },
    { link: link(21, 'red2'), address: readAddress('10.33.1.6/32').start, mac: macOf(2) },
    { link: link(22, 'blue'), address: readAddress('10.33.2.5/32').start, mac: macOf(3) },
    { link: link(23, 'plain'), address: readAddress('10.32.0.5/32').start, mac: macOf(4) },
  ],
  exposed: [readAddress('10.32.0.9/12')],
  apart: [readAddress('10.33.1.0/24'), readAddress('10.33.2.0/24')],
  fast: FAST,
};

interface Packet {
  readonly from: string;
  readonly to: string;
  readonly ttl?: number;
  /** Bytes with the IPv4 header. */
  readonly size?: number;
  /** Changes the packet after its checksum was made. */
  readonly edit?: (packet: Uint8Array) => void;
  /** Payload of each segment. */
  readonly segment?: number;
  readonly protocol?: number;
}

const ETHERNET = 14;
const TCP = 6;
const UDP = 17;

function build({ from, to, ttl = 64, size = 100, protocol = TCP, edit }: Packet): Uint8Array {
  const packet = new Uint8Array(ETHERNET + size);
  const view = new DataView(packet.buffer);
  view.setUint16(12, 0x0800);
  packet[14] = 0x45;
  view.setUint16(16, size);
  view.setUint16(18, 0x1234);
  view.setUint16(20, 0x4000);
  packet[22] = ttl;
  packet[23] = protocol;
  packet.set(octets(from), 26);
  packet.set(octets(to), 30);
  // TCP with twelve bytes of options.
  packet[46] = 0x80;
  view.setUint16(24, 0xffff ^ sum(packet.subarray(14, 34)));
  edit?.(packet);
  return packet;
}

/** Changes one byte. */
const set = (at: number, byte: number) => (packet: Uint8Array) => void packet.fill(byte, at, at + 1);
const octets = (address: string) => address.split('.').map(Number);

/** Of 16-bit words in ones' complement; 0xffff over a header with a right checksum. */
function sum(bytes: Uint8Array): number {
  let total = 0;
  for (let at = 0; at < bytes.length; at += 2) total += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

const hex = (mac: string) => mac.replaceAll(':', '');

describe('the shortcut', { skip: needsRoot }, () => {
  const open: number[] = [];
  const opened = (descriptor: number) => {
    open.push(descriptor);
    return descriptor;
  };
  let container = 0;
  let vxlan = 0;
  let leaving = 0;
  let counts: ShortcutCounts;
  let gate = 0;

  before(() => {
    const value = { valueSize: PLACE.size, entries: 64 };
    gate = opened(createMap({ kind: 'array', name: 'gate', keySize: 4, valueSize: 4, entries: 1 }));
    const endpoints = opened(createMap({ kind: 'hash', name: 'endpoints', keySize: 4, ...value }));
    const ways = opened(createMap({ kind: 'prefixes', name: 'ways', keySize: 8, ...value }));
    const owned = { valueSize: OWNER.size, entries: 64 };
    const owners = opened(createMap({ kind: 'prefixes', name: 'owners', keySize: 8, ...owned }));
    const fill = (map: number, entries: readonly Entry[]) => {
      for (const entry of entries) setEntry(map, entry.key, entry.value);
    };
    fill(endpoints, placesOfEndpoints(VIEW));
    fill(ways, placesOfWays(VIEW));
    fill(owners, ownersOf(FAST, VIEW.apart));
    setGate(true);
    counts = createShortcutCounts(64);
    const { received, sent } = counts;
    for (const map of [received, sent]) opened(map);
    counts.follow(FAST.peers);
    const maps = { gate, endpoints, ways, owners, received, sent };
    container = opened(loadProgram('container', containerProgram(maps)));
    vxlan = opened(loadProgram('vxlan', vxlanProgram(maps, ADMITTED, PROBE_PORT)));
    leaving = opened(loadProgram('leaving', leavingProgram(maps)));
  });
  after(() => {
    for (const descriptor of open) closeSync(descriptor);
  });

  function setGate(isOpen: boolean): void {
    setEntry(gate, new Uint8Array(4), Uint8Array.of(isOpen ? 1 : 0, 0, 0, 0));
  }

  /** What becomes of a packet, and its Ethernet header where it is handed over. */
  function run(program: number, packet: Packet, mark = 0): string {
    const context = new Uint8Array(CONTEXT.size);
    const view = new DataView(context.buffer);
    view.setUint32(CONTEXT.mark, mark, true);
    view.setUint32(CONTEXT.segment, packet.segment ?? 0, true);
    const before = build(packet);
    const { verdict, packet: left, context: after } = testRun(program, before, context);
    const marked = new DataView(after.buffer).getUint32(CONTEXT.mark, true);
    if (verdict === VERDICT.drop) return 'dropped';
    if (verdict === VERDICT.next) {
      assert.deepEqual(left, before, 'what goes the usual way is as it was');
      assert.equal(marked, program === vxlan ? ADMITTED : mark);
      return 'usual way';
    }
    assert.equal(verdict, VERDICT.redirect);
    assert.equal(marked, 0, 'no mark of ours gets into a container');
    assert.equal(left[22], (before[22] ?? 0) - 1, 'one hop less');
    assert.equal(sum(left.subarray(14, 34)), 0xffff, 'the checksum is right');
    assert.deepEqual(left.subarray(26), before.subarray(26), 'addresses and payload stay');
    return Buffer.from(left.subarray(0, 12)).toString('hex');
  }
  const red = '10.33.1.5';
  const byVxlan = hex(PEER_MAC) + hex(OWN_MAC);
  const toRed2 = hex(macOf(2)) + hex(HOST_MAC);
  const toPlain = hex(macOf(4)) + hex(HOST_MAC);

  test('hands over what a container sends inside its network: to a neighbour, by VXLAN and to the data path', () => {
    assert.equal(run(container, { from: red, to: '10.33.1.6' }), toRed2);
    assert.equal(run(container, { from: red, to: '10.33.1.200' }), byVxlan);
    assert.equal(run(container, { from: red, to: '10.33.1.99' }), '0'.repeat(24));
  });

  test('lets the kernel decide on all that leaves the network', () => {
    for (const to of ['10.33.2.5', '10.32.0.5', '10.40.0.1', '10.33.2.99', '10.32.7.7', '192.0.2.1']) {
      assert.equal(run(container, { from: red, to }), 'usual way', to);
    }
  });

  test("lets the kernel decide on sources that are not the link's own", () => {
    for (const from of ['10.33.1.6', '10.33.1.77', '10.33.2.5', '203.0.113.7', '10.33.1.200', '10.32.0.9']) {
      assert.equal(run(container, { from, to: '10.33.1.6' }), 'usual way', from);
      assert.equal(run(container, { from, to: '10.33.1.200' }), 'usual way', from);
    }
  });

  test('lets the kernel decide on whatever is unusual', () => {
    const to = '10.33.1.200';
    const edits: Readonly<Record<string, (packet: Uint8Array) => void>> = {
      'options of IPv4': set(14, 0x46),
      'IPv6 by its version': set(14, 0x65),
      'more fragments': set(20, 0x20),
      'a later fragment': set(21, 1),
      'a later fragment far behind': set(20, 0x10),
      ARP: set(13, 6),
      'another Ethernet address': set(0, 2),
      'a broadcast': (packet) => void packet.fill(0xff, 0, 6),
    };
    for (const [what, edit] of Object.entries(edits)) {
      assert.equal(run(container, { from: red, to, edit }), 'usual way', what);
    }
    for (const ttl of [0, 1]) assert.equal(run(container, { from: red, to, ttl }), 'usual way');
    assert.equal(run(container, { from: red, to, ttl: 2 }), byVxlan);
  });

  test('leaves to the kernel what is too large, which tells the sender', () => {
    const to = '10.33.1.200';
    assert.equal(run(container, { from: red, to, size: 1300 }), byVxlan);
    assert.equal(run(container, { from: red, to, size: 1301 }), 'usual way');
    // Headers of a TCP segment here have 20 and 32 bytes, of a datagram 20 and 8.
    const tcp = { from: red, to, size: 3500, protocol: TCP };
    assert.equal(run(container, { ...tcp, segment: 1248 }), byVxlan);
    assert.equal(run(container, { ...tcp, segment: 1249 }), 'usual way');
    const udp = { from: red, to, size: 3500, protocol: UDP };
    assert.equal(run(container, { ...udp, segment: 1272 }), byVxlan);
    assert.equal(run(container, { ...udp, segment: 1273 }), 'usual way');
    assert.equal(run(container, { from: red, to, size: 3500, protocol: 132, segment: 1000 }), 'usual way');
  });

  test('makes right checksums of all kinds', () => {
    // The identification goes through all values, so that the checksum does, with its carries.
    for (let id = 0; id < 0x10000; id += 97) {
      const edit = (packet: Uint8Array) => {
        const view = new DataView(packet.buffer);
        view.setUint16(18, id);
        view.setUint16(24, 0);
        view.setUint16(24, 0xffff ^ sum(packet.subarray(14, 34)));
      };
      assert.equal(run(container, { from: red, to: '10.33.1.6', edit }), toRed2);
    }
  });

  test('from VXLAN, hands over what is for a container of the same network', () => {
    const from = '10.33.1.200';
    assert.equal(run(vxlan, { from, to: '10.33.1.6' }, SENDER), toRed2);
    assert.equal(run(vxlan, { from: '10.40.0.1', to: '10.32.0.5' }, SENDER), toPlain);
    assert.equal(run(vxlan, { from: '10.41.0.1', to: '10.32.0.5' }, OTHER_SENDER), toPlain);
    for (const to of ['10.33.2.5', '10.32.0.5', '10.33.1.99', '10.32.0.9']) {
      assert.equal(run(vxlan, { from, to }, SENDER), 'usual way', to);
    }
    assert.equal(run(vxlan, { from, to: '10.33.1.6', size: 1401 }, SENDER), 'usual way');
    assert.equal(run(vxlan, { from, to: '10.33.1.6', ttl: 1 }, SENDER), 'usual way');
  });

  test("from VXLAN, drops sources that are not the sender's and destinations that are not here, whatever else is in the packet", () => {
    const edits = [undefined, set(14, 0x46), set(20, 0x20), set(22, 1), set(0, 2)];
    for (const edit of edits) {
      const packet = (from: string, to: string): Packet => ({
        from,
        to,
        ...(edit === undefined ? {} : { edit }),
      });
      for (const from of ['203.0.113.7', '10.41.0.1', '10.32.0.77', '10.33.1.5', '10.45.0.1']) {
        assert.equal(run(vxlan, packet(from, '10.32.0.5'), SENDER), 'dropped', from);
      }
      for (const to of ['192.0.2.1', '10.40.0.2', '10.41.0.1', '10.45.0.1', '255.255.255.255']) {
        assert.equal(run(vxlan, packet('10.40.0.1', to), SENDER), 'dropped', to);
      }
      for (const mark of [0, ADMITTED, OTHER_SENDER, 0xffffffff]) {
        assert.equal(run(vxlan, packet('10.40.0.1', '10.32.0.5'), mark), 'dropped');
        assert.equal(run(vxlan, packet('10.33.1.200', '10.33.1.6'), mark), 'dropped');
      }
    }
    const kinds = [set(13, 6), set(12, 0x81), set(13, 0xdd)];
    for (const edit of kinds) {
      assert.equal(run(vxlan, { from: '10.40.0.1', to: '10.32.0.5', edit }, SENDER), 'dropped');
    }
  });

  /** Packets and bytes that are counted more than at the call before. */
  function counter(underlay: string) {
    const now = () => {
      const { sent, received } = counts.read().get(underlay) ?? assert.fail(`${underlay} is not counted`);
      return [sent.packets, sent.bytes, received.packets, received.bytes];
    };
    let before = now();
    return () => {
      const last = before;
      before = now();
      return before.map((value, at) => value - (last[at] ?? 0));
    };
  }

  test('counts what comes by VXLAN for the host that sent it, and nothing that is not from its addresses', () => {
    const [one, other] = [counter('192.0.2.7'), counter('192.0.2.8')];
    run(vxlan, { from: '10.33.1.200', to: '10.33.1.6' }, SENDER);
    run(vxlan, { from: '10.40.0.1', to: '10.32.0.9', size: 300 }, SENDER);
    run(vxlan, { from: '10.41.0.1', to: '10.32.0.9' }, SENDER);
    run(vxlan, { from: '10.40.0.1', to: '10.32.0.9' });
    assert.deepEqual(one(), [0, 0, 2, 400]);
    run(vxlan, { from: '10.41.0.1', to: '10.32.0.9', size: 200 }, OTHER_SENDER);
    assert.deepEqual(
      [one(), other()],
      [
        [0, 0, 0, 0],
        [0, 0, 1, 200],
      ],
    );
  });

  test('counts what leaves by VXLAN for the host that gets it, and lets all of it go', () => {
    const [one, other] = [counter('192.0.2.7'), counter('192.0.2.8')];
    const to = (mac: string) => (packet: Uint8Array) => void packet.set(Buffer.from(hex(mac), 'hex'));
    const send = (mac: string, size?: number) =>
      run(leaving, { from: red, to: '10.40.0.1', edit: to(mac), ...(size === undefined ? {} : { size }) });
    assert.equal(send(PEER_MAC), 'usual way');
    assert.equal(send(PEER_MAC, 1_300), 'usual way');
    assert.equal(send('06:00:00:00:00:09'), 'usual way');
    assert.deepEqual(
      [one(), other()],
      [
        [2, 1_400, 0, 0],
        [0, 0, 0, 0],
      ],
    );
  });

  test('what was counted stays while a peer does, whatever becomes of others', () => {
    const one = counter('192.0.2.7');
    run(vxlan, { from: '10.40.0.1', to: '10.32.0.9' }, SENDER);
    counts.follow(FAST.peers.slice(0, 1));
    assert.deepEqual([one(), counts.read().has('192.0.2.8')], [[0, 0, 1, 100], false]);
    counts.follow(FAST.peers);
    assert.deepEqual(one(), [0, 0, 0, 0]);
    const none = { packets: 0, bytes: 0 };
    assert.deepEqual(counts.read().get('192.0.2.8'), { sent: none, received: none });
  });

  test('from VXLAN, lets in probes of trusted hosts and no other IPv6', () => {
    const probe = (packet: Uint8Array) => {
      packet.fill(0, 14);
      packet.set([0x86, 0xdd, 0x60], 12);
      packet[20] = UDP;
      packet.set([0xfe, 0x80], 22);
      packet[37] = 7;
      packet.set([0xfe, 0x80], 38);
      new DataView(packet.buffer).setUint16(56, PROBE_PORT);
    };
    const changed = (at: number, byte: number) => (packet: Uint8Array) => {
      probe(packet);
      packet[at] = byte;
    };
    const probed = (edit: (packet: Uint8Array) => void, mark = SENDER) =>
      run(vxlan, { from: '10.40.0.1', to: '10.32.0.5', edit }, mark);
    assert.equal(probed(probe), 'usual way');
    assert.equal(probed(probe, 0), 'dropped');
    for (const edit of [changed(20, TCP), changed(22, 0xfd), changed(29, 1), changed(57, 1)]) {
      assert.equal(probed(edit), 'dropped');
    }
  });

  test('closed, all packets go the usual way, and those that were not admitted nowhere', () => {
    setGate(false);
    try {
      assert.equal(run(container, { from: red, to: '10.33.1.6' }), 'usual way');
      assert.equal(run(vxlan, { from: '10.33.1.200', to: '10.33.1.6' }, SENDER), 'usual way');
      assert.equal(run(vxlan, { from: '10.33.1.200', to: '10.33.1.6' }), 'dropped');
      assert.equal(run(vxlan, { from: '10.41.0.1', to: '10.33.1.6' }, SENDER), 'dropped');
    } finally {
      setGate(true);
    }
  });
});
