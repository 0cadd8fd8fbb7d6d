import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { createNativeRig, missing, until } from '../contract/datapath-native-rig.ts';
import { dropped, drops, HERE, key, packet, ROUTES, SLOT, THERE } from '../contract/datapath-rig.ts';
import { sliceBodies, superPacket } from '../contract/datapath-slices.ts';

/** The native data path against a wire, a peer and a local host that send anything at all. */

const reason = missing();
const DATAGRAMS = 100_000;
/** Datagrams in flight: less than the socket's queue holds, so that none is lost and each is counted. */
const BURST = 500;

describe('fuzz: native data path', { skip: reason ?? false }, () => {
  const rig = createNativeRig();
  after(() => rig.end());

  async function create() {
    const host = await rig.openNative();
    const peer = await rig.stranger();
    host.datapath.setRoutes(ROUTES);
    host.datapath.setPeer(SLOT, peer.endpoint);
    host.datapath.setKeys(SLOT, [key()]);
    let counter = 0n;
    const seal = (type: number, body: Uint8Array): Uint8Array => {
      const header = { type, lane: 0, index: key().receiveIndex, counter: counter++ };
      return rig.seal(key().receiveKey, 'aes-256-gcm', header, body);
    };
    /** Everything was judged: what is counted grows by `sent`, and a good packet still passes. */
    const settle = async (judged: () => number, sent: number): Promise<void> => {
      await until(() => judged() === sent);
      const before = host.received.length;
      peer.send(host.endpoint, seal(1, packet(THERE, HERE, 'still here')));
      await until(() => host.received.length > before);
      assert.deepEqual(host.received.at(-1), packet(THERE, HERE, 'still here'));
    };
    return { host, peer, seal, settle };
  }

  test(`${DATAGRAMS} datagrams of any content are dropped, each counted`, async () => {
    const { host, peer, settle } = await create();
    const random = fc.sample(fc.integer(), { numRuns: 1 })[0] as number;
    const noise = xorshift(random);
    for (let sent = 0; sent < DATAGRAMS; ) {
      for (const end = sent + BURST; sent < end; sent++) peer.send(host.endpoint, anyDatagram(noise));
      await until(() => dropped(host) === sent);
    }
    await settle(() => dropped(host), DATAGRAMS);
    assert.equal(host.received.length, 1, `seed ${random}`);
    const expected = new Set([
      'rxForged',
      'rxMalformed',
      'rxNoKey',
      'rxReplayed',
      'relayStranger',
      'relayNowhere',
    ]);
    assert.deepEqual(
      Object.keys(drops(host)).filter((one) => !expected.has(one)),
      [],
    );
  });

  test('an authentic peer that sends any body gets it dropped or delivered, never more', async () => {
    const { host, peer, seal, settle } = await create();
    const specs = (['tcp', 'udp'] as const).map((protocol) => ({
      ...{ protocol, source: THERE, destination: HERE, size: 5_000, segment: 1_000, options: 0 },
    }));
    const seeds = [packet(THERE, HERE), ...specs.flatMap((spec) => sliceBodies(spec, 1))];
    const bodies = fc.sample(
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc
          .record({ seed: fc.constantFrom(...seeds), at: fc.nat(99), value: fc.nat(255), cut: fc.nat(120) })
          .map(({ seed, at, value, cut }) => {
            const body = seed.slice(0, Math.max(1, seed.length - (cut > 100 ? cut : 0)));
            if (at < body.length) body[at] = value;
            return body;
          }),
      ),
      20_000,
    );
    let sent = 0;
    const judged = (): number => dropped(host) + Number(host.datapath.counters().total.receivedPackets);
    for (const body of bodies) {
      peer.send(host.endpoint, seal(body.length % 2 === 0 ? 1 : 2, body));
      // An empty packet of type 1 is a keepalive, which nobody counts.
      if (body.length > 0) sent++;
      if (sent % BURST === 0) await until(() => judged() === sent);
    }
    await settle(judged, sent);
  });

  test('a host that hands over any packet gets it dropped or sealed, never more', async () => {
    const { host, settle } = await create();
    const whole = superPacket({
      protocol: 'tcp',
      source: HERE,
      destination: THERE,
      size: 3_000,
      segment: 900,
      options: 0,
    });
    const frames = fc.sample(
      fc
        .record({
          at: fc.integer({ min: 10, max: 60 }),
          value: fc.nat(255),
          length: fc.integer({ min: 31, max: 1_430 }),
        })
        .map(({ at, value, length }) => {
          // The kernel itself refuses headers that contradict it; what is behind them is free.
          const frame = whole.slice(0, length);
          frame.fill(0, 0, 10);
          if (at < frame.length) frame[at] = value;
          return frame;
        }),
      5_000,
    );
    let sent = 0;
    const judged = (): number => dropped(host) + Number(host.datapath.counters().total.sentPackets);
    for (const frame of frames) {
      host.sendFrame(frame);
      if (++sent % 100 === 0) await until(() => judged() === sent);
    }
    await settle(judged, sent);
  });
});

/** Anything from noise to nearly right: known index, known type, any counter. */
function anyDatagram(next: () => number): Uint8Array {
  const length = next() % (next() % 8 === 0 ? 1_500 : 80);
  const datagram = Uint8Array.from({ length }, () => next());
  if (next() % 2 === 0 && length >= 8) {
    datagram.set([1 + (next() % 5), next() % 6, 0, 0]);
    if (next() % 2 === 0) new DataView(datagram.buffer).setUint32(4, key().receiveIndex);
    // Half of those to be carried have something behind their header that may be.
    if ((datagram[0] as number) > 3 && length > 20 && next() % 2 === 0)
      datagram.set([1 + (next() % 5), datagram[1] as number, 0, 0], 16);
  }
  return datagram;
}

function xorshift(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
