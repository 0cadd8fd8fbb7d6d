/**
 * What a device makes of a packet: segmentation and checksums written slowly and plainly from RFC 791, 768, 1071, 3168, 8200 and 9293. Nothing
 * here is shared with native/src.
 */

/** Bytes of the virtio-net header in front of a packet. */
export const VNET = 10;
export const NEEDS_CHECKSUM = 1;
export const TCP = 6;
export const UDP = 17;
export const [FIN, PSH, ACK, CWR] = [0x01, 0x08, 0x10, 0x80];
/** IPv6 headers behind which another one follows, but for that of a fragment. */
export const [HOP_BY_HOP, ROUTING, DESTINATION, FRAGMENT] = [0, 43, 60, 44];
const IPV6_BYTES = 40;

const isIpv6 = (packet: Buffer): boolean => (packet[0] as number) >> 4 === 6;

/** The packets that go onto a wire when a device takes this frame, with all checksums complete. */
export function onWire(frame: Uint8Array): Buffer[] {
  const packet = Buffer.from(frame.subarray(VNET));
  const vnet = Buffer.from(frame.subarray(0, VNET));
  if (((vnet[0] as number) & NEEDS_CHECKSUM) === 0) return [packet];
  const [ipLength, at] = [vnet.readUInt16LE(6), vnet.readUInt16LE(8)];
  const segments = vnet[1] === 0 ? [packet] : segmentsOf(packet, ipLength, at === 16, vnet.readUInt16LE(4));
  for (const one of segments) finishTransport(one, ipLength, at);
  return segments;
}

function segmentsOf(packet: Buffer, ipLength: number, tcp: boolean, size: number): Buffer[] {
  const headers = ipLength + (tcp ? ((packet[ipLength + 12] as number) >> 4) * 4 : 8);
  const segments: Buffer[] = [];
  for (let at = headers; at < packet.length; at += size) {
    const one = Buffer.concat([packet.subarray(0, headers), packet.subarray(at, at + size)]);
    const last = at + size >= packet.length;
    if (!isIpv6(packet)) one.writeUInt16BE((packet.readUInt16BE(4) + segments.length) & 0xffff, 4);
    finishIp(one, ipLength);
    if (tcp) {
      one.writeUInt32BE((packet.readUInt32BE(ipLength + 4) + at - headers) >>> 0, ipLength + 4);
      const cleared = (last ? 0 : FIN | PSH) | (at === headers ? 0 : CWR);
      one[ipLength + 13] = (one[ipLength + 13] as number) & ~cleared;
    } else {
      one.writeUInt16BE(one.length - ipLength, ipLength + 4);
    }
    leavePseudoSum(one, ipLength, tcp ? TCP : UDP);
    segments.push(one);
  }
  return segments;
}

/** Writes the length, and the checksum where there is one. */
export function finishIp(packet: Buffer, ipLength: number): void {
  if (isIpv6(packet)) {
    packet.writeUInt16BE(packet.length - IPV6_BYTES, 4);
    return;
  }
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt16BE(0, 10);
  packet.writeUInt16BE(~sum(packet.subarray(0, ipLength)) & 0xffff, 10);
}

/** What a stack leaves for the device to complete. */
export function leavePseudoSum(packet: Buffer, ipLength: number, protocol: number): void {
  const at = ipLength + (protocol === TCP ? 16 : 6);
  packet.writeUInt16BE(sum(pseudoHeader(packet, ipLength, protocol)), at);
}

export function finishTransport(packet: Buffer, ipLength: number, at: number): void {
  const checksum = ~sum(packet.subarray(ipLength)) & 0xffff;
  // Zero would mean that there is none; only UDP has that case, and for all others both mean the same.
  packet.writeUInt16BE(checksum === 0 && at === 6 ? 0xffff : checksum, ipLength + at);
}

/** All of a packet that means something, as text: the number of a datagram that is never fragmented says nothing (RFC 6864 §4.1). */
export function visible(packet: Buffer): string {
  const atomic = !isIpv6(packet) && packet[9] === UDP && (packet.readUInt16BE(6) & 0x7fff) === 0x4000;
  if (!atomic) return packet.toString('hex');
  const bare = Buffer.from(packet);
  bare.writeUInt16BE(0, 4);
  finishIp(bare, ((packet[0] as number) & 15) * 4);
  return bare.toString('hex');
}

/** True when the checksums of a packet on a wire hold; fragments and protocols without one in a known place pass. */
export function checksumsHold(packet: Buffer): boolean {
  if (!isIpv6(packet) && sum(packet.subarray(0, ((packet[0] as number) & 15) * 4)) !== 0xffff) return false;
  const transport = transportOf(packet);
  if (transport === undefined) return true;
  const { at, protocol } = transport;
  const without = protocol === UDP && packet.readUInt16BE(at + 6) === 0;
  if (without || (protocol !== TCP && protocol !== UDP)) return true;
  return sum(Buffer.concat([pseudoHeader(packet, at, protocol), packet.subarray(at)])) === 0xffff;
}

/** Where the transport header is, and of which protocol; undefined in a fragment. */
function transportOf(packet: Buffer): { at: number; protocol: number } | undefined {
  if (!isIpv6(packet)) {
    const fragment = (packet.readUInt16BE(6) & 0x3fff) !== 0;
    return fragment ? undefined : { at: ((packet[0] as number) & 15) * 4, protocol: packet[9] as number };
  }
  let [at, next] = [IPV6_BYTES, packet[6] as number];
  while ([HOP_BY_HOP, ROUTING, DESTINATION].includes(next)) {
    next = packet[at] as number;
    at += 8 + 8 * (packet[at + 1] as number);
  }
  return next === FRAGMENT ? undefined : { at, protocol: next };
}

/** RFC 9293 §3.1, RFC 8200 §8.1, but that a routing header is taken not to change the address. */
function pseudoHeader(packet: Buffer, ipLength: number, protocol: number): Buffer {
  const addresses = isIpv6(packet) ? packet.subarray(8, 40) : packet.subarray(12, 20);
  const rest = Buffer.alloc(4);
  rest[1] = protocol;
  rest.writeUInt16BE(packet.length - ipLength, 2);
  return Buffer.concat([addresses, rest]);
}

/** One's complement sum (RFC 1071), folded; an odd byte counts as the upper half of a word. */
function sum(data: Buffer): number {
  let total = 0;
  for (let at = 0; at < data.length; at++) total += (data[at] as number) << (at % 2 === 0 ? 8 : 0);
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x1_0000);
  return total;
}
