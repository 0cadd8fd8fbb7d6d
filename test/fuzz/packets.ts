/**
 * IPv4 packets of every kind that a host may hand to its device, drawn from a seed, and what a device makes of them: segmentation
 * and checksums written slowly and plainly from RFC 791, 768, 1071, 3168 and 9293. Nothing here is shared with native/src.
 */

/** Draws from 0 … n - 1. */
export type Draw = (n: number) => number;

/** Mulberry32: small, and every seed is fine. */
export function drawFrom(seed: number): Draw {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % n;
  };
}

export const VNET = 10;
const NEEDS_CHECKSUM = 1;
const GSO_TCP4 = 1;
const GSO_UDP = 5;
const GSO_ECN = 0x80;
const TCP = 6;
const UDP = 17;
const [FIN, PSH, ACK, CWR] = [0x01, 0x08, 0x10, 0x80];
const DEVICE_MTU = 1420;
/** A frame's length, with the virtio-net header, fits the two bytes that the pipes of the rig have for it. */
const MAX_PACKET = 65_535 - VNET;
/** The kernel takes no UDP packet of more. */
const MAX_UDP_SEGMENTS = 128;

export interface Between {
  readonly source: number;
  readonly destination: number;
}

/** A packet behind its virtio-net header. */
export function drawFrame(draw: Draw, between: Between): Buffer {
  const kind = [tcpLarge, tcpLarge, udpLarge, tcpWhole, udpWhole, icmp, sctp, experimental, fragment][
    draw(9)
  ];
  return (kind as (draw: Draw, between: Between) => Buffer)(draw, between);
}

/** Packets of one flow, one after the other, each behind its virtio-net header: most continue the one before, some differ in one thing. */
export function drawStream(draw: Draw, between: Between): Buffer[] {
  const tcp = draw(3) > 0;
  const ip = ipHeader(draw, between, tcp ? TCP : UDP);
  const transport = tcp ? tcpHeader(draw) : udpHeader(draw, 0);
  if (tcp) transport[13] = ACK;
  const [id, sequence] = [ip.readUInt16BE(4), transport.readUInt32BE(4)];
  const most = 1 + draw(DEVICE_MTU - ip.length - transport.length);
  const left = draw(2);
  const frames: Buffer[] = [];
  for (let n = 0, sent = 0; n < 2 + draw(8); n++) {
    const size = draw(8) === 0 ? draw(most) : most;
    const [ownIp, own] = [Buffer.from(ip), Buffer.from(transport)];
    ownIp.writeUInt16BE((id + n) & 0xffff, 4);
    if (tcp) own.writeUInt32BE((sequence + sent) >>> 0, 4);
    else own.writeUInt16BE(8 + size, 4);
    if (draw(6) === 0) differ(draw, ownIp, own, tcp);
    const make = left === draw(12) ? complete : (...parts: Parts) => partial(...parts, 0, 0);
    frames.push(make(ownIp, own, bytes(draw, size), tcp ? 16 : 6));
    sent += size;
  }
  return frames;
}

type Parts = [ip: Buffer, transport: Buffer, payload: Buffer, at: number];

/** Byte and bits: service class, mark, DF, age, number. */
const IN_IP = [
  [1, 0x20],
  [1, 0x01],
  [6, 0x40],
  [8, 0x01],
  [5, 0x01],
] as const;
/** Sequence, acknowledgement, FIN, PSH, URG, ECE, CWR, window, urgent pointer. */
const IN_TCP = [
  [7, 1],
  [11, 1],
  [13, FIN],
  [13, PSH],
  [13, PSH],
  [13, 0x20],
  [13, 0x40],
  [13, CWR],
  [15, 1],
  [19, 1],
] as const;

/** Changes one thing that a receiver could see. */
function differ(draw: Draw, ip: Buffer, transport: Buffer, tcp: boolean): void {
  const change = (header: Buffer, [at, bits]: readonly [number, number]): void => {
    header[at] = (header[at] as number) ^ bits;
  };
  if (draw(6) === 0) change(transport, [draw(4), 1]);
  else if (tcp && transport.length > 20 && draw(5) === 0)
    change(transport, [20 + draw(transport.length - 20), 1]);
  else if (tcp && draw(2) === 0) change(transport, IN_TCP[draw(IN_TCP.length)] as (typeof IN_TCP)[number]);
  else change(ip, IN_IP[draw(IN_IP.length)] as (typeof IN_IP)[number]);
}

function tcpLarge(draw: Draw, between: Between): Buffer {
  const ip = ipHeader(draw, between, TCP);
  const tcp = tcpHeader(draw);
  const headers = ip.length + tcp.length;
  const segment = 1 + draw(draw(3) === 0 ? 100 : DEVICE_MTU - headers);
  const most = Math.min(MAX_PACKET - headers, segment * 200);
  const size = Math.min(segment + 1 + draw(draw(2) === 0 ? 3 * segment : most), most);
  const ecn = ((tcp[13] as number) & CWR) !== 0 ? GSO_ECN : 0;
  return partial(ip, tcp, bytes(draw, size), 16, GSO_TCP4 | ecn, segment);
}

function udpLarge(draw: Draw, between: Between): Buffer {
  const ip = ipHeader(draw, between, UDP);
  const headers = ip.length + 8;
  const segment = 1 + draw(DEVICE_MTU - headers);
  const most = Math.min(MAX_PACKET - headers, segment * MAX_UDP_SEGMENTS);
  const size = Math.min(segment + 1 + draw(draw(2) === 0 ? 3 * segment : most), most);
  return partial(ip, udpHeader(draw, size), bytes(draw, size), 6, GSO_UDP, segment);
}

function tcpWhole(draw: Draw, between: Between): Buffer {
  const ip = ipHeader(draw, between, TCP);
  const tcp = tcpHeader(draw);
  const payload = bytes(draw, draw(4) === 0 ? 0 : draw(DEVICE_MTU - ip.length - tcp.length + 1));
  return draw(2) === 0 ? partial(ip, tcp, payload, 16, 0, 0) : complete(ip, tcp, payload, 16);
}

function udpWhole(draw: Draw, between: Between): Buffer {
  const ip = ipHeader(draw, between, UDP);
  const payload = bytes(draw, draw(4) === 0 ? draw(3) : draw(DEVICE_MTU - ip.length - 8 + 1));
  const udp = udpHeader(draw, payload.length);
  // Without a checksum (RFC 768), with one, or with one that is left to the device.
  if (draw(3) === 0) return plain(ip, Buffer.concat([udp, payload]));
  return draw(2) === 0 ? partial(ip, udp, payload, 6, 0, 0) : complete(ip, udp, payload, 6);
}

const icmp = (draw: Draw, between: Between): Buffer =>
  plain(ipHeader(draw, between, 1), Buffer.concat([Buffer.from([8, 0]), bytes(draw, 2 + draw(1300))]));

const sctp = (draw: Draw, between: Between): Buffer =>
  plain(ipHeader(draw, between, 132), bytes(draw, 12 + draw(1300)));

const experimental = (draw: Draw, between: Between): Buffer =>
  plain(ipHeader(draw, between, 253), bytes(draw, draw(1300)));

/** First, middle or last, of any protocol; what it carries need not begin with a transport header. */
function fragment(draw: Draw, between: Between): Buffer {
  const ip = ipHeader(draw, between, [TCP, UDP, 1][draw(3)] as number);
  const more = draw(2);
  ip.writeUInt16BE((more << 13) | (more === 1 && draw(3) === 0 ? 0 : 1 + draw(8_000)), 6);
  return plain(ip, bytes(draw, 8 * (1 + draw(150))));
}

function ipHeader(draw: Draw, { source, destination }: Between, protocol: number): Buffer {
  const options = draw(4) === 0 ? 4 * draw(11) : 0;
  // No operation (RFC 791 §3.1): options that no kernel acts upon.
  const header = Buffer.alloc(20 + options, 1);
  header.set([0x40 | (header.length / 4), draw(256), 0, 0, draw(256), draw(256), 0x40 * draw(2), 0]);
  header.set([1 + draw(255), protocol, 0, 0], 8);
  header.writeUInt32BE(source, 12);
  header.writeUInt32BE(destination, 16);
  return header;
}

function tcpHeader(draw: Draw): Buffer {
  const header = bytes(draw, 20 + 4 * draw(11));
  header.fill(1, 20);
  header[12] = (header.length / 4) << 4;
  // Any flags but SYN and RST, which a kernel does not cut.
  header[13] = draw(256) & ~0x06;
  return header;
}

function udpHeader(draw: Draw, size: number): Buffer {
  const header = bytes(draw, 8);
  header.writeUInt16BE(8 + size, 4);
  header.writeUInt16BE(0, 6);
  return header;
}

function bytes(draw: Draw, length: number): Buffer {
  const start = draw(0x1_0000_0000);
  const result = Buffer.alloc(length);
  for (let at = 0; at < length; at++) result[at] = Math.imul(start + at, 0x9e3779b1) >>> 24;
  return result;
}

function plain(ip: Buffer, body: Buffer): Buffer {
  ip.writeUInt16BE(ip.length + body.length, 2);
  finishIp(ip, ip.length);
  return Buffer.concat([Buffer.alloc(VNET), ip, body]);
}

function complete(ip: Buffer, transport: Buffer, payload: Buffer, at: number): Buffer {
  const frame = partial(ip, transport, payload, at, 0, 0);
  finishTransport(frame.subarray(VNET), ip.length, at);
  return frame.fill(0, 0, VNET);
}

function partial(
  ip: Buffer,
  transport: Buffer,
  payload: Buffer,
  at: number,
  gso: number,
  segment: number,
): Buffer {
  const frame = plain(ip, Buffer.concat([transport, payload]));
  frame.set([NEEDS_CHECKSUM, gso]);
  frame.writeUInt16LE(ip.length + transport.length, 2);
  frame.writeUInt16LE(segment, 4);
  frame.writeUInt16LE(ip.length, 6);
  frame.writeUInt16LE(at, 8);
  leavePseudoSum(frame.subarray(VNET), ip.length, at);
  return frame;
}

/** The packets that go onto a wire when a device takes this frame, with all checksums complete. */
export function onWire(frame: Uint8Array): Buffer[] {
  const packet = Buffer.from(frame.subarray(VNET));
  const vnet = Buffer.from(frame.subarray(0, VNET));
  if (((vnet[0] as number) & NEEDS_CHECKSUM) === 0) return [packet];
  const [ipLength, at] = [vnet.readUInt16LE(6), vnet.readUInt16LE(8)];
  const segments = vnet[1] === 0 ? [packet] : segmentsOf(packet, ipLength, vnet.readUInt16LE(4));
  for (const one of segments) finishTransport(one, ipLength, at);
  return segments;
}

function segmentsOf(packet: Buffer, ipLength: number, size: number): Buffer[] {
  const tcp = packet[9] === TCP;
  const headers = ipLength + (tcp ? ((packet[ipLength + 12] as number) >> 4) * 4 : 8);
  const segments: Buffer[] = [];
  for (let at = headers; at < packet.length; at += size) {
    const one = Buffer.concat([packet.subarray(0, headers), packet.subarray(at, at + size)]);
    const last = at + size >= packet.length;
    one.writeUInt16BE(one.length, 2);
    one.writeUInt16BE((packet.readUInt16BE(4) + segments.length) & 0xffff, 4);
    finishIp(one, ipLength);
    if (tcp) {
      one.writeUInt32BE((packet.readUInt32BE(ipLength + 4) + at - headers) >>> 0, ipLength + 4);
      const cleared = (last ? 0 : FIN | PSH) | (at === headers ? 0 : CWR);
      one[ipLength + 13] = (one[ipLength + 13] as number) & ~cleared;
    } else {
      one.writeUInt16BE(one.length - ipLength, ipLength + 4);
    }
    leavePseudoSum(one, ipLength, tcp ? 16 : 6);
    segments.push(one);
  }
  return segments;
}

function finishIp(packet: Buffer, ipLength: number): void {
  packet.writeUInt16BE(0, 10);
  packet.writeUInt16BE(~sum(packet.subarray(0, ipLength)) & 0xffff, 10);
}

function leavePseudoSum(packet: Buffer, ipLength: number, at: number): void {
  packet.writeUInt16BE(sum(pseudoHeader(packet, ipLength)), ipLength + at);
}

function finishTransport(packet: Buffer, ipLength: number, at: number): void {
  const checksum = ~sum(packet.subarray(ipLength)) & 0xffff;
  // Zero would mean that there is none; only UDP has that case, and for all others both mean the same.
  packet.writeUInt16BE(checksum === 0 && at === 6 ? 0xffff : checksum, ipLength + at);
}

/** All of a packet that means something, as text: the number of a datagram that is never fragmented says nothing (RFC 6864 §4.1). */
export function visible(packet: Buffer): string {
  const atomic = packet[9] === UDP && (packet.readUInt16BE(6) & 0x7fff) === 0x4000;
  if (!atomic) return packet.toString('hex');
  const bare = Buffer.from(packet);
  bare.writeUInt16BE(0, 4);
  finishIp(bare, ((packet[0] as number) & 15) * 4);
  return bare.toString('hex');
}

/** True when the checksums of a packet on a wire hold; fragments and protocols without one in a known place pass. */
export function checksumsHold(packet: Buffer): boolean {
  const ipLength = ((packet[0] as number) & 15) * 4;
  if (sum(packet.subarray(0, ipLength)) !== 0xffff) return false;
  const whole = (packet.readUInt16BE(6) & 0x3fff) === 0;
  const without = packet[9] === UDP && whole && packet.readUInt16BE(ipLength + 6) === 0;
  if (!whole || without || (packet[9] !== TCP && packet[9] !== UDP)) return true;
  return sum(Buffer.concat([pseudoHeader(packet, ipLength), packet.subarray(ipLength)])) === 0xffff;
}

function pseudoHeader(packet: Buffer, ipLength: number): Buffer {
  const pseudo = Buffer.alloc(12);
  packet.copy(pseudo, 0, 12, 20);
  pseudo[9] = packet[9] as number;
  pseudo.writeUInt16BE(packet.length - ipLength, 10);
  return pseudo;
}

/** One's complement sum (RFC 1071), folded; an odd byte counts as the upper half of a word. */
function sum(data: Buffer): number {
  let total = 0;
  for (let at = 0; at < data.length; at++) total += (data[at] as number) << (at % 2 === 0 ? 8 : 0);
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x1_0000);
  return total;
}
