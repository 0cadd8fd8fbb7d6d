import { parseIpv6 } from '../core/address.ts';
import {
  DatapathError,
  MAX_KEYS,
  MAX_SLOTS,
  type RouteRange,
  type SessionKey,
  type UdpEndpoint,
} from './datapath.ts';

/** What both data paths refuse, before anything is changed. All throw DatapathError `bad-argument`. */

const MAX_U32 = 0xffff_ffff;
const MAX_U64 = 0xffff_ffff_ffff_ffffn;
const KEY_BYTES = 32;
/** IFNAMSIZ - 1, and nothing that a shell, a path or the kernel gives a meaning. */
const DEVICE = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$/;

function refuse(message: string): never {
  throw new DatapathError('bad-argument', message);
}

function isU32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAX_U32;
}

export function checkDevice(device: string): void {
  if (!DEVICE.test(device))
    refuse(`"${device}" is not a device name: use 1 to 15 letters, digits, dots or dashes`);
}

export function checkPort(port: number): void {
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    refuse(`${port} is not a port: use a number from 0 to 65535`);
}

/** The 12 bytes in front of the IPv4 address. */
export function checkIpv6Prefix(prefix: string): Uint8Array {
  const parsed = parseIpv6(prefix);
  if (!parsed.ok || (parsed.value & 0xffff_ffffn) !== 0n)
    refuse(`"${prefix}" is not a prefix of 96 bits: use an IPv6 address that ends in zeros, e.g. fd00:1:2::`);
  return new Uint8Array(Buffer.from(parsed.value.toString(16).padStart(32, '0'), 'hex').subarray(0, 12));
}

/** Slot 0 is this host, so it is nobody's peer. */
export function checkSlot(slot: number): void {
  if (!Number.isInteger(slot) || slot < 1 || slot >= MAX_SLOTS)
    refuse(`${slot} is not a peer's slot: use a number from 1 to ${MAX_SLOTS - 1}`);
}

export function checkEndpoint(endpoint: UdpEndpoint, isAddress: (text: string) => boolean): void {
  if (!isAddress(endpoint.address)) refuse(`"${endpoint.address}" is not an IP address`);
  checkPort(endpoint.port);
  if (endpoint.port === 0) refuse('an endpoint needs a port other than 0');
}

export function checkRoutes(ranges: readonly RouteRange[]): void {
  let before = -1;
  for (const { start, last, slot } of ranges) {
    if (!isU32(start) || !isU32(last) || start > last)
      refuse(`${start}-${last} is not a range of IPv4 addresses`);
    if (start <= before) refuse(`the range ${start}-${last} overlaps the one before it or is out of order`);
    if (!Number.isInteger(slot) || slot < 0 || slot >= MAX_SLOTS)
      refuse(`${slot} is not a slot: use a number from 0 to ${MAX_SLOTS - 1}`);
    before = last;
  }
}

export function checkKeys(keys: readonly SessionKey[]): void {
  if (keys.length > MAX_KEYS)
    refuse(`${keys.length} keys for one peer: at most ${MAX_KEYS} are valid at a time`);
  const seen = new Set<number>();
  let sending = 0;
  for (const key of keys) {
    if (!isU32(key.receiveIndex) || key.receiveIndex === 0 || !isU32(key.sendIndex))
      refuse('a key index is a number from 1 to 4294967295');
    if (seen.has(key.receiveIndex)) refuse(`two keys have the receive index ${key.receiveIndex}`);
    seen.add(key.receiveIndex);
    if (key.receiveKey.length !== KEY_BYTES || key.sendKey.length !== KEY_BYTES) refuse('a key has 32 bytes');
    if (key.suite !== 'aes-256-gcm' && key.suite !== 'chacha20-poly1305')
      refuse('the cipher suite is unknown');
    if (key.send) sending++;
  }
  if (sending > 1) refuse('at most one key of a peer seals departing packets');
}

export function checkName(name: bigint): void {
  if (name < 1n || name > MAX_U64) refuse(`${name} is not a name: use a number from 1 to 2^64-1`);
}

export function checkQuestion(number: number): void {
  if (!Number.isInteger(number) || number < 1 || number >= 2 ** 30)
    refuse(`${number} is not a question's number: use one from 1 to 2^30-1`);
}
