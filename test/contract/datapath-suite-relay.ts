import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DatapathErrorCode, RELAY_BYTES, type SessionKey } from '../../src/ports/datapath.ts';
import { type RelayHeader, writeRelayed } from '../../src/ports/memory/datagram.ts';
import {
  type DatapathRig,
  drops,
  HERE,
  key,
  keyBytes,
  packet,
  type RigChange,
  type RigHost,
  type RigStranger,
  ROUTES,
  SLOT,
  THERE,
} from './datapath-rig.ts';

const OTHER = 2;
const [NAME, OTHER_NAME] = [0x1122_3344_5566_7788n, 0xfeed_0000_0000_0001n];
const KEYS = key();
const OTHER_KEYS = key({
  receiveIndex: 0x5501,
  sendIndex: 0x5502,
  receiveKey: keyBytes(5),
  sendKey: keyBytes(6),
});

/** A host with two peers, whose parts the test plays: the first in SLOT, the second in OTHER. */
interface Three {
  readonly host: RigHost;
  readonly first: RigStranger;
  readonly second: RigStranger;
  /** A datagram of the peer that has these keys with the host; counters follow one another. */
  sealed(keys: SessionKey, body: Uint8Array, type?: number): Uint8Array;
}

/** Datagrams that one host has carried to another, or that go by one. */
export function relayStories(rig: DatapathRig): void {
  async function create(change: RigChange = {}): Promise<Three> {
    const host = await rig.open(change);
    const [first, second] = [await rig.stranger(), await rig.stranger()];
    host.datapath.setRoutes(ROUTES);
    host.datapath.setPeer(SLOT, first.endpoint, NAME);
    host.datapath.setPeer(OTHER, second.endpoint, OTHER_NAME);
    host.datapath.setKeys(SLOT, [KEYS]);
    host.datapath.setKeys(OTHER, [OTHER_KEYS]);
    let counter = 0n;
    const sealed = (keys: SessionKey, body: Uint8Array, type = 1): Uint8Array => {
      const header = { type, lane: 0, index: keys.receiveIndex, counter: counter++ };
      return rig.seal(keys.receiveKey, keys.suite, header, body);
    };
    // Each has proven its key, and got the greeting under it.
    first.send(host.endpoint, sealed(KEYS, new Uint8Array(0)));
    second.send(host.endpoint, sealed(OTHER_KEYS, new Uint8Array(0)));
    const confirmed = () => host.events.filter(({ type }) => type === 'keyConfirmed').length;
    await rig.until(() => confirmed() === 2 && first.received.length === 1 && second.received.length === 1);
    first.received.length = 0;
    second.received.length = 0;
    return { host, first, second, sealed };
  }

  /** For somebody whom the host has no key with: it cannot look inside. */
  const secret = (text: string): Uint8Array =>
    rig.seal(keyBytes(9), 'aes-256-gcm', { type: 1, lane: 0, index: 0x9999, counter: 7n }, Buffer.from(text));
  const asked = (change: Partial<RelayHeader> = {}, datagram = secret('for another')): Uint8Array =>
    writeRelayed({ type: 4, index: KEYS.receiveIndex, name: OTHER_NAME, ...change }, datagram);

  test('what a peer asks to have carried goes to the other one as it is', async () => {
    const { host, first, second } = await create();
    const texts = ['one', 'two', 'three, which is longer', 'four'];
    for (const text of texts) first.send(host.endpoint, asked({}, secret(text)));
    await rig.until(() => second.received.length === texts.length);
    const header = { type: 5, index: OTHER_KEYS.sendIndex, name: OTHER_NAME } as const;
    assert.deepEqual(
      second.received.map((one) => Buffer.from(one).toString('hex')).sort(),
      texts.map((text) => Buffer.from(writeRelayed(header, secret(text))).toString('hex')).sort(),
    );
    assert.deepEqual(drops(host), {});
    const bytes = second.received.reduce((sum, { length }) => sum + length, 0);
    await rig.until(() => host.datapath.counters().peers.get(SLOT)?.relayedBytes === BigInt(bytes));
    assert.equal(host.datapath.counters().peers.get(OTHER)?.relayedBytes, 0n);
    assert.equal(host.received.length, 0);
  });

  test('a carried datagram must come from where a peer with a proven key is', async () => {
    const { host, second } = await create();
    const elsewhere = await rig.stranger();
    elsewhere.send(host.endpoint, asked());
    second.send(host.endpoint, asked());
    second.send(host.endpoint, asked({ index: 0x777 }));
    await rig.until(() => drops(host).relayStranger === 3);
    const unproven = key({ receiveIndex: 0x6601, sendIndex: 0x6602, send: false });
    host.datapath.setKeys(OTHER, [OTHER_KEYS, unproven]);
    second.send(host.endpoint, asked({ index: unproven.receiveIndex, name: NAME }));
    await rig.until(() => drops(host).relayStranger === 4);
    assert.equal(second.received.length, 0);
  });

  test('nothing is carried to nobody, to a peer without a key, or back to where it is from', async () => {
    const { host, first, second } = await create();
    first.send(host.endpoint, asked({ name: 0n }));
    first.send(host.endpoint, asked({ name: 4711n }));
    first.send(host.endpoint, asked({ name: NAME }));
    await rig.until(() => drops(host).relayNowhere === 3);
    host.datapath.setKeys(OTHER, []);
    first.send(host.endpoint, asked());
    await rig.until(() => drops(host).relayNowhere === 4);
    host.datapath.removePeer(OTHER);
    first.send(host.endpoint, asked());
    await rig.until(() => drops(host).relayNowhere === 5);
    assert.equal(host.datapath.counters().peers.get(SLOT)?.dropped, 5n);
    assert.deepEqual([first.received.length, second.received.length], [0, 0]);
  });

  test('what is carried is carried once', async () => {
    const { host, first, second } = await create();
    first.send(host.endpoint, asked({}, asked()));
    first.send(host.endpoint, asked({}, writeRelayed({ type: 5, index: 1, name: NAME }, secret('twice'))));
    await rig.until(() => drops(host).rxMalformed === 2);
    host.datapath.setCarrier(OTHER, SLOT);
    first.send(host.endpoint, asked());
    await rig.until(() => drops(host).relayNowhere === 1);
    assert.equal(second.received.length, 0);
    host.datapath.setCarrier(OTHER, null);
    first.send(host.endpoint, asked());
    await rig.until(() => second.received.length === 1);
  });

  test('a host that carries nothing drops and counts it, and takes what is for itself', async () => {
    const { host, first, second, sealed } = await create({ carries: false });
    first.send(host.endpoint, asked());
    await rig.until(() => drops(host).relayOff === 1);
    assert.equal(second.received.length, 0);
    const inner = sealed(KEYS, packet(THERE, HERE, 'by the other'));
    second.send(
      host.endpoint,
      writeRelayed({ type: 5, index: OTHER_KEYS.receiveIndex, name: OTHER_NAME }, inner),
    );
    await rig.until(() => host.received.length === 1);
  });

  test('what goes by another is sealed for the last, and what comes by it moves nobody', async () => {
    const { host, first, second, sealed } = await create();
    host.datapath.setCarrier(SLOT, OTHER);
    host.send(packet(HERE, THERE, 'by way of the other'));
    await rig.until(() => second.received.length === 1);
    const [whole = new Uint8Array(0)] = second.received;
    assert.deepEqual(
      [whole[0], Buffer.from(whole).readUInt32BE(4), Buffer.from(whole).readBigUInt64BE(8)],
      [4, OTHER_KEYS.sendIndex, NAME],
    );
    const opened = rig.unseal(KEYS.sendKey, KEYS.suite, whole.subarray(RELAY_BYTES));
    assert.deepEqual(opened, packet(HERE, THERE, 'by way of the other'));
    assert.equal(first.received.length, 0);
    assert.equal(host.datapath.counters().peers.get(SLOT)?.sentPackets, 1n);

    const from = { type: 5, index: OTHER_KEYS.receiveIndex, name: OTHER_NAME } as const;
    second.send(host.endpoint, writeRelayed(from, sealed(KEYS, packet(THERE, HERE, 'back'))));
    await rig.until(() => host.received.length === 1);
    assert.equal(host.datapath.counters().peers.get(SLOT)?.receivedPackets, 1n);
    const stranger = await rig.stranger();
    stranger.send(host.endpoint, writeRelayed(from, sealed(KEYS, packet(THERE, HERE, 'from anywhere'))));
    await rig.until(() => drops(host).relayStranger === 1);

    host.datapath.setCarrier(SLOT, null);
    host.send(packet(HERE, THERE, 'directly again'));
    await rig.until(() => first.received.length === 1);
    assert.equal(host.events.filter(({ type }) => type === 'roamed').length, 0);
  });

  test('the peer is asked by either way, and its answer is told', async () => {
    const { host, first, second, sealed } = await create();
    assert.equal(host.datapath.ask(SLOT, 5, null), true);
    assert.equal(host.datapath.ask(SLOT, 6, OTHER), true);
    await rig.until(() => first.received.length === 1 && second.received.length === 1);
    const bodies = [first.received[0], second.received[0]?.subarray(RELAY_BYTES)].map((one) =>
      Buffer.from(rig.unseal(KEYS.sendKey, KEYS.suite, one as Uint8Array) as Uint8Array),
    );
    assert.deepEqual(
      bodies.map((body) => [body.length, body[0], body.readUInt32BE(1)]),
      [
        [5, 0, 0x8000_0005],
        [5, 0, 0xc000_0006],
      ],
    );
    for (const body of bodies) {
      body[0] = 1;
      first.send(host.endpoint, sealed(KEYS, body, 3));
    }
    const answers = () => host.events.flatMap((one) => (one.type === 'answered' ? [one.number] : []));
    await rig.until(() => answers().length === 2);
    assert.deepEqual(answers().sort(), [5, 6]);

    // The host answers what came by another by that one, the rest directly and, where its packets take another way, by that one, too.
    first.received.length = 0;
    second.received.length = 0;
    const question = (number: number) => sealed(KEYS, Buffer.from([0, number, 0, 0, 9]), 3);
    const from = { type: 5, index: OTHER_KEYS.receiveIndex, name: OTHER_NAME } as const;
    first.send(host.endpoint, question(0x80));
    await rig.until(() => first.received.length === 1);
    second.send(host.endpoint, writeRelayed(from, question(0xc0)));
    await rig.until(() => second.received.length === 1);
    assert.deepEqual([second.received[0]?.[0], second.received[0]?.[RELAY_BYTES]], [4, 3]);
    host.datapath.setCarrier(SLOT, OTHER);
    first.send(host.endpoint, question(0x80));
    await rig.until(() => second.received.length === 2 && first.received.length === 2);
    assert.deepEqual([first.received[1]?.[0], second.received[1]?.[0]], [3, 4]);
  });

  test('the peer is asked at another place, which moves nothing here before it answers from there', async () => {
    const { host, first, sealed } = await create();
    const elsewhere = await rig.stranger();
    assert.equal(host.datapath.ask(SLOT, 7, elsewhere.endpoint), true);
    await rig.until(() => elsewhere.received.length === 1);
    const [datagram = new Uint8Array(0)] = elsewhere.received;
    const body = Buffer.from(rig.unseal(KEYS.sendKey, KEYS.suite, datagram) as Uint8Array);
    assert.deepEqual([body[0], body.readUInt32BE(1)], [0, 0x8000_0007]);
    host.send(packet(HERE, THERE, 'where it was'));
    await rig.until(() => first.received.length === 1);

    body[0] = 1;
    elsewhere.send(host.endpoint, sealed(KEYS, body, 3));
    await rig.until(() => host.events.some((one) => one.type === 'answered' && one.number === 7));
    const moved = host.events.find((one) => one.type === 'roamed');
    assert.deepEqual(moved, { type: 'roamed', slot: SLOT, endpoint: elsewhere.endpoint });
    host.send(packet(HERE, THERE, 'where it is'));
    await rig.until(() => elsewhere.received.length === 2);
    assert.equal(first.received.length, 1);
  });

  test('a carrier is refused for a peer that nobody knows or that has no name', async () => {
    const { host } = await create();
    const refused = { code: 'bad-argument' satisfies DatapathErrorCode };
    assert.throws(() => host.datapath.setCarrier(7, OTHER), refused);
    assert.throws(() => host.datapath.setCarrier(SLOT, SLOT), refused);
    assert.throws(() => host.datapath.setCarrier(SLOT, 0), refused);
    assert.throws(() => host.datapath.setPeer(3, null, 0n), refused);
    assert.throws(() => host.datapath.setPeer(3, null, 1n << 64n), refused);
    assert.throws(() => host.datapath.ask(SLOT, 0, null), refused);
    assert.throws(() => host.datapath.ask(SLOT, 2 ** 30, null), refused);
    host.datapath.setPeer(3, null);
    assert.throws(() => host.datapath.setCarrier(3, OTHER), refused);
    assert.equal(host.datapath.ask(3, 1, null), false);
    assert.equal(host.datapath.ask(9, 1, null), false);
    assert.throws(() => host.datapath.ask(SLOT, 1, { address: 'elsewhere', port: 1 }), refused);
    assert.throws(() => host.datapath.ask(SLOT, 1, { address: '127.0.0.1', port: 0 }), refused);
    assert.equal(host.datapath.ask(3, 1, { address: '127.0.0.1', port: 1 }), false);
  });
}
