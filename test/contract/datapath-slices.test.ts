import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import type { OptionalPart } from '../../src/datapath/native.ts';
import type { UdpEndpoint } from '../../src/ports/datapath.ts';
import { onWire } from '../fuzz/wire-model.ts';
import { createNativeRig, missing, type NativeHost, run, VNET_BYTES } from './datapath-native-rig.ts';
import {
  drops,
  HERE,
  ip,
  key,
  mirrored,
  packet,
  type RigStranger,
  ROUTES,
  ROUTES_THERE,
  SLOT,
  THERE,
} from './datapath-rig.ts';
import { cut, type Super, sliceBodies, superPacket } from './datapath-slices.ts';

/** Packets that are larger than the wire, on real devices: what is cut, what is joined, and what a lost slice leaves. */

const reason = missing();
const TCP: Super = {
  protocol: 'tcp',
  source: HERE,
  destination: THERE,
  size: 60_000,
  segment: 1348,
  options: 12,
};
const UDP: Super = {
  protocol: 'udp',
  source: HERE,
  destination: THERE,
  size: 20_000,
  segment: 1200,
  options: 0,
};
const SECOND = ip('10.32.2.9');
const BACK: Super = { ...TCP, source: THERE, destination: HERE, size: 1348 * 5 + 100 };

describe('datapath: packets larger than the wire', { skip: reason ?? false }, () => {
  const rig = createNativeRig();
  afterEach(() => rig.end());

  function introduce(host: NativeHost, to: UdpEndpoint | null, far: boolean): void {
    host.datapath.setRoutes(far ? ROUTES_THERE : ROUTES);
    host.datapath.setPeer(SLOT, to);
    host.datapath.setKeys(SLOT, [far ? mirrored(key()) : key()]);
  }

  async function pair(without: readonly OptionalPart[] = [], address = '127.0.0.1') {
    const [a, b] = [await rig.openNative({ without, address }), await rig.openNative({ without, address })];
    introduce(b, null, true);
    introduce(a, null, false);
    b.datapath.setPeer(SLOT, a.endpoint);
    a.datapath.setPeer(SLOT, b.endpoint);
    return [a, b] as const;
  }

  async function fromPeer(): Promise<{
    host: NativeHost;
    peer: RigStranger;
    say: (body: Uint8Array) => void;
  }> {
    const host = await rig.openNative();
    const peer = await rig.stranger();
    introduce(host, peer.endpoint, false);
    let counter = 0n;
    const say = (body: Uint8Array): void => {
      const header = { type: 2, lane: 0, index: key().receiveIndex, counter: counter++ };
      peer.send(host.endpoint, rig.seal(key().receiveKey, 'aes-256-gcm', header, body));
    };
    return { host, peer, say };
  }

  for (const [name, spec] of Object.entries({ TCP, UDP }))
    test(`a ${name} packet of ${spec.size} bytes is sealed slice by slice, each of which stands alone`, async () => {
      const host = await rig.openNative();
      const peer = await rig.stranger();
      introduce(host, peer.endpoint, false);
      host.sendFrame(superPacket(spec));
      const wanted = sliceBodies(spec, 0);
      await rig.until(() => peer.received.length === 1 + wanted.length);
      const bodies = peer.received.slice(1).map((one) => rig.unseal(key().sendKey, 'aes-256-gcm', one));
      assert.deepEqual(bodies, wanted);
      const counters = host.datapath.counters().total;
      assert.equal(counters.sentPackets, BigInt(wanted.length));
      assert.deepEqual(drops(host), {});
    });

  test('the other host gets the packet as one, bit by bit, whatever its kernel offers', async () => {
    const lacks: (readonly OptionalPart[])[] = [
      [],
      ['udpCoalescing'],
      ['udpSegmentation'],
      ['udpSegmentation', 'udpCoalescing'],
      ['tunUdpSegmentation'],
    ];
    for (const without of lacks) {
      const [a, b] = await pair(without);
      const frame = superPacket(TCP);
      a.sendFrame(frame);
      await rig.until(() => b.frames.length > 0 && total(b) === payloadOf(frame));
      // In how many pieces depends on who was faster; that they are pieces of this packet does not.
      assert.deepEqual(
        b.frames.flatMap((one) => cut(one)),
        cut(frame),
      );
      assert.deepEqual([drops(a), drops(b)], [{}, {}], without.join());
      await rig.end();
    }
  });

  test('equal packets under equal keys are equal on the wire, whatever passed before', async () => {
    const captures: Uint8Array[][] = [];
    for (const junk of [0x00, 0xa5]) {
      const host = await rig.openNative();
      const [peer, other] = [await rig.stranger(), await rig.stranger()];
      introduce(host, peer.endpoint, false);
      host.datapath.setPeer(2, other.endpoint);
      host.datapath.setKeys(2, [key({ receiveIndex: 2 })]);
      for (let i = 0; i < 50; i++) host.send(packet(HERE, SECOND, new Uint8Array(1400).fill(junk)));
      await rig.until(() => other.received.length === 51);
      for (const one of [packet(HERE, THERE), packet(HERE, THERE, '')]) host.send(one);
      for (const spec of [TCP, UDP]) host.sendFrame(superPacket(spec));
      const count = 3 + sliceBodies(TCP, 0).length + sliceBodies(UDP, 1).length;
      await rig.until(() => peer.received.length === count);
      captures.push(peer.received);
      await rig.end();
    }
    assert.deepEqual(captures[0], captures[1]);
  });

  test('a device without segmentation is handed packets that the kernel has cut', async () => {
    const [a, b] = await pair(['tunSegmentation']);
    const frame = superPacket({ ...TCP, size: 1348 * 3 });
    a.sendFrame(frame);
    // The other host may have joined them again.
    const segments = (): Uint8Array[] => b.frames.flatMap(onWire);
    await rig.until(() => segments().length === 3);
    assert.deepEqual(segments(), onWire(frame));
    assert.equal(a.datapath.features.tunSegmentation, false);
  });

  test('the wire may be IPv6, IPv4 on a socket for both families, or one of small packets', async () => {
    const frame = superPacket(TCP);
    const wires = {
      'IPv6 ::1': { address: '::1', from: '::1', to: '::1' },
      'IPv4 on ::': { address: '::', from: '127.0.0.1', to: '127.0.0.1' },
      'IPv4 of 1280 bytes': { address: '::', from: '10.99.0.1', to: '10.99.0.2', mtu: 1280 },
      'IPv6 of 1280 bytes': { address: '::', from: 'fd00::1', to: 'fd00::2', mtu: 1280 },
    };
    for (const [name, { address, from, to, ...narrow }] of Object.entries(wires)) {
      const apart = 'mtu' in narrow;
      const [a, b] = [await rig.openNative({ address, apart }), await rig.openNative({ address, apart })];
      if ('mtu' in narrow) connect(a.namespace, b.namespace, narrow.mtu);
      introduce(b, null, true);
      introduce(a, null, false);
      b.datapath.setPeer(SLOT, { address: from, port: a.datapath.port });
      a.datapath.setPeer(SLOT, { address: to, port: b.datapath.port });
      a.sendFrame(frame);
      await rig.until(() => total(b) === payloadOf(frame));
      assert.deepEqual(
        b.frames.flatMap((one) => cut(one)),
        cut(frame),
        name,
      );
      assert.deepEqual([drops(a), drops(b)], [{}, {}], name);
      if (apart) run('ip', '-n', a.namespace, 'link', 'del', 'wire0');
      await rig.end();
    }
  });

  test('slices that came together are joined; a lost one splits the packet into two that are right', async () => {
    const bodies = sliceBodies(BACK, 9);
    const lost = [[], [0], [2], [5], [1, 3], [0, 1, 2, 3, 4]];
    for (const missingSlices of lost) {
      const { host, say } = await fromPeer();
      const kept = bodies.flatMap((body, at) => (missingSlices.includes(at) ? [] : [{ body, at }]));
      for (const { body } of kept) say(body);
      const payload = kept.reduce((sum, { body }) => sum + body.length - 12 - 52, 0);
      await rig.until(() => total(host) === payload);
      // However the datagrams were batched, cutting what arrived gives the same segments as the kernel would have sent.
      assert.deepEqual(
        host.frames.flatMap((frame) => cut(frame)),
        kept.map(({ at }) => cut(superPacket(BACK))[at]),
        `without ${missingSlices}`,
      );
      assert.deepEqual(drops(host), {});
      await rig.end();
    }
  });

  test('a datagram of UDP slices loses one and keeps the rest', async () => {
    const spec = { ...UDP, source: THERE, destination: HERE, size: 1200 * 4 };
    const { host, say } = await fromPeer();
    const bodies = sliceBodies(spec, 3);
    for (const at of [0, 1, 3]) say(bodies[at] as Uint8Array);
    await rig.until(() => total(host, 8) === 3600);
    const all = cut(superPacket(spec));
    assert.deepEqual(
      host.frames.flatMap((frame) => cut(frame)),
      [all[0], all[1], all[3]],
    );
  });

  test('a slice that lies about its packet is dropped and counted', async () => {
    const { host, say } = await fromPeer();
    const good = sliceBodies(BACK, 1)[1] as Uint8Array;
    const lies: [number, number][] = [
      [0, 3], // another kind of segmentation
      [0, 4], // IPv6, but the headers say IPv4
      [0, 5], // UDP, but the headers say TCP
      [1, 0], // a checksum that is complete
      [1, 0xff],
      [2, 0xff], // a segment size that does not fit the slice
      [4, 0], // where the checksum starts
      [5, 250], // where it goes
      [6, 20], // how long the headers are
      [6, 255],
      [7, 1], // reserved
      [8, 0xff], // an index beyond the end
      [9, 5], // the last place, for a slice in the middle
      [12, 0x4f], // IP options that are not there
      [12, 0x65], // IPv6
      [14, 0], // a total length that is too short
      [18, 0x20], // a fragment
      [12 + 9, 17], // another protocol
      [12 + 20 + 12, 0x10], // a TCP header shorter than itself
      [12 + 20 + 12, 0xf0], // and one longer
    ];
    for (const [at, value] of lies) {
      const bad = good.slice();
      bad[at] = value;
      say(bad);
    }
    for (const length of [0, 5, 12, 13, 31, 32, 40, 63]) say(good.subarray(0, length));
    say(good);
    await rig.until(() => host.frames.length === 1);
    assert.deepEqual(drops(host), { rxInner: lies.length + 8 });
  });

  test('every slice must come from the sender and go to this host', async () => {
    const { host, say } = await fromPeer();
    say(sliceBodies({ ...BACK, source: HERE }, 1)[0] as Uint8Array);
    say(sliceBodies({ ...BACK, destination: THERE }, 1)[1] as Uint8Array);
    say(sliceBodies(BACK, 1)[0] as Uint8Array);
    await rig.until(() => host.frames.length === 1);
    assert.deepEqual(drops(host), { rxSource: 1, rxDestination: 1 });
  });
});

/**
 * A wire between two namespaces with addresses of both families. Each end knows the other's link address from the start: while it is being
 * asked for, a kernel keeps fewer bytes than one large packet has.
 */
function connect(left: string, right: string, mtu: number): void {
  run('ip', 'link', 'add', 'wire0', 'netns', left, 'type', 'veth', 'peer', 'name', 'wire0', 'netns', right);
  const ends = [left, right].map((namespace, n) => ({ namespace, n, link: `02:00:00:00:00:0${n + 1}` }));
  for (const { namespace, n, link } of ends) {
    run('ip', 'netns', 'exec', namespace, 'sysctl', '-qw', 'net.ipv6.conf.wire0.disable_ipv6=0');
    run('ip', '-n', namespace, 'link', 'set', 'wire0', 'address', link, 'mtu', `${mtu}`, 'up');
    run('ip', '-n', namespace, 'address', 'add', `10.99.0.${n + 1}/24`, 'dev', 'wire0');
    run('ip', '-n', namespace, 'address', 'add', `fd00::${n + 1}/64`, 'dev', 'wire0', 'nodad');
    const other = ends[1 - n]?.link ?? '';
    for (const address of [`10.99.0.${2 - n}`, `fd00::${2 - n}`])
      run(
        'ip',
        '-n',
        namespace,
        'neigh',
        'replace',
        address,
        'lladdr',
        other,
        'dev',
        'wire0',
        'nud',
        'permanent',
      );
  }
}

/** Transport payload in all frames. */
function total(host: NativeHost, transportHeader = 32): number {
  return host.frames.reduce((sum, frame) => sum + frame.length - VNET_BYTES - 20 - transportHeader, 0);
}

function payloadOf(frame: Uint8Array): number {
  return frame.length - VNET_BYTES - 52;
}
