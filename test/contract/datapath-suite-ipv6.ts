import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createStory,
  type DatapathRig,
  drops,
  HERE,
  ip,
  NOBODY,
  packet,
  packet6,
  SLOT,
  THERE,
} from './datapath-rig.ts';

const OTHERS = Buffer.from('fd123456789b000000000000', 'hex');
const [HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION] = [0, 43, 44, 60];

/** Extension headers, the first of which is of kind `next` (RFC 8200 §4). */
const CHAINS: Record<string, { next: number; headers: Uint8Array }> = {
  'with options for every hop': { next: HOP_BY_HOP, headers: Uint8Array.of(253, 0, 1, 4, 0, 0, 0, 0) },
  'with two headers': {
    next: HOP_BY_HOP,
    headers: Uint8Array.of(DESTINATION, 0, 1, 4, 0, 0, 0, 0, 253, 0, 1, 4, 0, 0, 0, 0),
  },
  'with a route': { next: ROUTING, headers: Uint8Array.of(253, 0, 4, 0, 0, 0, 0, 0) },
  'that is a fragment': { next: FRAGMENT, headers: Uint8Array.of(253, 0, 0x01, 0x01, 0, 0, 0, 9) },
  'whose headers end in the middle': { next: DESTINATION, headers: Uint8Array.of(253, 40, 1, 4) },
  'whose headers are long': {
    next: DESTINATION,
    headers: Uint8Array.from({ length: 304 }, (_, at) => [253, 37, 1, 255][at] ?? 0),
  },
  'with nothing behind its header': { next: 59, headers: new Uint8Array(0) },
};

/** Packets of IPv6: an address belongs to whom the IPv4 address at its end belongs. */
export function ipv6Stories(rig: DatapathRig): void {
  test('a packet of IPv6 goes to the owner of the IPv4 address at the end of its destination, and comes back', async () => {
    const { host, peer, sealed, opened } = await createStory(rig);
    const sizes = [0, 1, 999, 1380].map((size) => packet6(HERE, THERE, new Uint8Array(size).fill(7)));
    const chains = Object.values(CHAINS).map((chain) => packet6(HERE, THERE, 'hello', chain));
    const out = [...sizes, ...chains];
    for (const one of out) host.send(one);
    await rig.until(() => peer.received.length === 1 + out.length);
    assert.deepEqual(opened().slice(1), out);
    assert.deepEqual(drops(host), {});
    const back = [packet6(THERE, HERE), packet(THERE, HERE)];
    for (const one of back) peer.send(host.endpoint, sealed(one));
    await rig.until(() => host.received.length === back.length);
    assert.deepEqual(host.received, back);
    assert.equal(host.datapath.counters().peers.get(SLOT)?.receivedBytes, 45n + 25n);
  });

  for (const [name, chain] of Object.entries(CHAINS))
    test(`a packet of IPv6 ${name} reaches the host as it was sent`, async () => {
      const { host, peer, sealed, arrives } = await createStory(rig);
      const sent = [packet6(THERE, HERE, 'hello', chain), packet6(THERE, HERE, 'again', chain)];
      for (const one of sent) peer.send(host.endpoint, sealed(one));
      await arrives();
      assert.deepEqual(host.received, sent);
      assert.deepEqual(drops(host), {});
    });

  test("addresses of IPv6 outside of the mesh's prefix are nobody's", async () => {
    const { host, peer, sealed, arrives, opened } = await createStory(rig);
    const good = packet6(HERE, THERE);
    const toOthers = good.slice();
    toOthers.set(OTHERS, 24);
    const fromOthers = good.slice();
    fromOthers.set(OTHERS, 8);
    const unroutable = [
      toOthers,
      packet6(HERE, NOBODY),
      packet6(HERE, HERE),
      packet6(HERE, THERE, '', { prefix: OTHERS }),
    ];
    const notOurs = [fromOthers, packet6(THERE, THERE), packet6(NOBODY, THERE)];
    for (const one of [...unroutable, ...notOurs, good]) host.send(one);
    await rig.until(() => peer.received.length === 2);
    assert.deepEqual(opened()[1], good);
    assert.deepEqual(drops(host), { txNoRoute: unroutable.length, txSource: notOurs.length });

    const spoofed = packet6(THERE, HERE);
    spoofed.set(OTHERS, 8);
    const astray = packet6(THERE, HERE);
    astray.set(OTHERS, 24);
    const foreign = [spoofed, packet6(HERE, HERE), packet6(ip('10.32.2.1'), HERE)];
    const elsewhere = [astray, packet6(THERE, THERE), packet6(THERE, NOBODY)];
    for (const one of [...foreign, ...elsewhere]) peer.send(host.endpoint, sealed(one));
    await arrives();
    assert.equal(host.received.length, 0);
    const { rxSource, rxDestination } = drops(host);
    assert.deepEqual([rxSource, rxDestination], [foreign.length, elsewhere.length]);
  });

  test('a packet of IPv6 whose length is not its own is dropped and counted', async () => {
    const { host, peer, sealed, arrives } = await createStory(rig);
    const sized = (payload: number): Uint8Array => {
      const bytes = Buffer.from(packet6(THERE, HERE, 'hello'));
      bytes.writeUInt16BE(payload, 4);
      return new Uint8Array(bytes);
    };
    const inside = [
      sized(6),
      sized(0xffff),
      packet6(THERE, HERE).subarray(0, 39),
      packet6(THERE, HERE).subarray(0, 44),
    ];
    // On the wire a packet is its datagram to the last byte; a device may pad.
    for (const one of [...inside, sized(4), sized(0)]) peer.send(host.endpoint, sealed(one));
    await arrives();
    assert.equal(host.received.length, 0);
    assert.deepEqual(drops(host), { rxInner: inside.length + 2 });
    const bad = [sized(6), sized(0xffff), packet6(THERE, HERE).subarray(0, 39)];
    for (const one of bad) host.send(one);
    await rig.until(() => drops(host).txMalformed === bad.length);
  });
}
