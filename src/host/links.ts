import { formatIpv4 } from '../core/address.ts';
import {
  HostError,
  type OfferPlan,
  type PluggedEndpoint,
  type PlugPlan,
  type PlugResult,
} from '../ports/host.ts';
import { type AddPair, apply, type Change } from './changes.ts';
import { hasIpv6, sysctlsFor } from './device.ts';
import type { Firewall, GuardedLink } from './firewall.ts';
import { readAddress } from './ipv4.ts';
import {
  addressIn,
  aliasOf,
  checkEndpoint,
  checkInterface,
  checkMac,
  checkMtu,
  endpointOf,
  hostLinkOf,
  isHostLink,
  LINK_GROUP,
  macOf,
} from './names.ts';
import { hostNamespace, type Namespace, openedNamespace } from './namespace.ts';
import { NetlinkError } from './netlink.ts';
import { isMeshRoute } from './routes.ts';
import { absent, type OpenSandbox } from './sandbox.ts';
import { type LinkState, type RouteState, readLinks, readLinksAndRoutes } from './tables.ts';

/**
 * The order of a plug: look → choose the name inside → make the pair, the other end at once inside → sysctls on both ends and the
 * firewall's chain → address and up, inside first → route. The alias comes last: a link without one was not finished and is made anew.
 */

/** The host's end answers ARP for the whole mesh and takes from the sandbox nothing but packets of its own address. */
export const HOST_END: Readonly<Record<string, string>> = {
  'ipv4/conf/@/forwarding': '1',
  'ipv4/conf/@/proxy_arp': '1',
  // The kernel's default makes each first packet wait up to 0.8 s for the proxied answer.
  'ipv4/neigh/@/proxy_delay': '0',
  // Strict: the only route by this link is the one to the endpoint's address.
  'ipv4/conf/@/rp_filter': '1',
  'ipv4/conf/@/accept_redirects': '0',
  'ipv4/conf/@/send_redirects': '0',
  'ipv6/conf/@/accept_ra': '0',
  'ipv6/conf/@/autoconf': '0',
  'ipv6/conf/@/accept_redirects': '0',
  // No link-local address either: nothing on the host is meant to be reached by this link.
  'ipv6/conf/@/addr_gen_mode': '1',
};

const SANDBOX_END: Readonly<Record<string, string>> = {
  'ipv6/conf/@/accept_ra': '0',
  'ipv6/conf/@/autoconf': '0',
};

/** What is there before a plug, and the names that follow from it. */
interface Situation {
  readonly hostLink: string;
  readonly interface: string;
  /** The host's end that has the name already. */
  readonly old: LinkState | undefined;
  /** Whether `old` is this very link and can stay. */
  readonly keep: boolean;
  readonly loopbackDown: boolean;
  /** The other endpoints' links. */
  readonly others: readonly GuardedLink[];
}

export function checkOffer(plan: OfferPlan): void {
  checkEndpoint(plan.endpoint);
  checkMtu(plan.mtu);
  readAddress(plan.address);
  if (plan.mac !== undefined) checkMac(plan.mac);
}

export function checkPlug(plan: PlugPlan): void {
  checkOffer(plan);
  if (plan.interface !== undefined) checkInterface(plan.interface);
}

/** `source` is the host's own address towards the endpoint, where it has one. `path` is the host's namespace. */
export async function plugInto(
  sandbox: OpenSandbox,
  plan: PlugPlan,
  source: string | undefined,
  path: string | undefined,
  firewall: Firewall,
): Promise<PlugResult> {
  const host = hostNamespace(path);
  const inside = openedNamespace(sandbox.descriptor);
  const situation = await look(host, inside, plan);
  const { hostLink, old, keep } = situation;
  if (old !== undefined && !keep) await removeLink(host, hostLink);
  try {
    if (!keep) await apply(host, [pairOf(plan, situation.interface, sandbox.descriptor)]);
    await Promise.all([
      host.setSysctls(sysctlsFor(hostLink, HOST_END, plan.mtu)),
      inside.setSysctls(sysctlsFor(situation.interface, SANDBOX_END, plan.mtu)),
      firewall.admit([...situation.others, { link: hostLink, address: readAddress(plan.address).address }]),
    ]);
    await configure(host, inside, plan, situation, source);
  } catch (error) {
    // Should this fail too, the link has no alias yet: the next plug of the endpoint or the next start removes it.
    if (!keep) await removeLink(host, hostLink).catch(() => undefined);
    throw error;
  }
  return { sandboxPath: sandbox.path, interface: situation.interface, mac: macIn(plan), hostLink };
}

/** Of the sandbox's end. */
export function macIn({ mac, address }: OfferPlan): string {
  return mac ?? macOf(readAddress(address).address, 'sandbox');
}

async function look(host: Namespace, inside: Namespace, plan: PlugPlan): Promise<Situation> {
  const [[links, routes], there] = await Promise.all([readLinksAndRoutes(host), lookInside(inside, plan)]);
  const hostLink = hostLinkOf(plan.endpoint);
  const { address } = readAddress(plan.address);
  const old = links.find((link) => link.name === hostLink);
  const end = old === undefined ? undefined : there.find((link) => isOtherEnd(link, old, plan));
  const sameName = plan.interface === undefined || plan.interface === end?.name;
  // Sysctls of IPv6 go and come with it, and come as the system's defaults are.
  const sameFamilies = old !== undefined && hasIpv6(old.mtu) === hasIpv6(plan.mtu);
  const keep = end !== undefined && sameName && sameFamilies;
  checkFree(formatIpv4(address), hostLink, links, routes);
  for (const link of there) {
    if (link.index !== end?.index && link.addresses.some(({ local }) => local === formatIpv4(address))) {
      throw new HostError(
        'address-taken',
        `${link.name} in ${plan.sandbox} has the address ${plan.address} already`,
      );
    }
  }
  const name = keep ? end.name : chooseName(plan, there, end);
  return {
    hostLink,
    interface: name,
    old,
    keep,
    loopbackDown: there.some(({ name, up }) => name === 'lo' && !up),
    others: guardedLinks(links.filter((link) => link !== old)),
  };
}

async function lookInside(inside: Namespace, plan: PlugPlan): Promise<readonly LinkState[]> {
  try {
    return await readLinks(inside);
  } catch (error) {
    // setns(2) refuses a mounted namespace of another kind; look could not tell.
    if (error instanceof NetlinkError && error.errno === 'EINVAL') {
      throw absent(plan.sandbox, 'is not a network namespace');
    }
    throw error;
  }
}

/** Both ends name each other's index, and the one inside has the address that we gave it. */
export function isOtherEnd(link: LinkState, hostEnd: LinkState, plan: OfferPlan): boolean {
  return (
    link.kind === 'veth' &&
    link.peer === hostEnd.index &&
    hostEnd.peer === link.index &&
    link.mac === macIn(plan)
  );
}

export function checkFree(
  address: string,
  hostLink: string,
  links: readonly LinkState[],
  routes: readonly RouteState[],
): void {
  const holder = links.find((link) => link.addresses.some(({ local }) => local === address));
  if (holder !== undefined) {
    throw new HostError('address-taken', `${holder.name} of this host has the address ${address}`);
  }
  const route = routes.find(({ destination, device }) => destination === address && device !== hostLink);
  if (route !== undefined) {
    const endpoint = endpointOf(links.find(({ name }) => name === route.device)?.alias);
    const whom =
      endpoint === undefined ? `a route by ${route.device ?? 'nothing'}` : `the endpoint ${endpoint}`;
    throw new HostError('address-taken', `${address} belongs to ${whom} already`);
  }
}

/** `end` is about to be removed, so its name is free. */
function chooseName(plan: PlugPlan, there: readonly LinkState[], end: LinkState | undefined): string {
  const taken = new Set(there.filter((link) => link !== end).map(({ name }) => name));
  if (plan.interface !== undefined) {
    if (!taken.has(plan.interface)) return plan.interface;
    throw new HostError(
      'interface-taken',
      `${plan.sandbox} has an interface ${plan.interface} already: choose another one with --interface`,
    );
  }
  let name = 'eth0';
  for (let number = 0; taken.has(name); number++) name = `weft${number}`;
  return name;
}

/** Addresses and MTU are set as the pair is made, and the group marks it as ours from its first moment. */
export function pairOf(plan: OfferPlan, other: string, network?: number): AddPair {
  return {
    do: 'add pair',
    link: hostLinkOf(plan.endpoint),
    mac: macOf(readAddress(plan.address).address, 'host'),
    mtu: plan.mtu,
    other: { link: other, mac: macIn(plan) },
    network,
  };
}

async function configure(
  host: Namespace,
  inside: Namespace,
  plan: PlugPlan,
  situation: Situation,
  source: string | undefined,
): Promise<void> {
  const { interface: link } = situation;
  await apply(inside, [
    ...(situation.loopbackDown ? [{ do: 'set link', link: 'lo', up: true } as const] : []),
    { do: 'put address', link, address: plan.address, broadcast: true },
    { do: 'set link', link, mtu: plan.mtu, up: true },
  ]);
  await apply(host, hostEnd(plan, source));
}

/** The last of a link's steps: with the alias it is finished. */
export function hostEnd(plan: OfferPlan, source: string | undefined): readonly Change[] {
  const link = hostLinkOf(plan.endpoint);
  const address = formatIpv4(readAddress(plan.address).address);
  return [
    { do: 'set link', link, mtu: plan.mtu, up: true },
    // Permanent, so that the host need not ask: its questions would carry a source that the sandbox may have no route to.
    { do: 'put neighbour', link, address, mac: macIn(plan) },
    { do: 'put route', destination: address, link, source },
    { do: 'set link', link, alias: aliasOf(plan.endpoint) },
  ];
}

/** Removes both ends with all that hangs on them; fine when they are gone. */
export async function removeLink(host: Namespace, link: string): Promise<void> {
  try {
    await apply(host, [{ do: 'remove link', link }]);
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.errno !== 'ENODEV') throw error;
  }
}

export function pluggedOf(
  links: readonly LinkState[],
  routes: readonly RouteState[],
): readonly PluggedEndpoint[] {
  const routed = new Set(routes.filter(isMeshRoute).map(({ device }) => device));
  return links.filter(isEndpointLink).flatMap((link) => {
    const endpoint = endpointOf(link.alias);
    if (endpoint === undefined || link.name !== hostLinkOf(endpoint)) return [];
    return [{ endpoint, hostLink: link.name, up: link.carrier && routed.has(link.name) }];
  });
}

/** Of links that are finished, or were when they were last touched. */
export function guardedLinks(links: readonly LinkState[]): readonly GuardedLink[] {
  return links.flatMap((link) => {
    const address = addressIn(link.mac);
    const finished = isEndpointLink(link) && endpointOf(link.alias) !== undefined;
    return finished && address !== undefined ? [{ link: link.name, address }] : [];
  });
}

export function isEndpointLink(link: LinkState): boolean {
  return link.kind === 'veth' && link.group === LINK_GROUP && isHostLink(link.name);
}
