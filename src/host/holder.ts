import { HostError } from '../ports/host.ts';
import { DEVICE_ALIAS, LINK_GROUP } from './names.ts';
import type { Namespace } from './namespace.ts';
import { type LinkState, readLinks } from './tables.ts';

/** Looks at a held device; each takes some 10 ms. A killed daemon holds its device until the last of its threads has ended. */
const LOOKS = 25;

/**
 * The links, when no daemon works on them; rejects with HostError `machine-in-use` otherwise. Links, routes and firewall of a network
 * namespace have one owner: a second daemon would take the first one's for left-overs of its own.
 */
export async function readIdleLinks(host: Namespace): Promise<readonly LinkState[]> {
  let device = '';
  for (let look = 0; look < LOOKS; look++) {
    const links = await readLinks(host);
    const held = links.find(isHeld);
    if (held === undefined) return links;
    device = held.name;
  }
  throw new HostError(
    'machine-in-use',
    `another weftd works on this machine: it holds the device ${device}, and there can be one only`,
  );
}

/** A TUN device that is up has a carrier while, and only while, a process holds a queue of it (tun_attach, tun_detach in tun.c). */
function isHeld({ kind, group, alias, carrier }: LinkState): boolean {
  return kind === 'tun' && group === LINK_GROUP && alias === DEVICE_ALIAS && carrier;
}
