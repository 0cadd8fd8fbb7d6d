import { createHash } from 'node:crypto';
import { quote } from '../core/address.ts';
import type { EndpointId } from '../core/ids.ts';
import { ENDPOINT_ID, HostError, INTERFACE_NAME, RESERVED_INTERFACES, STATION_MAC } from '../ports/host.ts';
import { formatMac } from './mac.ts';

/**
 * By what the kernel's tables show which links and routes are Weft's, so that nothing else need be remembered.
 * Protocol and group are numbers of our own choice: iproute2's tables (etc/iproute2/rt_protos, group) leave them free.
 */
export const ROUTE_PROTOCOL = 173;
export const LINK_GROUP = 173;

/**
 * All routes of the mesh are in a table of their own, by a rule for the mesh's range: no other route of the machine wins over them,
 * and Docker up to 26, which goes on asking for another subnet as long as a route in the main table overlaps it, does not see them.
 */
export const ROUTE_TABLE = 173;
/** Before the main table (32766) and the rules that VPN clients put ahead of it. */
export const RULE_PRIORITY = 17_300;

/**
 * An address of both our devices that is used for nothing: where a link has none, the kernel takes loose reverse-path filtering as the
 * strict one, and drops what comes by one path while the route goes by the other. Link-local (RFC 3927), so nobody routes there.
 */
export const ANCHOR = '169.254.173.1';

/** Alias of the mesh's device. */
export const DEVICE_ALIAS = 'weft:mesh';
export const FAST_PATH_ALIAS = 'weft:fast-path';
const ENDPOINT_ALIAS = 'weft:endpoint:';
const HOST_LINK = /^wft[a-z2-7]{12}$/;

/** Name of the host's end of an endpoint's link: 60 bits of a hash, so that any id fits in the kernel's 15 characters. */
export function hostLinkOf(endpoint: EndpointId): string {
  return hashedName('wft', endpoint);
}

/** Name of the other end while it waits on the host to be moved. */
export function offeredLinkOf(endpoint: EndpointId): string {
  return hashedName('wfo', endpoint);
}

function hashedName(start: string, endpoint: EndpointId): string {
  const digest = createHash('sha256').update(endpoint).digest();
  let name = start;
  for (let at = 0; at < 12; at++) name += 'abcdefghijklmnopqrstuvwxyz234567'[(digest[at] as number) & 31];
  return name;
}

export function isHostLink(name: string): boolean {
  return HOST_LINK.test(name);
}

export function aliasOf(endpoint: EndpointId): string {
  return `${ENDPOINT_ALIAS}${endpoint}`;
}

export function endpointOf(alias: string | undefined): EndpointId | undefined {
  const id = alias?.startsWith(ENDPOINT_ALIAS) ? alias.slice(ENDPOINT_ALIAS.length) : '';
  return ENDPOINT_ID.test(id) ? (id as EndpointId) : undefined;
}

/**
 * Addresses of both ends, made from the endpoint's so that they outlive a re-plug and neighbours' ARP entries stay true. Locally
 * administered (second bit). Set by hand also on the host's end: udev gives links whose address is random another one.
 */
export function macOf(address: number, end: 'sandbox' | 'host'): string {
  const bytes = [end === 'sandbox' ? 0x0a : 0x0e, 0x57, 24, 16, 8, 0].map((part, at) =>
    at < 2 ? part : (address >>> part) & 255,
  );
  return formatMac(bytes);
}

/** The endpoint's address in either end's own; undefined for one that `macOf` did not make. */
export function addressIn(mac: string | undefined): number | undefined {
  const bytes = (mac ?? '').split(':').map((part) => Number.parseInt(part, 16));
  if (bytes.length !== 6 || bytes[1] !== 0x57 || bytes.some(Number.isNaN)) return undefined;
  return bytes.slice(2).reduce((address, byte) => address * 256 + byte, 0);
}

export function checkEndpoint(endpoint: string): void {
  if (!ENDPOINT_ID.test(endpoint)) {
    throw new HostError('bad-request', `${quote(endpoint)} cannot be the id of an endpoint`);
  }
}

export function checkInterface(name: string): void {
  if (!INTERFACE_NAME.test(name) || RESERVED_INTERFACES.includes(name)) {
    throw new HostError(
      'bad-request',
      `${quote(name)} cannot be the name of an interface: use at most 15 letters, digits, dots, dashes and underscores`,
    );
  }
}

export function checkMac(mac: string): void {
  if (!STATION_MAC.test(mac) || mac === '00:00:00:00:00:00') {
    throw new HostError(
      'bad-request',
      `${quote(mac)} cannot be the Ethernet address of a container: write it like 02:57:00:00:00:05`,
    );
  }
}

/** RFC 791 asks for 68; 1280 is what IPv6 needs. A TUN device and veth take at most 65535. */
export function checkMtu(mtu: number): void {
  if (!Number.isInteger(mtu) || mtu < 576 || mtu > 65_535) {
    throw new HostError('bad-request', `${mtu} cannot be an MTU: use a whole number from 576 to 65535`);
  }
}
