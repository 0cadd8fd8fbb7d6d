import type { EndpointStatus } from '../../doors/control.ts';
import type { Network } from '../network.ts';

/** What is attached and exposed, then Docker's containers. */
export function endpointStatuses({ endpoints, docker, mesh }: Network): readonly EndpointStatus[] {
  const containers = docker.endpoints().map((one): EndpointStatus => {
    const { id, name, network, address, prefix, sandbox, hostLink, up } = one;
    return {
      id,
      name,
      kind: 'docker',
      network: mesh.networks.get(network)?.name ?? network,
      address,
      prefix,
      sandbox,
      interface: '',
      hostLink,
      mac: one.mac,
      up,
    };
  });
  return [...endpoints.list(), ...containers];
}
