import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { RELAY_BYTES } from '../../src/ports/datapath.ts';
import { createNativeRig, missing, type NativeHost } from './datapath-native-rig.ts';
import { drops, HERE, key, keyBytes, mirrored, packet, ROUTES, SLOT, THERE } from './datapath-rig.ts';
import { superPacket } from './datapath-slices.ts';

const MTU = 1420;
const CARRIER = 2;
const NAME = 0x1234_5678_9abc_def0n;
const SIZE = 30_000;
const between = key({ receiveIndex: 0x701, sendIndex: 0x702, receiveKey: keyBytes(7), sendKey: keyBytes(8) });
const onward = key({ receiveIndex: 0x801, sendIndex: 0x802, receiveKey: keyBytes(3), sendKey: keyBytes(4) });

/** Three real data paths: the first sends to the last by way of the one in the middle. */
describe('datapath: native, carried by another host', { skip: missing() ?? false }, () => {
  const rig = createNativeRig();
  after(() => rig.end());

  async function three(): Promise<readonly [NativeHost, NativeHost, NativeHost]> {
    const [first, middle, last] = [await rig.openNative(), await rig.openNative(), await rig.openNative()];
    first.datapath.setRoutes(ROUTES);
    last.datapath.setRoutes(ROUTES.map((one) => ({ ...one, slot: one.slot < 2 ? 1 - one.slot : one.slot })));
    // Nowhere: whatever arrives has gone by the host in the middle.
    first.datapath.setPeer(SLOT, { address: '127.0.0.1', port: 9 }, NAME);
    last.datapath.setPeer(SLOT, null);
    for (const [host, slot, other, keys, name] of [
      [first, CARRIER, middle, between, 5n],
      [middle, 1, first, mirrored(between), 6n],
      [middle, 2, last, onward, NAME],
      [last, CARRIER, middle, mirrored(onward), 5n],
    ] as const) {
      host.datapath.setPeer(slot, other.endpoint, name);
      host.datapath.setKeys(slot, [keys]);
      // What was said before both had the key was lost.
      host.datapath.ask(slot, 1, null);
    }
    for (const [host, slot] of [
      [first, CARRIER],
      [middle, 2],
    ] as const)
      host.datapath.ask(slot, 2, null);
    const isProven = (host: NativeHost, count: number) =>
      host.events.filter(({ type }) => type === 'keyConfirmed').length === count;
    await rig.until(() => isProven(first, 1) && isProven(middle, 2) && isProven(last, 1));
    first.datapath.setCarrier(SLOT, CARRIER);
    // The first says at once that it has the key.
    last.datapath.setKeys(SLOT, [mirrored(key())]);
    first.datapath.setKeys(SLOT, [key()]);
    return [first, middle, last];
  }

  test('packets larger than the wire arrive whole, and the one in the middle keeps runs together', async () => {
    const [first, middle, last] = await three();
    // What was said before both ends had a key was dropped, and counted by now.
    const dropsBefore = [drops(first), drops(middle), drops(last)];
    const whole = superPacket({
      protocol: 'tcp',
      source: HERE,
      destination: THERE,
      size: SIZE,
      segment: 1_300,
      options: 0,
    });
    for (let n = 0; n < 20; n++) first.sendFrame(whole);
    const payload = () => last.received.reduce((sum, { length }) => sum + length - 40, 0);
    await rig.until(() => payload() === 20 * SIZE);
    assert.deepEqual([drops(first), drops(middle), drops(last)], dropsBefore);
    assert.equal(middle.received.length, 0);
    const carried = middle.datapath.counters().peers.get(1)?.relayedBytes ?? 0n;
    assert.ok(carried > BigInt(20 * SIZE), `${carried} bytes`);
  });

  test('a packet that does not fit beside the header of carrying is told its size', async () => {
    const [first, , last] = await three();
    const longest = MTU - RELAY_BYTES;
    first.send(packet(HERE, THERE, new Uint8Array(longest - 20)));
    await rig.until(() => last.received.length === 1);
    first.send(packet(HERE, THERE, new Uint8Array(longest - 19)));
    await rig.until(() => first.received.length === 1);
    assert.deepEqual(drops(first), { txTooLong: 1 });
    const told = Buffer.from(first.received[0] as Uint8Array);
    assert.deepEqual([told[9], told[20], told[21], told.readUInt16BE(26)], [1, 3, 4, longest]);

    const fragmentable = packet(HERE, THERE, new Uint8Array(MTU - 20));
    fragmentable[6] = 0;
    first.send(withChecksum(fragmentable));
    await rig.until(() => last.received.length === 2);
    assert.equal(last.received[1]?.length, MTU);
  });
});

function withChecksum(bytes: Uint8Array): Uint8Array {
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, 20);
  header.writeUInt16BE(0, 10);
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += header.readUInt16BE(at);
  header.writeUInt16BE(~((sum & 0xffff) + (sum >>> 16)) & 0xffff, 10);
  return bytes;
}
