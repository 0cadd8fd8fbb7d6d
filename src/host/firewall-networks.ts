import { type Cidr, formatCidr } from '../core/address.ts';
import type { Namespace } from './namespace.ts';
import { createOwnTables } from './own-tables.ts';

/**
 * The table `inet weft-networks`: who has an address in one of the subnets talks only inside of it. Every packet between containers is
 * forwarded, on the host that it leaves and on the one that it comes to, whatever way it takes between them; what the host itself sends
 * and receives is not. A table of its own, because a restart of the daemon must find it as it was: only `setNetworks` changes it.
 */
export interface NetworksTable {
  raise(subnets: readonly Cidr[]): Promise<void>;
  /** Whether nobody has taken anything out of it. */
  isWhole(): Promise<boolean>;
}

const NAME = 'inet weft-networks';
/**
 * Stands for the table while that is made anew. The kernel has new rules in force a moment before what is in their interval sets: so long none of
 * the subnets would be known. Seen on Linux 6.18, test/attack/networks.test.ts.
 */
const SPARE = 'inet weft-networks-spare';

export function createNetworksTable(host: Namespace): NetworksTable {
  const table = createOwnTables(host, [NAME]);
  const spare = createOwnTables(host, [SPARE]);
  return {
    async raise(subnets) {
      const named = (name: string) =>
        subnets.length === 0 ? '' : `table ${name} {\n${isolationOf(subnets)}\n}\n`;
      await spare.load(named(SPARE));
      await table.load(named(NAME));
      await spare.load('');
    },
    isWhole: () => table.areWhole(),
  };
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
