import { formatIpv4, parseCidr } from '../src/core/address.ts';
import type { NetworkInfo } from '../src/core/network.ts';

/** How a network of the mesh looks as one of Docker's pools. */

export const GATEWAY = 'com.docker.network.gateway';

/** The answer to RequestPool. With a gateway in it Docker asks for none. */
export function poolReply(network: NetworkInfo, pool: string): object {
  return { PoolID: pool, Pool: network.subnet, Data: { [GATEWAY]: baseOf(network) } };
}

export function prefixOf({ subnet }: NetworkInfo): string {
  return subnet.split('/')[1] ?? '32';
}

/** Given to Docker as gateway: it is nobody's address, no container needs a gateway, and Docker asks for one otherwise. */
export function baseOf({ subnet }: NetworkInfo): string {
  const parsed = parseCidr(subnet);
  return parsed.ok ? `${formatIpv4(parsed.value.start)}/${parsed.value.prefix}` : subnet;
}

/** The last address of the subnet: nobody's, see core/ipam.ts. */
export function placeholderOf({ subnet }: NetworkInfo): string | undefined {
  const parsed = parseCidr(subnet);
  return parsed.ok ? formatIpv4(parsed.value.last) : undefined;
}
