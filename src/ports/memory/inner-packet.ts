/** What a data path reads of a packet from a container. */
export interface Inner {
  /** Nobody's when absent. */
  readonly source: number | undefined;
  readonly destination: number | undefined;
  readonly length: number;
}

/** RFC 791 §3.1, RFC 8200 §3: what native/src/ip.h reads of a packet. Undefined when it is malformed. */
export function parseInner(packet: Uint8Array, prefix: Uint8Array | undefined): Inner | undefined {
  if (packet.length < 20) return undefined;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const version = view.getUint8(0) >> 4;
  if (version === 6 && packet.length >= 40) {
    const length = 40 + view.getUint16(4);
    if (length > packet.length || length > 65_535) return undefined;
    const ownerAt = (at: number): number | undefined =>
      prefix?.every((byte, n) => packet[at + n] === byte) ? view.getUint32(at + 12) : undefined;
    return { source: ownerAt(8), destination: ownerAt(24), length };
  }
  const headerLength = (view.getUint8(0) & 15) * 4;
  const length = view.getUint16(2);
  if (version !== 4 || headerLength < 20 || headerLength > length || length > packet.length) return undefined;
  return { source: view.getUint32(12), destination: view.getUint32(16), length };
}
