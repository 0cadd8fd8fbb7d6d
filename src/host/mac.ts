import { HostError } from '../ports/host.ts';

/** Ethernet addresses as text, `02:57:00:00:00:05`, and as their six bytes. */

export function formatMac(bytes: Iterable<number>): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** Throws HostError `bad-request` for any other text. */
export function macBytes(mac: string): Uint8Array {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac)) {
    throw new HostError('bad-request', `${JSON.stringify(mac)} cannot be an Ethernet address`);
  }
  return Uint8Array.from(mac.split(':'), (part) => Number.parseInt(part, 16));
}
