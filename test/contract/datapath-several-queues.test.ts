import assert from 'node:assert/strict';
import { createSocket, type RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, describe, test } from 'node:test';
import { onWire } from '../fuzz/wire-model.ts';
import { createNativeRig, missing, type NativeHost, until, VNET_BYTES } from './datapath-native-rig.ts';
import { drops, HERE, key, mirrored, ROUTES, ROUTES_THERE, SLOT, THERE } from './datapath-rig.ts';
import { superPacket } from './datapath-slices.ts';

/** Hosts with several pairs of threads, a relay between them that sees which lane each datagram takes. */

const QUEUES = 2;
const FLOWS = 16;
const ROUNDS = 20;
/** For each flow fewer than a device's queue holds of all. */
const AT_ONCE = 10;
const PORT_AT = 20;
const NUMBER_AT = 28;

describe('datapath: several queues', { skip: missing() ?? false }, () => {
  const rig = createNativeRig();
  const closers: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
    await rig.end();
  });

  /** Two hosts whose keys have these indices. */
  async function pair(receiveIndex: number, sendIndex: number) {
    const [a, b] = [await rig.openNative({ queues: QUEUES }), await rig.openNative({ queues: QUEUES })];
    const relay = await openRelay(a, b);
    closers.push(relay.close);
    const one = key({ receiveIndex, sendIndex });
    a.datapath.setRoutes(ROUTES);
    b.datapath.setRoutes(ROUTES_THERE);
    for (const host of [a, b]) host.datapath.setPeer(SLOT, null);
    b.datapath.setKeys(SLOT, [mirrored(one)]);
    a.datapath.setKeys(SLOT, [one]);
    a.datapath.setPeer(SLOT, relay.ends[0]);
    b.datapath.setPeer(SLOT, relay.ends[1]);
    return { a, b, relay };
  }

  // The kernel chooses the socket by lane and index, and the device's queue by what last came out of it.
  for (const [receiveIndex, sendIndex] of [
    [100, 200],
    [100, 201],
    [101, 200],
    [101, 201],
  ] as const)
    test(`a conversation keeps its queue, with keys ${receiveIndex} and ${sendIndex}`, async () => {
      const { a, b, relay } = await pair(receiveIndex, sendIndex);
      for (let flow = 0; flow < FLOWS; flow++) {
        // The first answer may move it to where the other host's kernel has put it.
        for (let n = 0; n < 3; n++) await roundTrip(a, b, flow, n);
        relay.lanes.length = 0;
        for (let n = 0; n < ROUNDS; n++) await roundTrip(a, b, flow, n);
        assert.deepEqual(new Set(relay.lanes).size, 2, `flow ${flow}: ${relay.lanes}`);
      }
      assert.deepEqual([drops(a), drops(b)], [{}, {}]);
    });

  test('flows take different queues, and each arrives in its order while others pass', async () => {
    const { a, b, relay } = await pair(100, 201);
    const orders = Array.from({ length: FLOWS }, (): number[] => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (let n = 0; n < AT_ONCE; n++)
        for (let flow = 0; flow < FLOWS; flow++)
          a.sendFrame(datagram(HERE, THERE, flow, round * AT_ONCE + n));
      await until(() => packetsOf(b).length === FLOWS * AT_ONCE);
      for (const packet of packetsOf(b))
        orders[packet.readUInt16BE(PORT_AT) - FIRST_PORT]?.push(packet.readUInt32BE(NUMBER_AT));
      b.frames.length = 0;
    }
    const inOrder = Array.from({ length: ROUNDS * AT_ONCE }, (_, n) => n);
    for (const [flow, order] of orders.entries()) assert.deepEqual(order, inOrder, `flow ${flow}`);
    const lanes = new Set(relay.lanes.filter((lane) => lane.startsWith('a')));
    assert.deepEqual([...lanes].sort(), ['a0', 'a1']);
    assert.deepEqual([drops(a), drops(b)], [{}, {}]);
  });
});

const FIRST_PORT = 4000;

/** A frame with one datagram of a flow: between the same two ports whoever sends. */
function datagram(source: number, destination: number, flow: number, number: number): Uint8Array {
  const spec = { protocol: 'udp', source, destination, size: 64, segment: 1000, options: 0 } as const;
  const frame = Buffer.from(superPacket(spec));
  const ports = source === HERE ? [FIRST_PORT + flow, 7] : [7, FIRST_PORT + flow];
  for (const [at, port] of ports.entries()) frame.writeUInt16BE(port, VNET_BYTES + PORT_AT + 2 * at);
  frame.writeUInt32BE(number, VNET_BYTES + NUMBER_AT);
  return new Uint8Array(frame);
}

const packetsOf = (host: NativeHost): Buffer[] => host.frames.flatMap(onWire);

async function roundTrip(a: NativeHost, b: NativeHost, flow: number, n: number): Promise<void> {
  for (const host of [a, b]) host.frames.length = 0;
  a.sendFrame(datagram(HERE, THERE, flow, n));
  await until(() => b.frames.length === 1);
  b.sendFrame(datagram(THERE, HERE, flow, n));
  await until(() => a.frames.length === 1);
}

/** `ends` are where each host finds the other; `lanes` are those of all datagrams, behind the name of their sender. */
async function openRelay(a: NativeHost, b: NativeHost) {
  const lanes: string[] = [];
  const sockets = await Promise.all(
    [a, b].map(async () => {
      const socket = createSocket({ type: 'udp4', recvBufferSize: 8 << 20 });
      socket.bind(0, '127.0.0.1');
      await once(socket, 'listening');
      return socket;
    }),
  );
  const [towardsB, towardsA] = sockets as [(typeof sockets)[0], (typeof sockets)[0]];
  const pass = (name: string, out: typeof towardsA, to: NativeHost) => (one: Buffer, _from: RemoteInfo) => {
    const control = one.length === 32;
    if (!control) lanes.push(`${name}${one[1]}`);
    out.send(one, to.endpoint.port, to.endpoint.address);
  };
  towardsB.on('message', pass('a', towardsA, b));
  towardsA.on('message', pass('b', towardsB, a));
  return {
    lanes,
    ends: [towardsB, towardsA].map((socket) => ({ address: '127.0.0.1', port: socket.address().port })) as [
      { address: string; port: number },
      { address: string; port: number },
    ],
    close: () =>
      Promise.all(sockets.map((socket) => new Promise<void>((done) => socket.close(() => done())))),
  };
}
