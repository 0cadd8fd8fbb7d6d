import type { EndpointStatus } from '../../doors/control.ts';
import type { Network } from '../network.ts';
import { nameOf } from './networks.ts';

/** What is attached and exposed, then Docker's containers. */
export function endpointStatuses({ endpoints, docker, mesh }: Network): readonly EndpointStatus[] {
  const containers = docker.endpoints().map((one): EndpointStatus => {
    const { id, name, network, address, prefix, sandbox, hostLink, up } = one;
    return {
      id,
      name,
      kind: 'docker',
      network: nameOf(mesh, network),
      address,
      prefix,
      sandbox,
      interface: '',
      hostLink,
      mac: one.mac,
      up,
    };
  });
  const attached = endpoints.list().map((one) => ({ ...one, network: nameOf(mesh, one.network) }));
  return [...attached, ...containers];
}
