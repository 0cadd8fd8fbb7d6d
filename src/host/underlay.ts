import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { Range } from '../core/address.ts';
import { parseIpv4 } from '../core/address.ts';
import { isEndpointLink } from './links.ts';
import { hostNamespace } from './namespace.ts';
import { readLinks } from './tables.ts';

/** The network that the hosts themselves are on. */
export interface Underlay {
  /** IPv4 and IPv6 text of this host; IPv4 first. */
  readonly addresses: readonly string[];
  /** Of the links that these are on, the smallest; undefined when there is none. */
  readonly mtu: number | undefined;
}

/** Links of container engines and virtual machines: every host has the same addresses there, so nobody can dial them. */
const LOCAL_LINK = /^(docker|br-|virbr|cni|flannel|cali|veth|podman|lxcbr|lxdbr)/;

/** What other hosts could dial, by this namespace's interfaces without the mesh's own `device` and addresses in `range`. */
export async function readUnderlay(own: { device: string; range: Range | undefined }): Promise<Underlay> {
  const interfaces = networkInterfaces();
  const links = (await readLinks(hostNamespace())).filter(
    (link) => link.name !== own.device && !isEndpointLink(link) && !LOCAL_LINK.test(link.name) && link.up,
  );
  const reachable: { address: string; v4: boolean; mtu: number }[] = [];
  for (const link of links) {
    for (const { address, family, internal } of interfaces[link.name] ?? []) {
      if (internal || isLinkLocal(address) || isInside(address, own.range)) continue;
      reachable.push({ address, v4: family === 'IPv4', mtu: link.mtu });
    }
  }
  const addresses = [...reachable.filter(({ v4 }) => v4), ...reachable.filter(({ v4 }) => !v4)].map(
    ({ address }) => address,
  );
  return {
    addresses,
    mtu: reachable.length === 0 ? undefined : Math.min(...reachable.map(({ mtu }) => mtu)),
  };
}

/** They mean something on one link only. */
function isLinkLocal(address: string): boolean {
  return address.startsWith('169.254.') || address.toLowerCase().startsWith('fe80:');
}

function isInside(address: string, range: Range | undefined): boolean {
  const parsed = parseIpv4(address);
  return range !== undefined && parsed.ok && parsed.value >= range.start && parsed.value <= range.last;
}

/** Whether this kernel has IPv6 at all, whatever the addresses. */
export function hasIpv6(): boolean {
  return existsSync('/proc/net/if_inet6');
}
