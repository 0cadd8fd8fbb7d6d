import {
  ACK,
  CWR,
  DESTINATION,
  FIN,
  FRAGMENT,
  finishIp,
  finishTransport,
  HOP_BY_HOP,
  leavePseudoSum,
  NEEDS_CHECKSUM,
  PSH,
  ROUTING,
  TCP,
  UDP,
  VNET,
} from './wire-model.ts';

/** Packets of every kind, IPv4 and IPv6, that a host may hand to its device, drawn from a seed. */

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

const GSO_TCP4 = 1;
const GSO_TCP6 = 4;
const GSO_UDP = 5;
const GSO_ECN = 0x80;
const DEVICE_MTU = 1420;
/** A frame's length, with the virtio-net header, fits the two bytes that the pipes of the rig have for it. */
const MAX_PACKET = 65_535 - VNET;
/** The kernel takes no UDP packet of more. */
const MAX_UDP_SEGMENTS = 128;
/** The headers of what is cut must fit the one byte that a slice has for their length (native/src/wire.h). */
const MAX_CUT_HEADERS = 255;

export interface Between {
  /** IPv4 addresses, and the last 32 bits of IPv6 ones. */
  readonly source: number;
  readonly destination: number;
  /** The first 12 bytes of IPv6 addresses; half of the packets have such. Absent: all are of IPv4. */
  readonly prefix?: Uint8Array;
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
  const protocol = tcp ? TCP : UDP;
  const ip = ipHeader(draw, between, protocol);
  const transport = tcp ? tcpHeader(draw) : udpHeader(draw, 0);
  if (tcp) transport[13] = ACK;
  const [id, sequence] = [ip.readUInt16BE(4), transport.readUInt32BE(4)];
  const most = 1 + draw(DEVICE_MTU - ip.length - transport.length);
  const left = draw(2);
  const frames: Buffer[] = [];
  for (let n = 0, sent = 0; n < 2 + draw(8); n++) {
    const size = draw(8) === 0 ? draw(most) : most;
    const [ownIp, own] = [Buffer.from(ip), Buffer.from(transport)];
    if (!isIpv6(ip)) ownIp.writeUInt16BE((id + n) & 0xffff, 4);
    if (tcp) own.writeUInt32BE((sequence + sent) >>> 0, 4);
    else own.writeUInt16BE(8 + size, 4);
    if (draw(6) === 0) differ(draw, ownIp, own, tcp);
    const make = left === draw(12) ? complete : partial;
    frames.push(make(ownIp, own, bytes(draw, size), protocol));
    sent += size;
  }
  return frames;
}

/** Byte and bits: service class, mark, DF, age, number. */
const IN_IPV4 = [
  [1, 0x20],
  [1, 0x01],
  [6, 0x40],
  [8, 0x01],
  [5, 0x01],
] as const;
/** Byte and bits: service class, mark, flow label, age. */
const IN_IPV6 = [
  [0, 0x02],
  [1, 0x10],
  [3, 0x01],
  [7, 0x01],
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
  else if (isIpv6(ip)) change(ip, IN_IPV6[draw(IN_IPV6.length)] as (typeof IN_IPV6)[number]);
  else change(ip, IN_IPV4[draw(IN_IPV4.length)] as (typeof IN_IPV4)[number]);
}

function tcpLarge(draw: Draw, between: Between): Buffer {
  const tcp = tcpHeader(draw);
  const ip = ipHeader(draw, between, TCP, MAX_CUT_HEADERS - tcp.length);
  const headers = ip.length + tcp.length;
  const segment = 1 + draw(draw(3) === 0 ? 100 : DEVICE_MTU - headers);
  const most = Math.min(MAX_PACKET - headers, segment * 200);
  const size = Math.min(segment + 1 + draw(draw(2) === 0 ? 3 * segment : most), most);
  const ecn = ((tcp[13] as number) & CWR) !== 0 ? GSO_ECN : 0;
  return partial(ip, tcp, bytes(draw, size), TCP, (isIpv6(ip) ? GSO_TCP6 : GSO_TCP4) | ecn, segment);
}

function udpLarge(draw: Draw, between: Between): Buffer {
  const ip = ipHeader(draw, between, UDP, MAX_CUT_HEADERS - 8);
  const headers = ip.length + 8;
  const segment = 1 + draw(DEVICE_MTU - headers);
  const most = Math.min(MAX_PACKET - headers, segment * MAX_UDP_SEGMENTS);
  const size = Math.min(segment + 1 + draw(draw(2) === 0 ? 3 * segment : most), most);
  return partial(ip, udpHeader(draw, size), bytes(draw, size), UDP, GSO_UDP, segment);
}

function tcpWhole(draw: Draw, between: Between): Buffer {
  const ip = ipHeader(draw, between, TCP);
  const tcp = tcpHeader(draw);
  const payload = bytes(draw, draw(4) === 0 ? 0 : draw(DEVICE_MTU - ip.length - tcp.length + 1));
  return draw(2) === 0 ? partial(ip, tcp, payload, TCP) : complete(ip, tcp, payload, TCP);
}

function udpWhole(draw: Draw, between: Between): Buffer {
  const ip = ipHeader(draw, between, UDP);
  const payload = bytes(draw, draw(4) === 0 ? draw(3) : draw(DEVICE_MTU - ip.length - 8 + 1));
  const udp = udpHeader(draw, payload.length);
  // Without a checksum (RFC 768; over IPv6 that is for tunnels, RFC 6935), with one, or with one that is left to the device.
  if (draw(3) === 0) return plain(ip, Buffer.concat([udp, payload]));
  return draw(2) === 0 ? partial(ip, udp, payload, UDP) : complete(ip, udp, payload, UDP);
}

const icmp = (draw: Draw, between: Between): Buffer =>
  plain(ipHeader(draw, between, 1), Buffer.concat([Buffer.from([8, 0]), bytes(draw, 2 + draw(1000))]));

const sctp = (draw: Draw, between: Between): Buffer =>
  plain(ipHeader(draw, between, 132), bytes(draw, 12 + draw(1000)));

const experimental = (draw: Draw, between: Between): Buffer =>
  plain(ipHeader(draw, between, 253), bytes(draw, draw(1000)));

/** First, middle or last, of any protocol; what it carries need not begin with a transport header. */
function fragment(draw: Draw, between: Between): Buffer {
  const protocol = [TCP, UDP, 1][draw(3)] as number;
  const more = draw(2);
  const offset = more === 1 && draw(3) === 0 ? 0 : 1 + draw(8_000);
  const ip = ipHeader(draw, between, protocol);
  const payload = bytes(draw, 8 * (1 + draw(110)));
  if (!isIpv6(ip)) {
    ip.writeUInt16BE((more << 13) | offset, 6);
    return plain(ip, payload);
  }
  const header = extension(protocol, bytes(draw, 8));
  header.writeUInt16BE((offset << 3) | more, 2);
  ip[6] = FRAGMENT;
  return plain(Buffer.concat([ip.subarray(0, 40), header]), payload);
}

const isIpv6 = (ip: Buffer): boolean => (ip[0] as number) >> 4 === 6;

/** With options or extension headers, of `most` bytes in all. */
function ipHeader(draw: Draw, between: Between, protocol: number, most = 360): Buffer {
  const { source, destination, prefix } = between;
  if (prefix !== undefined && draw(2) === 0) return ipv6Header(draw, { ...between, prefix }, protocol, most);
  const options = draw(4) === 0 ? 4 * draw(11) : 0;
  // No operation (RFC 791 §3.1): options that no kernel acts upon.
  const header = Buffer.alloc(20 + options, 1);
  header.set([0x40 | (header.length / 4), draw(256), 0, 0, draw(256), draw(256), 0x40 * draw(2), 0]);
  header.set([1 + draw(255), protocol, 0, 0], 8);
  header.writeUInt32BE(source, 12);
  header.writeUInt32BE(destination, 16);
  return header;
}

function ipv6Header(draw: Draw, between: Required<Between>, protocol: number, most: number): Buffer {
  const header = Buffer.alloc(40);
  header.set([0x60 | draw(16), draw(256), draw(256), draw(256), 0, 0, protocol, 1 + draw(255)]);
  for (const [at, address] of [
    [8, between.source],
    [24, between.destination],
  ] as const) {
    header.set(between.prefix, at);
    header.writeUInt32BE(address, at + 12);
  }
  // Each says what the next one is; drawn from the last to the first.
  let rest = Buffer.alloc(0);
  for (const kind of [ROUTING, DESTINATION, HOP_BY_HOP]) {
    const length = 8 * (1 + draw(draw(4) === 0 ? 14 : 3));
    if (draw(6) > 0 || header.length + rest.length + length > most) continue;
    // Pad1 (RFC 8200 §4.2): options that no kernel acts upon.
    rest = Buffer.concat([extension(header[6] as number, Buffer.alloc(length)), rest]);
    header[6] = kind;
  }
  return Buffer.concat([header, rest]);
}

/** RFC 8200 §4: eight-byte units, of which the first is not counted. */
function extension(next: number, body: Buffer): Buffer {
  body.set([next, body.length / 8 - 1]);
  return body;
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
  const frame = Buffer.concat([Buffer.alloc(VNET), ip, body]);
  finishIp(frame.subarray(VNET), ip.length);
  return frame;
}

function complete(ip: Buffer, transport: Buffer, payload: Buffer, protocol: number): Buffer {
  const frame = partial(ip, transport, payload, protocol);
  finishTransport(frame.subarray(VNET), ip.length, protocol === TCP ? 16 : 6);
  return frame.fill(0, 0, VNET);
}

function partial(
  ip: Buffer,
  transport: Buffer,
  payload: Buffer,
  protocol: number,
  gso = 0,
  segment = 0,
): Buffer {
  const frame = plain(ip, Buffer.concat([transport, payload]));
  frame.set([NEEDS_CHECKSUM, gso]);
  frame.writeUInt16LE(ip.length + transport.length, 2);
  frame.writeUInt16LE(segment, 4);
  frame.writeUInt16LE(ip.length, 6);
  frame.writeUInt16LE(protocol === TCP ? 16 : 6, 8);
  leavePseudoSum(frame.subarray(VNET), ip.length, protocol);
  return frame;
}
