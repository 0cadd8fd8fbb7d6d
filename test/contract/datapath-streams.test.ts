import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { onWire } from '../fuzz/wire-model.ts';
import { createNativeRig, missing, type NativeHost, VNET_BYTES } from './datapath-native-rig.ts';
import { drops, HERE, THERE } from './datapath-rig.ts';
import { cut, superPacket } from './datapath-slices.ts';

/**
 * TCP segments that reach the other host one by one, because something on their way had cut them already, are handed to its kernel as few
 * packets. How many ride together depends on who was faster, so a story is told until some did; what the kernel makes of them must be
 * what was sent, every time.
 */

const IP = 20;
const GSO_TCP = 1;
const [FIN, PSH, ACK, URG, ECE, CWR] = [0x01, 0x08, 0x10, 0x20, 0x40, 0x80];
const SIZE = 500;
const COUNT = 50;
const AT_ONCE = 25;

interface Story {
  /** Bytes of payload of the segment with this number. */
  readonly size?: (n: number) => number;
  /** Changes the packet before its checksums are made. */
  readonly change?: (packet: Buffer, n: number) => void;
  /** Changes it afterwards. */
  readonly spoil?: (packet: Buffer, n: number) => void;
  /** The checksum is left to the device. */
  readonly partial?: boolean;
}

/** The segments of a stream with timestamps, each a frame as a stack hands it to a device. */
function framesOf({ size = () => SIZE, change, spoil, partial = false }: Story): Uint8Array[] {
  const between = {
    source: HERE,
    destination: THERE,
    protocol: 'tcp',
    segment: 60_000,
    options: 12,
  } as const;
  let sequence = 0xffff_f000;
  return Array.from({ length: COUNT }, (_, n) => {
    const frame = Buffer.from(superPacket({ ...between, size: size(n) }));
    const packet = frame.subarray(VNET_BYTES);
    packet.writeUInt16BE(n, 4);
    packet.writeUInt32BE(sequence, IP + 4);
    packet[IP + 13] = ACK;
    packet.fill(n, IP + 32);
    change?.(packet, n);
    sequence = (sequence + size(n)) >>> 0;
    // cut() makes the IP checksum and the pseudo header's sum, onWire() the rest.
    packet.set(cut(frame)[0] as Uint8Array);
    if (!partial) {
      packet.set(onWire(frame)[0] as Buffer);
      frame.fill(0, 0, VNET_BYTES);
    }
    spoil?.(packet, n);
    return new Uint8Array(frame);
  });
}

const flip = (at: number, bits: number) => (packet: Buffer, n: number) => {
  if (n % 2 === 1) packet[at] = (packet[at] as number) ^ bits;
};

const RIDE_TOGETHER: Record<string, Story> = {
  'with complete checksums': {},
  'with checksums left to do': { partial: true },
  'of which every tenth is short': { size: (n) => (n % 10 === 9 ? 30 : SIZE) },
  'of which every tenth pushes': {
    change: (packet, n) => void (n % 10 === 9 && packet.writeUInt8(ACK | PSH, IP + 13)),
  },
};

const RIDE_ALONE: Record<string, Story> = {
  'that all push': { change: (packet) => void packet.writeUInt8(ACK | PSH, IP + 13) },
  'that are urgent': { change: (packet) => void packet.writeUInt8(ACK | URG, IP + 13) },
  'that echo congestion': { change: (packet) => void packet.writeUInt8(ACK | ECE, IP + 13) },
  'that answer an echo': { change: (packet) => void packet.writeUInt8(ACK | CWR, IP + 13) },
  'that end the stream': { change: (packet) => void packet.writeUInt8(ACK | FIN, IP + 13) },
  'with other congestion marks every time': { change: flip(1, 0x01) },
  'of another age every time': { change: flip(8, 0x01) },
  'that may be fragmented every other time': { change: flip(6, 0x40) },
  'with other timestamps every time': { change: flip(IP + 31, 0x01) },
  'that acknowledge something else every time': { change: flip(IP + 11, 0x01) },
  'with another window every time': { change: flip(IP + 15, 0x01) },
  'with a gap between any two': { change: (packet, n) => void packet.writeUInt32BE(n * 2 * SIZE, IP + 4) },
  'that all have the same number': { change: (packet) => void packet.writeUInt16BE(7, 4) },
  'with a wrong checksum': { spoil: (packet) => void packet.writeUInt16BE(0xbad, IP + 16) },
  'with a wrong checksum of the IP header': { spoil: (packet) => void packet.writeUInt16BE(0xbad, 10) },
};

describe('datapath: segments that ride together', { skip: missing() ?? false }, () => {
  const rig = createNativeRig();
  afterEach(() => rig.end());

  /** Sends few enough at a time for the device's queue; resolves with how many frames held more than one segment. */
  async function tell(a: NativeHost, b: NativeHost, story: Story): Promise<number> {
    const frames = framesOf(story);
    b.frames.length = 0;
    const arrived = (): Buffer[] => b.frames.flatMap(onWire);
    for (let at = 0; at < COUNT; at += AT_ONCE) {
      for (const frame of frames.slice(at, at + AT_ONCE)) a.sendFrame(frame);
      await rig.until(() => arrived().length === at + AT_ONCE);
    }
    assert.deepEqual(arrived(), frames.flatMap(onWire));
    assert.deepEqual([drops(a), drops(b)], [{}, {}]);
    return b.frames.filter((frame) => frame[1] === GSO_TCP).length;
  }

  for (const [name, story] of Object.entries(RIDE_TOGETHER))
    test(`segments ${name} ride together and arrive as they were sent`, async () => {
      const [a, b] = await rig.openPair();
      for (let times = 0; times < 50; times++) if ((await tell(a, b, story)) > 0) return;
      assert.fail('none rode together in 50 attempts');
    });

  for (const [name, story] of Object.entries(RIDE_ALONE))
    test(`segments ${name} are left alone`, async () => {
      const [a, b] = await rig.openPair();
      for (let times = 0; times < 3; times++) assert.equal(await tell(a, b, story), 0);
    });
});
