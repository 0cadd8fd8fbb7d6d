import { type FastPathPeer, underlayFamily } from '../ports/host.ts';
import { apply, type Change } from './changes.ts';
import type { Namespace } from './namespace.ts';
import { type LinkState, readEntries } from './tables.ts';

/**
 * What stands for the peer in routes: its underlay address where that is IPv4. One of IPv6 that the kernel finds on another link is no gateway
 * to it, so there it is the peer's link-local address.
 */
export function gatewayOf({ underlay, linkLocal }: Pick<FastPathPeer, 'underlay' | 'linkLocal'>): string {
  return underlayFamily(underlay) === 4 ? underlay : linkLocal;
}

/** Permanent entries of a device's both tables; others are taken away. */
export async function setEntries(
  host: Namespace,
  { name: link, index }: Pick<LinkState, 'name' | 'index'>,
  peers: readonly FastPathPeer[],
): Promise<void> {
  const [neighbours, forwarding] = await readEntries(host, index);
  const known = new Map(neighbours.map(({ address, mac }) => [address, mac]));
  const names = new Map(
    peers.flatMap((peer) => [
      [gatewayOf(peer), peer.mac],
      [peer.linkLocal, peer.mac],
    ]),
  );
  const changes: Change[] = [];
  const placed = new Map(forwarding.map(({ mac, underlay }) => [mac, underlay]));
  const places = new Map(peers.map(({ mac, underlay }) => [mac, underlay]));
  for (const mac of placed.keys()) {
    if (!places.has(mac)) changes.push({ do: 'remove forwarding', link, mac });
  }
  for (const [mac, underlay] of places) {
    if (placed.get(mac) !== underlay) changes.push({ do: 'put forwarding', link, mac, underlay });
  }
  for (const address of known.keys()) {
    if (!names.has(address)) changes.push({ do: 'remove neighbour', link, address });
  }
  for (const [address, mac] of names) {
    if (known.get(address) !== mac) changes.push({ do: 'put neighbour', link, address, mac });
  }
  await apply(host, changes);
}
