/**
 * Seeds for the fuzz targets, made from the models that the tests use: node native/fuzz/corpus.mts FOLDER. The first byte chooses the
 * decoder, as in datagram.cc.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IPV6_PREFIX, ip } from '../../test/contract/datapath-rig.ts';
import { sliceBodies } from '../../test/contract/datapath-slices.ts';
import { drawFrame, drawFrom, drawStream } from '../../test/fuzz/packets.ts';
import { VNET } from '../../test/fuzz/wire-model.ts';

const [DATAGRAM, PACKET, TRAIN, SLICE] = [0, 1, 2, 3];
const PACKETS = 60;
/** What the targets are given at most. */
const MOST = 1_999;

const folder = process.argv[2];
if (folder === undefined) throw new Error('usage: node native/fuzz/corpus.mts FOLDER');
mkdirSync(folder, { recursive: true });

const between = { source: ip('10.32.1.7'), destination: ip('10.32.0.5'), prefix: IPV6_PREFIX.bytes };
const draw = drawFrom(1);
const write = (decoder: number, name: string, body: Uint8Array): void =>
  writeFileSync(join(folder, name), Buffer.concat([Buffer.of(decoder), body]).subarray(0, MOST));

for (const type of [1, 2])
  for (const lane of [0, 4]) {
    const datagram = Buffer.alloc(32 + 20 * type, 0x5a);
    datagram.set([type, lane, 0, 0]);
    write(DATAGRAM, `datagram-${type}-${lane}`, datagram);
  }
for (const type of [4, 5])
  for (const inner of [1, 3, 4]) {
    const datagram = Buffer.alloc(16 + 52, 0x5a);
    datagram.set([type, 2, 0, 0]);
    datagram.set([inner, 2, 0, 0], 16);
    write(DATAGRAM, `relay-${type}-${inner}`, datagram);
  }
for (let n = 0; n < PACKETS; n++) write(PACKET, `packet-${n}`, drawFrame(draw, between).subarray(VNET));
for (let n = 0; n < PACKETS; n++) {
  const first = drawStream(draw, between)[0] as Buffer;
  write(TRAIN, `train-${n}`, Buffer.concat([first.subarray(VNET), Buffer.of(n)]));
}
for (const protocol of ['tcp', 'udp'] as const)
  for (const options of protocol === 'tcp' ? [0, 12, 40] : [0])
    for (const [n, body] of sliceBodies(
      { protocol, ...between, size: 3_100, segment: 1_000, options },
      7,
    ).entries())
      write(SLICE, `slice-${protocol}-${options}-${n}`, body);
// The first slice of packets of either family that are larger than the wire.
for (let n = 0; n < 4 * PACKETS; n++) {
  const frame = drawFrame(draw, between);
  const [gso, size, start] = [frame[1] as number, frame.readUInt16LE(4), frame.readUInt16LE(6)];
  if (gso === 0) continue;
  const headers = start + (gso === 5 ? 8 : ((frame[VNET + start + 12] as number) >> 4) * 4);
  const desc = Buffer.from([gso, 1, size >> 8, size & 255, start, frame[8] as number, headers, 0, 0, 0, 0, 7]);
  write(SLICE, `slice-${n}`, Buffer.concat([desc, frame.subarray(VNET, VNET + headers + size)]));
}
