import type { NetworkInfo } from '../../core/network.ts';
import type { NetworkStatus } from '../../doors/networks.ts';
import type { Mesh } from '../../mesh/mesh.ts';

export function networkStatus({ space }: Pick<Mesh, 'space'>, network: NetworkInfo): NetworkStatus {
  const { creator: _, ...shown } = network;
  const used = space.allocations().filter((allocation) => allocation.network === network.id).length;
  return { ...shown, used, free: space.free(network.id) };
}

export function networkStatuses(mesh: Pick<Mesh, 'space' | 'networks'>): readonly NetworkStatus[] {
  return mesh.networks.list().map((network) => networkStatus(mesh, network));
}

/** What people call a network: its name, where it has one. */
export function nameOf({ networks }: Pick<Mesh, 'networks'>, id: string): string {
  return networks.get(id)?.name ?? id;
}
