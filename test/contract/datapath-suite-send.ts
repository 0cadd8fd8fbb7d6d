import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createStory,
  type DatapathRig,
  dropped,
  drops,
  HERE,
  ip,
  key,
  keyBytes,
  mirrored,
  NOBODY,
  packet,
  ROUTES,
  ROUTES_THERE,
  SLOT,
  THERE,
} from './datapath-rig.ts';

/** The way out: device, look-up, sealing, wire. */
export function sendStories(rig: DatapathRig): void {
  for (const suite of ['aes-256-gcm', 'chacha20-poly1305'] as const)
    test(`two hosts exchange packets unchanged with ${suite} and count them alike`, async () => {
      const [a, b] = [await rig.open(), await rig.open()];
      a.datapath.setRoutes(ROUTES);
      b.datapath.setRoutes(ROUTES_THERE);
      a.datapath.setPeer(SLOT, null);
      b.datapath.setPeer(SLOT, null);
      b.datapath.setKeys(SLOT, [mirrored(key({ suite }))]);
      a.datapath.setKeys(SLOT, [key({ suite })]);
      a.datapath.setPeer(SLOT, b.endpoint);
      b.datapath.setPeer(SLOT, a.endpoint);
      const out = [1, 100, 1400].map((size) => packet(HERE, THERE, new Uint8Array(size).fill(size)));
      for (const one of out) a.send(one);
      await rig.until(() => b.received.length === out.length);
      assert.deepEqual(b.received, out);
      b.send(packet(THERE, HERE, 'back'));
      await rig.until(() => a.received.length === 1);
      assert.deepEqual(a.received, [packet(THERE, HERE, 'back')]);
      const [here, there] = [a.datapath.counters(), b.datapath.counters()];
      assert.deepEqual(here.peers.get(SLOT), {
        sentPackets: 3n,
        sentBytes: BigInt(1 + 100 + 1400 + 3 * 20),
        receivedPackets: 1n,
        receivedBytes: 24n,
        dropped: 0n,
        relayedBytes: 0n,
      });
      assert.equal(there.total.receivedBytes, here.total.sentBytes);
      assert.deepEqual([drops(a), drops(b)], [{}, {}]);
    });

  test('an empty packet announces a new key, once, and as soon as there is somewhere to send it', async () => {
    const host = await rig.open();
    const peer = await rig.stranger();
    host.datapath.setRoutes(ROUTES);
    host.datapath.setPeer(SLOT, null);
    host.datapath.setKeys(SLOT, [key()]);
    host.datapath.setPeer(SLOT, peer.endpoint);
    host.datapath.setPeer(SLOT, peer.endpoint);
    host.datapath.setKeys(SLOT, [key()]);
    host.send(packet(HERE, THERE));
    await rig.until(() => peer.received.length === 2);
    const bodies = peer.received.map((one) => rig.unseal(keyBytes(2), 'aes-256-gcm', one));
    assert.deepEqual(bodies, [new Uint8Array(0), packet(HERE, THERE)]);
  });

  test('a key that is not marked for sending announces nothing and seals nothing', async () => {
    const { host, peer, arrives } = await createStory(rig, key({ send: false }));
    host.send(packet(HERE, THERE));
    await rig.until(() => dropped(host) === 1);
    assert.deepEqual(drops(host), { txNoKey: 1 });
    await arrives();
    assert.equal(peer.received.length, 0);
  });

  test('the first authentic packet confirms a key, and the next ones say nothing', async () => {
    const { host, peer, sealed, arrives } = await createStory(rig);
    peer.send(host.endpoint, sealed(new Uint8Array(0)));
    await arrives();
    await rig.until(() => host.events.length > 0);
    await arrives();
    assert.deepEqual(host.events, [{ type: 'keyConfirmed', slot: SLOT, receiveIndex: 0x01020304 }]);
    assert.equal(host.datapath.counters().peers.get(SLOT)?.dropped, 0n);
  });

  test('what the host may not send is counted by reason and never reaches the wire', async () => {
    const { host, peer, opened } = await createStory(rig);
    const good = packet(HERE, THERE);
    const cut = packet(HERE, THERE).subarray(0, 22);
    const shortHeader = good.slice();
    shortHeader[0] = 0x44;
    const v6 = new Uint8Array(60);
    v6[0] = 0x60;
    const notIp = good.slice();
    notIp[0] = 0x15;
    host.send(packet(HERE, NOBODY));
    host.send(packet(HERE, HERE + 1));
    host.send(v6);
    host.send(packet(THERE, THERE));
    host.send(packet(NOBODY, THERE));
    host.send(packet(HERE, ip('10.32.2.1')));
    for (const bad of [cut, shortHeader, notIp]) host.send(bad);
    host.send(good);
    await rig.until(() => peer.received.length === 2);
    assert.deepEqual(opened(), [new Uint8Array(0), good]);
    assert.deepEqual(drops(host), { txMalformed: 3, txSource: 2, txNoRoute: 3, txNoKey: 1 });
  });

  test('packets for a peer without a key ask for one, once a second', async () => {
    const host = await rig.open();
    host.datapath.setRoutes(ROUTES);
    host.datapath.setPeer(SLOT, { address: '127.0.0.1', port: 9 });
    for (let i = 0; i < 20; i++) host.send(packet(HERE, THERE));
    await rig.until(() => dropped(host) === 20 && host.events.length > 0);
    assert.deepEqual(drops(host), { txNoKey: 20 });
    assert.deepEqual(host.events, [{ type: 'keyWanted', slot: SLOT }]);
    assert.equal(host.datapath.counters().peers.get(SLOT)?.dropped, 20n);
  });

  test('packets for a peer without an endpoint go nowhere', async () => {
    const { host } = await createStory(rig);
    host.datapath.setPeer(SLOT, null);
    host.send(packet(HERE, THERE));
    await rig.until(() => dropped(host) === 1);
    assert.deepEqual(drops(host), { txNoKey: 1 });
  });
}
