import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { createNativeRig, missing, type NativeHost, VNET_BYTES } from './datapath-native-rig.ts';
import { drops, HERE, THERE } from './datapath-rig.ts';
import { cut, superPacket } from './datapath-slices.ts';

/**
 * UDP datagrams that were sent one by one reach the other kernel as few packets that it cuts again. How many ride together depends on
 * who was faster, so each story is told until some did; what the kernel makes of them must be what was sent, every time.
 */

const IP = 20;
const GSO_UDP = 5;

interface Datagram {
  readonly size: number;
  readonly id: number;
  /** Changes the packet (without virtio-net header) before its IP checksum is made. */
  readonly change?: (packet: Buffer) => void;
}

/** What the kernel makes of a frame; the model of cutting has no word for a packet without payload. */
function packetsOf(frame: Uint8Array): Uint8Array[] {
  return frame.length === VNET_BYTES + IP + 8 ? [frame.subarray(VNET_BYTES)] : cut(frame);
}

/** A frame as a stack hands it to a device: one datagram, checksum left to do. */
function frameOf({ size, id, change }: Datagram): Uint8Array {
  const spec = {
    protocol: 'udp',
    source: HERE,
    destination: THERE,
    size,
    segment: 60_000,
    options: 0,
  } as const;
  const frame = Buffer.from(superPacket(spec));
  const packet = frame.subarray(VNET_BYTES);
  packet.writeUInt16BE(id & 0xffff, 4);
  packet.fill(id & 0xff, IP + 8);
  change?.(packet);
  // packetsOf() of a single packet rewrites its IP header and checksum, and no more.
  packet.set(packetsOf(frame)[0] as Uint8Array);
  return new Uint8Array(frame);
}

const joined = (host: NativeHost): number => host.frames.filter((frame) => frame[1] === GSO_UDP).length;
const many = (count: number, make: (at: number) => Datagram): Datagram[] =>
  Array.from({ length: count }, (_, at) => make(at));
const withoutDf = (packet: Buffer): void => void packet.writeUInt8(0, 6);

const RIDE_TOGETHER: Record<string, Datagram[]> = {
  'of one size': many(300, (id) => ({ size: 64, id })),
  'of one size, the last of every ten shorter': many(300, (id) => ({ size: id % 10 === 9 ? 30 : 100, id })),
  'that may be fragmented and are numbered one by one': many(200, (id) => ({
    size: 64,
    id,
    change: withoutDf,
  })),
  'of many bytes': many(200, (id) => ({ size: 1300, id })),
};

const differs = (at: number, value: number): Datagram[] =>
  many(200, (id) => ({ size: 64, id, change: (packet) => void (id % 2 && packet.writeUInt8(value, at)) }));

const RIDE_ALONE: Record<string, Datagram[]> = {
  'whose sizes grow': many(100, (id) => ({ size: 10 + id, id })),
  'that may be fragmented and are numbered otherwise': many(200, (id) => ({
    size: 64,
    id: 7 * id,
    change: withoutDf,
  })),
  'without payload': many(100, (id) => ({ size: 0, id })),
  'of another service class every time': differs(1, 0x20),
  'with other congestion marks every time': differs(1, 0x01),
  'of another age every time': differs(8, 9),
  'from another port every time': differs(IP + 1, 9),
  'to another port every time': differs(IP + 3, 9),
};

describe('datapath: small datagrams that ride together', { skip: missing() ?? false }, () => {
  const rig = createNativeRig();
  afterEach(() => rig.end());

  /** Sends few enough at a time for the device's queue. */
  async function tell(a: NativeHost, b: NativeHost, story: readonly Datagram[]): Promise<void> {
    const frames = story.map(frameOf);
    b.frames.length = 0;
    for (let at = 0; at < frames.length; at += 25) {
      for (const frame of frames.slice(at, at + 25)) a.sendFrame(frame);
      const sent = Math.min(at + 25, frames.length);
      await rig.until(() => b.frames.flatMap(packetsOf).length === sent);
    }
    assert.deepEqual(b.frames.flatMap(packetsOf), frames.flatMap(packetsOf));
    assert.deepEqual([drops(a), drops(b)], [{}, {}]);
  }

  for (const [name, story] of Object.entries(RIDE_TOGETHER))
    test(`datagrams ${name} arrive as they were sent`, async () => {
      const [a, b] = await rig.openPair();
      for (let times = 0; times < 50; times++) {
        await tell(a, b, story);
        if (joined(b) > 0) return;
      }
      assert.fail('none rode together in 50 attempts');
    });

  for (const [name, story] of Object.entries(RIDE_ALONE))
    test(`datagrams ${name} are left alone`, async () => {
      const [a, b] = await rig.openPair();
      for (let times = 0; times < 3; times++) {
        await tell(a, b, story);
        assert.equal(joined(b), 0);
      }
    });

  test('a kernel that cannot cut datagrams is given single ones', async () => {
    const [a, b] = await rig.openPair({ without: ['tunUdpSegmentation'] });
    await tell(a, b, RIDE_TOGETHER['of one size'] as Datagram[]);
    assert.equal(joined(b), 0);
  });
});
