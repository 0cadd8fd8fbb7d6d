import { existsSync } from 'node:fs';
import type { Range } from '../core/address.ts';
import { parseIpv4 } from '../core/address.ts';
import { isEndpointLink } from './links.ts';
import { hostNamespace } from './namespace.ts';
import { type LinkState, readLinks } from './tables.ts';

/** The network that the hosts themselves are on. */
export interface Underlay {
  /** IPv4 and IPv6 text of this host; IPv4 first. */
  readonly addresses: readonly string[];
  /** Of the links that these are on, the smallest; undefined when there is none. */
  readonly mtu: number | undefined;
}

/** Links of container engines and virtual machines: every host has the same addresses there, so nobody can dial them. */
const LOCAL_LINK = /^(docker|br-|virbr|cni|flannel|cali|veth|podman|lxcbr|lxdbr)/;

/** The mesh's own device, and the range of its containers where it is known. */
export interface OwnNetwork {
  readonly device: string;
  readonly range: Range | undefined;
}

const LOOPBACK = 'lo';

/** What other hosts could dial, by this namespace's interfaces without the mesh's own `device` and addresses in `range`. */
export async function readUnderlay(own: OwnNetwork): Promise<Underlay> {
  return underlayOf(await readLinks(hostNamespace()), own);
}

/**
 * A link counts from the moment when it has a signal. Node's own list of interfaces leaves it out until the kernel calls it running
 * (IFF_RUNNING), which the kernel gets round to once a second: a host that was read just then would tell the others no address.
 */
export function underlayOf(all: readonly LinkState[], { device, range }: OwnNetwork): Underlay {
  const links = all.filter(
    (link) =>
      link.signal &&
      link.name !== device &&
      link.name !== LOOPBACK &&
      !isEndpointLink(link) &&
      !LOCAL_LINK.test(link.name),
  );
  const isUsable = (address: string) => !isLinkLocal(address) && !isInside(address, range);
  const v4Of = ({ addresses }: LinkState) => addresses.map(({ local }) => local).filter(isUsable);
  const v6Of = ({ addresses6 }: LinkState) => addresses6.filter(isUsable);
  const reachable = links.filter((link) => v4Of(link).length + v6Of(link).length > 0);
  return {
    addresses: [...reachable.flatMap(v4Of), ...reachable.flatMap(v6Of)],
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
