import { type Cidr, formatCidr } from '../core/address.ts';
import type { Namespace } from './namespace.ts';

/**
 * The table `inet weft-networks`: who has an address in one of the subnets talks only inside of it. Every packet between containers is
 * forwarded, on the host that it leaves and on the one that it comes to, whatever way it takes between them; what the host itself sends
 * and receives is not. A table of its own, because a restart of the daemon must find it as it was: only `setNetworks` changes it.
 */
export async function raiseIsolation(host: Namespace, subnets: readonly Cidr[]): Promise<void> {
  // Adding what is there already changes nothing, so that there is something to delete in any case; all of it is one step.
  const lines = ['add table inet weft-networks', 'delete table inet weft-networks'];
  if (subnets.length > 0) lines.push(`table inet weft-networks {\n${isolationOf(subnets)}\n}`);
  await host.run(['nft', '-f', '-'], `${lines.join('\n')}\n`);
}

/** The body of the table. */
export function isolationOf(subnets: readonly Cidr[]): string {
  if (subnets.length === 0) return '';
  const texts = subnets.map(({ start, prefix }) => formatCidr(start, prefix));
  const pairs = texts.map((subnet) => `${subnet} . ${subnet}`);
  return `set apart { type ipv4_addr; flags interval; elements = { ${texts.join(', ')} }; }
set inside { type ipv4_addr . ipv4_addr; flags interval; elements = { ${pairs.join(', ')} }; }
chain leaving {
ip saddr . ip daddr @inside accept
counter drop
}
chain forwarded {
type filter hook forward priority filter; policy accept;
ip saddr @apart goto leaving
ip daddr @apart counter drop
}`;
}
