import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import {
  type CipherSuite,
  type Datapath,
  type DatapathEvent,
  DROP_REASONS,
  type DropReason,
  type SessionKey,
  type UdpEndpoint,
} from '../../src/ports/datapath.ts';
import type { DatagramHeader } from '../../src/ports/memory/datagram.ts';

/** What an implementation must offer so that the suite can look at both of its sides: the host's stack and the wire. */
export interface DatapathRig {
  /** A data path with nothing in its tables. */
  open(limits?: { readonly rekeyAfter?: bigint; readonly rejectAfter?: bigint }): Promise<RigHost>;
  /** A socket on the wire that the test speaks through. */
  stranger(): Promise<RigStranger>;
  seal(key: Uint8Array, suite: CipherSuite, header: DatagramHeader, body: Uint8Array): Uint8Array;
  unseal(key: Uint8Array, suite: CipherSuite, datagram: Uint8Array): Uint8Array | undefined;
  /** Rejects when the condition does not come true in reasonable time. */
  until(condition: () => boolean): Promise<void>;
  /** Closes everything that was opened. */
  end(): Promise<void>;
}

export interface RigHost {
  readonly datapath: Datapath;
  readonly endpoint: UdpEndpoint;
  readonly events: DatapathEvent[];
  /** Packets that the host's stack got. */
  readonly received: Uint8Array[];
  /** Hands a packet to the device. */
  send(packet: Uint8Array): void;
}

export interface RigStranger {
  readonly endpoint: UdpEndpoint;
  readonly received: Uint8Array[];
  send(to: UdpEndpoint, datagram: Uint8Array): void;
}

const ip = (text: string): number => text.split('.').reduce((value, part) => value * 256 + Number(part), 0);

/** The local host has 10.32.0.0/24 and the peer 10.32.1.0/24, seen from the first; the rest is nobody's. */
export const HERE = ip('10.32.0.5');
export const THERE = ip('10.32.1.7');
const NOBODY = ip('10.47.0.1');
export const SLOT = 1;

export const ROUTES = [
  { start: ip('10.32.0.0'), last: ip('10.32.0.255'), slot: 0 },
  { start: ip('10.32.1.0'), last: ip('10.32.1.255'), slot: SLOT },
  { start: ip('10.32.2.0'), last: ip('10.32.2.255'), slot: 2 },
];
const ROUTES_THERE = ROUTES.map(({ start, last, slot }) => ({ start, last, slot: slot < 2 ? 1 - slot : 2 }));

/** An IPv4 packet of an experimental protocol (RFC 3692), so that no stack answers it; the checksum is right. */
export function packet(
  source: number,
  destination: number,
  payload: string | Uint8Array = 'hello',
): Uint8Array {
  const body = Buffer.from(payload);
  const bytes = Buffer.alloc(20 + body.length);
  bytes.set([0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 253]);
  bytes.writeUInt16BE(bytes.length, 2);
  bytes.writeUInt32BE(source, 12);
  bytes.writeUInt32BE(destination, 16);
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += bytes.readUInt16BE(at);
  bytes.writeUInt16BE(~((sum & 0xffff) + (sum >>> 16)) & 0xffff, 10);
  bytes.set(body, 20);
  return new Uint8Array(bytes);
}

const keyBytes = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);

export function key(change: Partial<SessionKey> = {}): SessionKey {
  return {
    receiveIndex: 0x01020304,
    sendIndex: 0x0a0b0c0d,
    receiveKey: keyBytes(1),
    sendKey: keyBytes(2),
    suite: 'aes-256-gcm',
    send: true,
    ...change,
  };
}

/** The same key as the other side holds it. */
const mirrored = (one: SessionKey): SessionKey => ({
  ...one,
  receiveIndex: one.sendIndex,
  sendIndex: one.receiveIndex,
  receiveKey: one.sendKey,
  sendKey: one.receiveKey,
});

export function drops(host: RigHost): Partial<Record<DropReason, number>> {
  const all = host.datapath.counters().drops;
  return Object.fromEntries(
    DROP_REASONS.filter((reason) => all[reason] > 0n).map((reason) => [reason, Number(all[reason])]),
  );
}

export const dropped = (host: RigHost): number => Object.values(drops(host)).reduce((sum, n) => sum + n, 0);

export function datapathSuite(name: string, createRig: () => DatapathRig): void {
  describe(`datapath: ${name}`, () => {
    const rig = createRig();
    let marks = 0;
    afterEach(() => rig.end());

    /** One host that knows a peer, whose part the test plays with a socket and the peer's keys. */
    async function createStory(one: SessionKey = key(), limits = {}) {
      const host = await rig.open(limits);
      const peer = await rig.stranger();
      host.datapath.setRoutes(ROUTES);
      host.datapath.setPeer(SLOT, peer.endpoint);
      host.datapath.setKeys(SLOT, [one]);
      let counter = 0n;
      const sealed = (body: Uint8Array, change: Partial<DatagramHeader> = {}): Uint8Array => {
        const header = { type: 1, lane: 0, index: one.receiveIndex, counter: counter++, ...change };
        return rig.seal(one.receiveKey, one.suite, header, body);
      };
      const opened = (): (Uint8Array | undefined)[] =>
        peer.received.map((datagram) => rig.unseal(one.sendKey, one.suite, datagram));
      return { host, peer, sealed, opened, arrives: () => proveAlive(host, peer, sealed) };
    }

    /** Everything sent before has been judged once this packet has come through. */
    async function proveAlive(
      host: RigHost,
      peer: RigStranger,
      sealed: (body: Uint8Array, change?: Partial<DatagramHeader>) => Uint8Array,
    ): Promise<void> {
      const mark = packet(THERE, HERE, `mark ${++marks}`);
      peer.send(host.endpoint, sealed(mark, { lane: 1 }));
      await rig.until(() => Buffer.from(host.received.at(-1) ?? []).equals(mark));
      host.received.pop();
    }

    for (const suite of ['aes-256-gcm', 'chacha20-poly1305'] as const)
      test(`two hosts exchange packets unchanged with ${suite} and count them alike`, async () => {
        const [a, b] = [await rig.open(), await rig.open()];
        a.datapath.setRoutes(ROUTES);
        b.datapath.setRoutes(ROUTES_THERE);
        a.datapath.setPeer(SLOT, b.endpoint);
        b.datapath.setPeer(SLOT, a.endpoint);
        b.datapath.setKeys(SLOT, [mirrored(key({ suite }))]);
        a.datapath.setKeys(SLOT, [key({ suite })]);
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
      const { host, peer, arrives } = await createStory(key({ send: false }));
      host.send(packet(HERE, THERE));
      await rig.until(() => dropped(host) === 1);
      assert.deepEqual(drops(host), { txNoKey: 1 });
      await arrives();
      assert.equal(peer.received.length, 0);
    });

    test('the first authentic packet confirms a key, and the next ones say nothing', async () => {
      const { host, peer, sealed, arrives } = await createStory();
      peer.send(host.endpoint, sealed(new Uint8Array(0)));
      await arrives();
      await rig.until(() => host.events.length > 0);
      await arrives();
      assert.deepEqual(host.events, [{ type: 'keyConfirmed', slot: SLOT, receiveIndex: 0x01020304 }]);
      assert.equal(host.datapath.counters().peers.get(SLOT)?.dropped, 0n);
    });

    test('what the host may not send is counted by reason and never reaches the wire', async () => {
      const { host, peer, opened } = await createStory();
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
      const { host } = await createStory();
      host.datapath.setPeer(SLOT, null);
      host.send(packet(HERE, THERE));
      await rig.until(() => dropped(host) === 1);
      assert.deepEqual(drops(host), { txNoKey: 1 });
    });

    test('a datagram with any bit changed is dropped and counted', async () => {
      const { host, peer, sealed, arrives } = await createStory();
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
      const { host, peer, sealed, arrives } = await createStory();
      const good = sealed(packet(THERE, HERE));
      for (let length = 0; length < good.length; length++) peer.send(host.endpoint, good.subarray(0, length));
      await arrives();
      assert.equal(host.received.length, 0);
      assert.deepEqual(drops(host), { rxMalformed: 32, rxForged: good.length - 32 });
    });

    test('a datagram that comes again is dropped, and so is one that is too old to tell', async () => {
      const { host, peer, sealed, arrives } = await createStory();
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
      const { host, peer, sealed, arrives } = await createStory();
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
      const { host, peer, sealed, arrives } = await createStory();
      const forged = sealed(packet(THERE, HERE), { counter: 1n << 50n });
      forged[forged.length - 1] = (forged.at(-1) as number) ^ 1;
      peer.send(host.endpoint, forged);
      peer.send(host.endpoint, sealed(packet(THERE, HERE), { counter: 5n }));
      await arrives();
      assert.equal(host.received.length, 1);
      assert.deepEqual(drops(host), { rxForged: 1 });
    });

    test('an authentic sender may speak only for its own addresses and only to this host', async () => {
      const { host, peer, sealed, arrives } = await createStory();
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
      const { host, peer, sealed, arrives } = await createStory();
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
      for (const type of [0, 3, 255]) peer.send(host.endpoint, sealed(good, { type }));
      peer.send(host.endpoint, sealed(good, { lane: 200 }));
      await arrives();
      assert.equal(host.received.length, 0);
      assert.deepEqual(drops(host), { rxInner: bodies.length, rxMalformed: 4 });
    });

    test('a peer moves to where its newest authentic packet comes from', async () => {
      const { host, peer, sealed, opened } = await createStory();
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
      const { host, peer, sealed, arrives } = await createStory();
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

    test('keys that stay keep their window and counters, keys that go are gone', async () => {
      const { host, peer, sealed, opened, arrives } = await createStory();
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
      const { host, peer, sealed, arrives } = await createStory();
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
      const { host, peer, sealed, arrives } = await createStory();
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
      const { host, peer, arrives } = await createStory(key(), { rekeyAfter: 3n, rejectAfter: 5n });
      for (let i = 0; i < 9; i++) host.send(packet(HERE, THERE, `${i}`));
      await rig.until(() => dropped(host) === 4 && peer.received.length === 6);
      await arrives();
      assert.deepEqual(drops(host), { txExhausted: 4 });
      await rig.until(() => host.events.some((event) => event.type === 'rekeyDue'));
      assert.equal(host.events.filter((event) => event.type === 'rekeyDue').length, 1);
    });

    test('impossible arguments are refused and change nothing', async () => {
      const { host, arrives } = await createStory();
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
      const { host } = await createStory();
      await Promise.all([host.datapath.close(), host.datapath.close()]);
      host.datapath.setPeer(SLOT, null);
      host.datapath.setRoutes([]);
      host.datapath.setKeys(SLOT, []);
      host.datapath.removePeer(SLOT);
      assert.equal(host.datapath.counters().total.receivedPackets, 0n);
    });
  });
}
