/** A slow and obvious model of segmentation, written from the RFCs: what native/src/segment.h must agree with. */

/** A packet of `size` payload bytes that a device is to cut into segments. */
export interface Super {
  readonly protocol: 'tcp' | 'udp';
  readonly source: number;
  readonly destination: number;
  readonly size: number;
  readonly segment: number;
  /** Bytes of TCP options, a multiple of 4. */
  readonly options: number;
}

const VNET = 10;
const IP = 20;
const GSO = { tcp: 1, udp: 5 } as const;
const CHECKSUM_AT = { tcp: 16, udp: 6 } as const;
const PSH_FIN = 0x09;

const headerBytes = (spec: Super): number => (spec.protocol === 'tcp' ? 20 + spec.options : 8);

/** The frame as a kernel hands it to a device with segmentation offload: virtio-net header, IP, transport, payload. */
export function superPacket(spec: Super): Uint8Array {
  const transport = headerBytes(spec);
  const frame = Buffer.alloc(VNET + IP + transport + spec.size);
  for (let at = VNET + IP + transport, n = 0; at < frame.length; at++, n++)
    frame[at] = (n * 7 + (n >> 8)) & 255;
  writeTransport(frame.subarray(VNET + IP), spec, transport + spec.size);
  writeIp(frame.subarray(VNET), spec, IP + transport + spec.size);
  writePartialChecksum(frame.subarray(VNET));
  const many = spec.size > spec.segment;
  frame[0] = 1;
  frame[1] = many ? GSO[spec.protocol] : 0;
  frame.writeUInt16LE(IP + transport, 2);
  frame.writeUInt16LE(many ? spec.segment : 0, 4);
  frame.writeUInt16LE(IP, 6);
  frame.writeUInt16LE(CHECKSUM_AT[spec.protocol], 8);
  return new Uint8Array(frame);
}

/** What each datagram of type 2 carries for it: description, headers, slice. See native/src/wire.h. */
export function sliceBodies(spec: Super, superId: number): Uint8Array[] {
  const packet = superPacket(spec).subarray(VNET);
  const headers = IP + headerBytes(spec);
  const bodies: Uint8Array[] = [];
  for (let at = headers; at < packet.length; at += spec.segment) {
    const desc = Buffer.alloc(12);
    desc.set([GSO[spec.protocol], 1]);
    desc.writeUInt16BE(spec.segment, 2);
    desc.set([IP, CHECKSUM_AT[spec.protocol], headers, 0], 4);
    desc.writeUInt16BE(bodies.length, 8);
    desc.writeUInt16BE(superId, 10);
    bodies.push(
      new Uint8Array(
        Buffer.concat([desc, packet.subarray(0, headers), packet.subarray(at, at + spec.segment)]),
      ),
    );
  }
  return bodies;
}

/** The packets that a device makes of a frame, checksums still partial (RFC 9293 §3.1, RFC 791 §3.1). */
export function cut(frame: Uint8Array): Uint8Array[] {
  const bytes = Buffer.from(frame);
  const packet = bytes.subarray(VNET);
  const segment = bytes[1] === 0 ? packet.length : bytes.readUInt16LE(4);
  const tcp = packet[9] === 6;
  const headers = IP + (tcp ? ((packet[IP + 12] as number) >> 4) * 4 : 8);
  const segments: Uint8Array[] = [];
  for (let at = headers; at < packet.length; at += segment) {
    const payload = packet.subarray(at, at + segment);
    const one = Buffer.concat([packet.subarray(0, headers), payload]);
    one.writeUInt16BE(one.length, 2);
    one.writeUInt16BE((packet.readUInt16BE(4) + segments.length) & 0xffff, 4);
    one.writeUInt16BE(0, 10);
    one.writeUInt16BE(~sum(one.subarray(0, IP)) & 0xffff, 10);
    if (tcp) {
      one.writeUInt32BE((packet.readUInt32BE(IP + 4) + at - headers) >>> 0, IP + 4);
      if (at + segment < packet.length) one[IP + 13] = (one[IP + 13] as number) & ~PSH_FIN;
    } else {
      one.writeUInt16BE(one.length - IP, IP + 4);
    }
    writePartialChecksum(one);
    segments.push(new Uint8Array(one));
  }
  return segments;
}

function writeIp(packet: Buffer, spec: Super, length: number): void {
  packet.set([0x45, 0, 0, 0, 0xff, 0xfe, 0x40, 0, 64, spec.protocol === 'tcp' ? 6 : 17]);
  packet.writeUInt16BE(length, 2);
  packet.writeUInt32BE(spec.source, 12);
  packet.writeUInt32BE(spec.destination, 16);
  packet.writeUInt16BE(~sum(packet.subarray(0, IP)) & 0xffff, 10);
}

function writeTransport(transport: Buffer, spec: Super, length: number): void {
  transport.writeUInt16BE(4000, 0);
  transport.writeUInt16BE(5000, 2);
  if (spec.protocol === 'udp') {
    transport.writeUInt16BE(length, 4);
    return;
  }
  transport.writeUInt32BE(0xffff_f000, 4); // wraps on the way
  transport.writeUInt32BE(1234, 8);
  transport.set([((20 + spec.options) / 4) << 4, 0x10 | PSH_FIN, 0x20, 0], 12);
  transport.fill(1, 20, 20 + spec.options);
}

/** The pseudo-header's sum, not inverted: what a stack leaves for the device to complete. */
function writePartialChecksum(packet: Buffer): void {
  const tcp = packet[9] === 6;
  const pseudo = Buffer.alloc(12);
  packet.copy(pseudo, 0, 12, 20);
  pseudo.writeUInt16BE(packet[9] as number, 8);
  pseudo.writeUInt16BE(packet.length - IP, 10);
  packet.writeUInt16BE(sum(pseudo), IP + (tcp ? CHECKSUM_AT.tcp : CHECKSUM_AT.udp));
}

function sum(bytes: Buffer): number {
  let total = 0;
  for (let at = 0; at < bytes.length; at += 2) total += bytes.readUInt16BE(at);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}
