import { formatIpv4 } from '../core/address.ts';
import type { OfferedLink, OfferPlan } from '../ports/host.ts';
import { apply } from './changes.ts';
import { sysctlsFor } from './device.ts';
import type { Firewall } from './firewall.ts';
import { readAddress } from './ipv4.ts';
import {
  checkFree,
  guardedLinks,
  HOST_END,
  hostEnd,
  isOtherEnd,
  macIn,
  pairOf,
  removeLink,
} from './links.ts';
import { hostLinkOf, offeredLinkOf } from './names.ts';
import type { Namespace } from './namespace.ts';
import { readLinksAndRoutes } from './tables.ts';

/**
 * A plug without a sandbox: look → pair with address and route of the host's end, and its entry in the firewall → sysctls. Docker waits for
 * it with each start of a container, so it takes as few programs as it can; nothing arrives by the link before somebody takes its other
 * end, and that is told last. Whoever takes it gives it its name, address and routes inside. `source` is the host's own address towards
 * the endpoint.
 */
export async function offerLink(
  host: Namespace,
  plan: OfferPlan,
  source: string | undefined,
  firewall: Firewall,
): Promise<OfferedLink> {
  const [links, routes] = await readLinksAndRoutes(host);
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
  async function makeLink(): Promise<void> {
    if (!keep) await apply(host, [pairOf(plan, link)]);
    // Before it is up: no link-local address is ever made for it.
    await host.setSysctls(sysctlsFor(hostLink, HOST_END, plan.mtu));
    await apply(host, hostEnd(plan, source));
  }
  try {
    const others = guardedLinks(links.filter((there) => there !== old));
    const steps = [firewall.admit([...others, { link: hostLink, address }]), makeLink()];
    // Neither goes on while what was made is taken back.
    await Promise.allSettled(steps);
    await Promise.all(steps);
  } catch (error) {
    if (!keep) await removeLink(host, hostLink).catch(() => undefined);
    throw error;
  }
  return { link, mac: macIn(plan), hostLink };
}
