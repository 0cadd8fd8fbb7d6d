import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, describe, test } from 'node:test';
import fc from 'fast-check';
import type { OptionalPart } from '../../src/datapath/native.ts';
import type { UdpEndpoint } from '../../src/ports/datapath.ts';
import { createNativeRig, missing, type NativeHost, run, until } from '../contract/datapath-native-rig.ts';
import {
  drops,
  HERE,
  IPV6_PREFIX,
  key,
  mirrored,
  ROUTES,
  ROUTES_THERE,
  SLOT,
  THERE,
} from '../contract/datapath-rig.ts';
import { type Draw, drawFrame, drawFrom, drawStream } from './packets.ts';
import { checksumsHold, onWire, visible } from './wire-model.ts';

/**
 * Random packets through two native data paths, against the plain model in packets.ts: the host at the end must get, packet by packet,
 * what a device would have put onto a wire. Joining and cutting may not show.
 *
 *   test ── TUN [ data path ] ── UDP ── (relay that loses, repeats and swaps) ── UDP [ data path ] TUN ── test
 */

const reason = missing();
const ROUNDS = 100;
/** Packets under way at once: fewer than any queue between the two holds. */
const BURST = 12;
const FEATURES: (readonly OptionalPart[])[] = [
  [],
  ['udpCoalescing'],
  ['udpSegmentation', 'udpCoalescing'],
  ['tunUdpSegmentation'],
  ['tunSegmentation'],
];

describe('fuzz: native segmentation and joining', { skip: reason ?? false }, () => {
  const rig = createNativeRig();
  afterEach(() => rig.end());
  const seed = fc.sample(fc.integer(), { numRuns: 1 })[0] as number;

  function introduce(host: NativeHost, to: UdpEndpoint | null, far: boolean): void {
    // Where the kernel cuts, one packet may become two hundred.
    run('ip', '-n', host.namespace, 'link', 'set', 'weft0', 'txqueuelen', '5000');
    host.datapath.setRoutes(far ? ROUTES_THERE : ROUTES);
    host.datapath.setPeer(SLOT, to);
    host.datapath.setKeys(SLOT, [far ? mirrored(key()) : key()]);
  }

  for (const without of FEATURES)
    test(`any packets arrive as they were sent, in their order${without.map((one) => `, without ${one}`).join('')}`, async () => {
      const [a, b] = [await rig.openNative({ without }), await rig.openNative({ without })];
      introduce(b, null, true);
      introduce(a, b.endpoint, false);
      const draw = drawFrom(seed);
      for (let round = 0; round < ROUNDS; round++) {
        const frames = burst(draw);
        const expected = frames.flatMap(onWire);
        for (const frame of frames) a.sendFrame(frame);
        await arrives(b, () => expected, `seed ${seed}, round ${round}`);
      }
      assert.deepEqual([drops(a), drops(b)], [{}, {}], `seed ${seed}`);
    });

  test('what a bad wire leaves of them is right packet by packet, in the order of the wire', async () => {
    const [a, b] = [await rig.openNative(), await rig.openNative()];
    const draw = drawFrom(seed);
    await using relay = await openRelay(draw, b.endpoint);
    introduce(b, null, true);
    introduce(a, relay.endpoint, false);
    for (let round = 0; round < ROUNDS; round++) {
      const frames = burst(draw);
      const sent = frames.flatMap(onWire);
      for (const frame of frames) a.sendFrame(frame);
      await until(() => relay.seen() === sent.length);
      const order = relay.forward();
      await arrives(b, () => order.map((at) => sent[at] as Buffer), `seed ${seed}, round ${round}`);
    }
    assert.deepEqual(drops(a), {}, `seed ${seed}`);
    assert.deepEqual(Object.keys(drops(b)), ['rxReplayed'], 'copies were dropped, and nothing else');
  });

  /** Compares what has come since the last time. */
  async function arrives(host: NativeHost, expected: () => Buffer[], story: string): Promise<void> {
    const wanted = expected();
    const got = (): Buffer[] => host.frames.flatMap(onWire);
    await until(() => got().length >= wanted.length).catch(() => {});
    const packets = got();
    host.frames.length = 0;
    for (const [n, packet] of wanted.entries())
      assert.equal(packets[n] && visible(packets[n]), visible(packet), `${story}, packet ${n}`);
    assert.equal(packets.length, wanted.length, story);
    assert.ok(packets.every(checksumsHold), `${story}: a checksum is wrong`);
  }
});

const BETWEEN = { source: HERE, destination: THERE, prefix: IPV6_PREFIX.bytes };
const burst = (draw: Draw): Buffer[] =>
  Array.from({ length: 1 + draw(BURST) }, () =>
    draw(3) === 0 ? drawStream(draw, BETWEEN) : [drawFrame(draw, BETWEEN)],
  ).flat();

/** Keeps datagrams back until it is told to go on, and then treats them badly. */
async function openRelay(draw: Draw, to: UdpEndpoint) {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 8 << 20 });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  let greeted = false;
  let held: Buffer[] = [];
  const send = (one: Buffer): void => socket.send(one, to.port, to.address);
  socket.on('message', (datagram) => {
    if (greeted) held.push(datagram);
    else send(datagram);
    greeted = true;
  });
  return {
    endpoint: { address: '127.0.0.1', port: socket.address().port },
    seen: () => held.length,
    /** Which datagrams arrive, in which order, copies left out. */
    forward(): number[] {
      const order: number[] = [];
      const [losses, swaps, copies] = [draw(2) * 20, draw(2) * 20, draw(2) * 20];
      for (let at = 0; at < held.length; at++) if (draw(100) >= losses) order.push(at);
      for (let at = 1; at < order.length; at++)
        if (draw(100) < swaps) {
          const other = Math.max(0, at - 1 - draw(5));
          [order[at], order[other]] = [order[other] as number, order[at] as number];
        }
      for (const at of order) {
        send(held[at] as Buffer);
        if (draw(100) < copies) send(held[at] as Buffer);
      }
      held = [];
      return order;
    },
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => socket.close(() => resolve())),
  };
}
