import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createStory,
  type DatapathRig,
  dropped,
  drops,
  HERE,
  ip,
  NOBODY,
  packet,
  SLOT,
  THERE,
} from './datapath-rig.ts';

/** The way in: wire, opening, checks, device. */
export function receiveStories(rig: DatapathRig): void {
  test('a datagram with any bit changed is dropped and counted', async () => {
    const { host, peer, sealed, arrives } = await createStory(rig);
    const good = sealed(packet(THERE, HERE));
    for (let at = 0; at < good.length; at++) {
      const bad = good.slice();
      bad[at] = (bad[at] as number) ^ (1 << (at % 8));
      peer.send(host.endpoint, bad);
    }
    await arrives();
    assert.equal(host.received.length, 0);
    assert.equal(dropped(host), good.length);
    assert.ok((drops(host).rxForged ?? 0) >= good.length - 16);
    peer.send(host.endpoint, good);
    await rig.until(() => host.received.length === 1);
  });

  test('a datagram cut anywhere is dropped and counted', async () => {
    const { host, peer, sealed, arrives } = await createStory(rig);
    const good = sealed(packet(THERE, HERE));
    for (let length = 0; length < good.length; length++) peer.send(host.endpoint, good.subarray(0, length));
    await arrives();
    assert.equal(host.received.length, 0);
    assert.deepEqual(drops(host), { rxMalformed: 32, rxForged: good.length - 32 });
  });

  test('a datagram that comes again is dropped, and so is one that is too old to tell', async () => {
    const { host, peer, sealed, arrives } = await createStory(rig);
    const first = sealed(packet(THERE, HERE), { counter: 0n });
    for (let i = 0; i < 3; i++) peer.send(host.endpoint, first);
    peer.send(host.endpoint, sealed(packet(THERE, HERE, 'newest'), { counter: 40_000n }));
    peer.send(host.endpoint, sealed(packet(THERE, HERE, 'too old'), { counter: 20_000n }));
    peer.send(host.endpoint, sealed(packet(THERE, HERE, 'late'), { counter: 40_000n - 8_192n }));
    await arrives();
    assert.deepEqual(host.received, [
      packet(THERE, HERE),
      packet(THERE, HERE, 'newest'),
      packet(THERE, HERE, 'late'),
    ]);
    assert.deepEqual(drops(host), { rxReplayed: 3 });
  });

  test('datagrams out of order all arrive, each once', async () => {
    const { host, peer, sealed, arrives } = await createStory(rig);
    const count = 500;
    const order = Array.from({ length: count }, (_, i) => (i * 229) % count);
    for (const n of [...order, ...order])
      peer.send(host.endpoint, sealed(packet(THERE, HERE, `${n}`), { counter: BigInt(n) * 7n }));
    await arrives();
    assert.deepEqual(
      host.received,
      order.map((n) => packet(THERE, HERE, `${n}`)),
    );
    assert.deepEqual(drops(host), { rxReplayed: count });
  });

  test('a forged counter far ahead does not move the window', async () => {
    const { host, peer, sealed, arrives } = await createStory(rig);
    const forged = sealed(packet(THERE, HERE), { counter: 1n << 50n });
    forged[forged.length - 1] = (forged.at(-1) as number) ^ 1;
    peer.send(host.endpoint, forged);
    peer.send(host.endpoint, sealed(packet(THERE, HERE), { counter: 5n }));
    await arrives();
    assert.equal(host.received.length, 1);
    assert.deepEqual(drops(host), { rxForged: 1 });
  });

  test('an authentic sender may speak only for its own addresses and only to this host', async () => {
    const { host, peer, sealed, arrives } = await createStory(rig);
    const bodies = {
      source: [packet(HERE, HERE), packet(NOBODY, HERE), packet(ip('10.32.2.1'), HERE)],
      destination: [packet(THERE, NOBODY), packet(THERE, THERE), packet(THERE, ip('255.255.255.255'))],
    };
    for (const body of [...bodies.source, ...bodies.destination]) peer.send(host.endpoint, sealed(body));
    await arrives();
    assert.equal(host.received.length, 0);
    assert.deepEqual(drops(host), { rxSource: 3, rxDestination: 3 });
    assert.equal(host.datapath.counters().peers.get(SLOT)?.dropped, 6n);
    assert.equal(host.datapath.counters().peers.get(SLOT)?.receivedPackets, 1n);
  });

  test('an authentic sender cannot make the host take what is no IPv4 packet', async () => {
    const { host, peer, sealed, arrives } = await createStory(rig);
    const good = packet(THERE, HERE);
    const longer = Buffer.concat([good, Buffer.alloc(4)]);
    const v6 = new Uint8Array(60);
    v6[0] = 0x60;
    const bodies = [
      Uint8Array.of(0),
      new Uint8Array(20),
      good.subarray(0, 19),
      good.subarray(0, 24),
      longer,
      v6,
    ];
    for (const body of bodies) peer.send(host.endpoint, sealed(body));
    for (const type of [0, 4, 255]) peer.send(host.endpoint, sealed(good, { type }));
    peer.send(host.endpoint, sealed(good, { lane: 200 }));
    await arrives();
    assert.equal(host.received.length, 0);
    assert.deepEqual(drops(host), { rxInner: bodies.length, rxMalformed: 4 });
  });

  test('a question whether a long datagram passes is answered with its number, and nothing of it reaches the host', async () => {
    const { host, peer, sealed, arrives, opened } = await createStory(rig);
    const control = (counter: bigint) => ({ type: 3, lane: 4, counter });
    const question = new Uint8Array(1432);
    question.set([0, 0, 0, 2, 7]);
    peer.send(host.endpoint, sealed(question, control(1n)));
    await rig.until(() => peer.received.length === 2);
    assert.deepEqual(opened()[1], Uint8Array.of(1, 0, 0, 2, 7));
    // Answers that nobody asked for, and what is neither.
    peer.send(host.endpoint, sealed(Uint8Array.of(1, 0, 0, 0, 9), control(2n)));
    for (const [n, bad] of [[], [0, 0, 0, 1], [2, 0, 0, 0, 1]].entries())
      peer.send(host.endpoint, sealed(Uint8Array.from(bad), control(BigInt(n) + 3n)));
    await arrives();
    assert.deepEqual(drops(host), { rxInner: 3 });
    assert.equal(host.received.length, 0);
    assert.equal(peer.received.length, 2);
  });

  test('a peer moves to where its newest authentic packet comes from', async () => {
    const { host, peer, sealed, opened } = await createStory(rig);
    const elsewhere = await rig.stranger();
    elsewhere.send(host.endpoint, sealed(packet(THERE, HERE)));
    await rig.until(() => host.events.some((event) => event.type === 'roamed'));
    assert.deepEqual(
      host.events.filter((event) => event.type === 'roamed'),
      [{ type: 'roamed', slot: SLOT, endpoint: elsewhere.endpoint }],
    );
    host.send(packet(HERE, THERE, 'follow'));
    await rig.until(() => elsewhere.received.length === 1);
    assert.deepEqual(opened(), [new Uint8Array(0)]);
    assert.equal(peer.received.length, 1);
  });

  test('forged, replayed and old packets from elsewhere do not move a peer', async () => {
    const { host, peer, sealed, arrives } = await createStory(rig);
    const elsewhere = await rig.stranger();
    const old = sealed(packet(THERE, HERE, 'held up'));
    const replayed = sealed(packet(THERE, HERE));
    peer.send(host.endpoint, replayed);
    await rig.until(() => host.received.length === 1);
    const forged = sealed(packet(THERE, HERE));
    forged[20] = (forged[20] as number) ^ 1;
    for (const one of [forged, replayed, old]) elsewhere.send(host.endpoint, one);
    await rig.until(() => host.received.length === 2);
    await arrives();
    host.send(packet(HERE, THERE));
    await rig.until(() => peer.received.length === 2);
    assert.equal(elsewhere.received.length, 0);
  });
}
