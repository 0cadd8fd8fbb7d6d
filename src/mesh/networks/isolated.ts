import { parseIpv4, type Range } from '../../core/address.ts';
import type { NetworkId } from '../../core/ids.ts';
import { isIdOfMadeNetwork } from '../../core/network.ts';
import { blocksOf } from '../../core/path.ts';
import { includes, overlaps, sizeOf, subtract } from '../../core/ranges.ts';
import type { Allocation } from '../space.ts';
import { cidrOf, type NetworkBook } from './book.ts';

/**
 * What is kept apart on this host, as CIDR; no two overlap. Networks in use here come first, each with the narrowest subnet that anybody
 * has told of and that has all addresses in use: every member may write of a network that it is gone, elsewhere, or younger than another
 * over the same addresses, and isolation must not end under endpoints because of that.
 */
export function isolatedSubnets(
  book: Pick<NetworkBook, 'objects' | 'table'>,
  allocations: readonly Allocation[],
): readonly string[] {
  const kept: Range[] = [];
  const used = [...usesOf(allocations)].flatMap(([id, addresses]) => {
    const fitting = book.objects
      .versions(id)
      .filter((subnet) => addresses.every((address) => includes(subnet, address)));
    return fitting.sort((a, b) => sizeOf(a) - sizeOf(b)).slice(0, 1);
  });
  for (const subnet of used.sort((a, b) => sizeOf(a) - sizeOf(b))) {
    for (const { start, last } of subtract(subnet, kept)) kept.push(...blocksOf(start, last));
  }
  for (const subnet of book.table().networks.values()) {
    if (!kept.some((other) => overlaps(other, subnet))) kept.push(subnet);
  }
  return kept.map(cidrOf).sort();
}

function usesOf(allocations: readonly Allocation[]): ReadonlyMap<NetworkId, readonly number[]> {
  const used = new Map<NetworkId, number[]>();
  for (const { network, address } of allocations) {
    const parsed = parseIpv4(address);
    if (!parsed.ok || !isIdOfMadeNetwork(network)) continue;
    used.set(network, [...(used.get(network) ?? []), parsed.value]);
  }
  return used;
}
