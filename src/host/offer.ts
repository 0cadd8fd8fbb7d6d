import { type Cidr, formatIpv4 } from '../core/address.ts';
import type { OfferedLink, OfferPlan } from '../ports/host.ts';
import { sysctlsFor } from './device.ts';
import { raiseFirewall } from './firewall.ts';
import { batch, readLinks, readRoutes } from './iproute.ts';
import { readAddress } from './ipv4.ts';
import {
  checkFree,
  guardedLinks,
  HOST_END,
  hostEndLines,
  isOtherEnd,
  macIn,
  pairLine,
  removeLink,
} from './links.ts';
import { hostLinkOf, offeredLinkOf } from './names.ts';
import type { Namespace } from './namespace.ts';

/**
 * A plug without a sandbox, in the same order: look → pair → sysctls and firewall of the host's end → address and route of it → alias.
 * Whoever takes the other end gives it its name, address and routes inside. `source` is the host's own address towards the endpoint.
 */
export async function offerLink(
  host: Namespace,
  plan: OfferPlan,
  source: string | undefined,
  mesh: { readonly device: string; readonly range: Cidr },
): Promise<OfferedLink> {
  const [links, routes] = await Promise.all([readLinks(host), readRoutes(host)]);
  const { address } = readAddress(plan.address);
  const hostLink = hostLinkOf(plan.endpoint);
  const link = offeredLinkOf(plan.endpoint);
  const old = links.find(({ name }) => name === hostLink);
  const other = links.find(({ name }) => name === link);
  checkFree(formatIpv4(address), hostLink, links, routes);
  // An end that was moved and came back is up, or has been: what hung on it is unknown.
  const keep = old !== undefined && other !== undefined && !other.up && isOtherEnd(other, old, plan);
  if (old !== undefined && !keep) await removeLink(host, hostLink);
  if (other !== undefined && !keep) await removeLink(host, link);
  try {
    if (!keep) await batch(host, [pairLine(plan, hostLink, link, [])]);
    const others = guardedLinks(links.filter((there) => there !== old));
    await Promise.all([
      host.setSysctls(sysctlsFor(hostLink, HOST_END, plan.mtu)),
      raiseFirewall(host, mesh, [...others, { link: hostLink, address }]),
    ]);
    await batch(host, hostEndLines(plan, hostLink, source));
  } catch (error) {
    if (!keep) await removeLink(host, hostLink).catch(() => undefined);
    throw error;
  }
  return { link, mac: macIn(plan), hostLink };
}
