import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createStory,
  type DatapathRig,
  dropped,
  drops,
  HERE,
  key,
  keyBytes,
  packet,
  ROUTES,
  SLOT,
  THERE,
} from './datapath-rig.ts';

/** What the control plane says, and what holds from then on. */
export function tableStories(rig: DatapathRig): void {
  test('keys that stay keep their window and counters, keys that go are gone', async () => {
    const { host, peer, sealed, opened, arrives } = await createStory(rig);
    const old = sealed(packet(THERE, HERE, 'old key'));
    peer.send(host.endpoint, old);
    host.send(packet(HERE, THERE, '1'));
    await rig.until(() => host.received.length === 1 && peer.received.length === 2);

    const next = key({ receiveIndex: 77, sendIndex: 78, receiveKey: keyBytes(3), sendKey: keyBytes(4) });
    host.datapath.setKeys(SLOT, [key(), { ...next, send: false }]);
    peer.send(host.endpoint, old);
    host.send(packet(HERE, THERE, '2'));
    await rig.until(() => peer.received.length === 3 && dropped(host) === 1);
    assert.deepEqual(drops(host), { rxReplayed: 1 });
    const counters = peer.received.map((one) => Buffer.from(one).readBigUInt64BE(8));
    assert.ok(counters[1] !== counters[2], 'a counter was used twice');
    assert.deepEqual(opened().slice(1), [packet(HERE, THERE, '1'), packet(HERE, THERE, '2')]);

    host.datapath.setKeys(SLOT, [{ ...key(), send: false }, next]);
    host.send(packet(HERE, THERE, '3'));
    await rig.until(() => peer.received.length === 5);
    const fresh = peer.received.slice(3).map((one) => rig.unseal(keyBytes(4), 'aes-256-gcm', one));
    assert.deepEqual(fresh, [new Uint8Array(0), packet(HERE, THERE, '3')]);
    await arrives();

    host.datapath.setKeys(SLOT, [next]);
    peer.send(host.endpoint, sealed(packet(THERE, HERE)));
    await rig.until(() => drops(host).rxNoKey === 1);
  });

  test('a removed peer is forgotten with its keys, and its slot counts from zero again', async () => {
    const { host, peer, sealed, arrives } = await createStory(rig);
    await arrives();
    host.datapath.removePeer(SLOT);
    host.datapath.removePeer(SLOT);
    assert.equal(host.datapath.counters().peers.get(SLOT), undefined);
    peer.send(host.endpoint, sealed(packet(THERE, HERE)));
    host.send(packet(HERE, THERE));
    await rig.until(() => dropped(host) === 2);
    assert.deepEqual(drops(host), { txNoKey: 1, rxNoKey: 1 });
    host.datapath.setPeer(SLOT, null);
    assert.equal(host.datapath.counters().peers.get(SLOT)?.receivedPackets, 0n);
    assert.equal(host.datapath.counters().total.receivedPackets, 1n);
  });

  test('new routes hold for the next packet, in both directions', async () => {
    const { host, peer, sealed, arrives } = await createStory(rig);
    await arrives();
    host.datapath.setRoutes([{ start: HERE, last: HERE, slot: 0 }]);
    peer.send(host.endpoint, sealed(packet(THERE, HERE)));
    host.send(packet(HERE, THERE));
    await rig.until(() => dropped(host) === 2);
    assert.deepEqual(drops(host), { txNoRoute: 1, rxSource: 1 });
    host.datapath.setRoutes(ROUTES);
    await arrives();
  });

  test('a key asks to be replaced once, and at its end seals nothing more', async () => {
    const { host, peer, arrives } = await createStory(rig, key(), { rekeyAfter: 3n, rejectAfter: 5n });
    for (let i = 0; i < 9; i++) host.send(packet(HERE, THERE, `${i}`));
    await rig.until(() => dropped(host) === 4 && peer.received.length === 6);
    await arrives();
    assert.deepEqual(drops(host), { txExhausted: 4 });
    await rig.until(() => host.events.some((event) => event.type === 'rekeyDue'));
    assert.equal(host.events.filter((event) => event.type === 'rekeyDue').length, 1);
  });

  test('impossible arguments are refused and change nothing', async () => {
    const { host, arrives } = await createStory(rig);
    const { datapath } = host;
    const range = { start: 1, last: 2, slot: 1 };
    const wrong: Record<string, () => void> = {
      'slot 0': () => datapath.setPeer(0, null),
      'slot too large': () => datapath.setPeer(16_384, null),
      'slot not whole': () => datapath.removePeer(1.5),
      'no address': () => datapath.setPeer(SLOT, { address: 'example.com', port: 1 }),
      'octal address': () => datapath.setPeer(SLOT, { address: '010.0.0.1', port: 1 }),
      'port 0': () => datapath.setPeer(SLOT, { address: '10.0.0.1', port: 0 }),
      'port too large': () => datapath.setPeer(SLOT, { address: '10.0.0.1', port: 65_536 }),
      'empty range': () => datapath.setRoutes([{ ...range, start: 3 }]),
      'overlapping ranges': () => datapath.setRoutes([range, { start: 2, last: 9, slot: 2 }]),
      'unsorted ranges': () => datapath.setRoutes([{ start: 5, last: 9, slot: 2 }, range]),
      'address too large': () => datapath.setRoutes([{ ...range, last: 2 ** 32 }]),
      'slot of a range': () => datapath.setRoutes([{ ...range, slot: 16_384 }]),
      'short key': () => datapath.setKeys(SLOT, [key({ sendKey: new Uint8Array(31) })]),
      'index 0': () => datapath.setKeys(SLOT, [key({ receiveIndex: 0 })]),
      'same index twice': () => datapath.setKeys(SLOT, [key(), key({ send: false })]),
      'two that send': () => datapath.setKeys(SLOT, [key(), key({ receiveIndex: 9 })]),
      'too many keys': () =>
        datapath.setKeys(
          SLOT,
          [1, 2, 3, 4].map((receiveIndex) => key({ receiveIndex, send: false })),
        ),
      'unknown peer': () => datapath.setKeys(7, [key({ receiveIndex: 9 })]),
      "another peer's index": () => {
        datapath.setPeer(2, null);
        datapath.setKeys(2, [key()]);
      },
    };
    for (const [what, run] of Object.entries(wrong))
      assert.throws(run, { name: 'DatapathError', code: 'bad-argument' }, what);
    await arrives();
  });

  test('closing twice is fine, and a closed path ignores what comes', async () => {
    const { host } = await createStory(rig);
    await Promise.all([host.datapath.close(), host.datapath.close()]);
    host.datapath.setPeer(SLOT, null);
    host.datapath.setRoutes([]);
    host.datapath.setKeys(SLOT, []);
    host.datapath.removePeer(SLOT);
    assert.equal(host.datapath.counters().total.receivedPackets, 0n);
  });
}
