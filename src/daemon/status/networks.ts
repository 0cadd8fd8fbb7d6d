import type { NetworkStatus } from '../../doors/networks.ts';
import type { Mesh } from '../../mesh/mesh.ts';
import type { NetworkInfo } from '../../mesh/networks.ts';

export function networkStatus({ space }: Pick<Mesh, 'space'>, network: NetworkInfo): NetworkStatus {
  const { id, name, clash, subnet, internal, gateway, reserved, ipRange, options } = network;
  const used = space.allocations().filter((allocation) => allocation.network === id).length;
  return {
    id,
    name,
    clash,
    subnet,
    internal,
    gateway,
    reserved,
    ipRange,
    options: { ...options },
    used,
    free: space.free(id),
  };
}

export function networkStatuses(mesh: Pick<Mesh, 'space' | 'networks'>): readonly NetworkStatus[] {
  return mesh.networks.list().map((network) => networkStatus(mesh, network));
}

/** What people call a network: its name, where it has one. */
export function nameOf({ networks }: Pick<Mesh, 'networks'>, id: string): string {
  return networks.get(id)?.name ?? id;
}
