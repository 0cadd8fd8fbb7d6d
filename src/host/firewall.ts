import { type Cidr, formatCidr, formatIpv4 } from '../core/address.ts';
import { HostError } from '../ports/host.ts';
import { FAST_PATH_ARRIVALS, FAST_PATH_CHAIN } from './firewall-vxlan.ts';
import { LINK_GROUP } from './names.ts';
import type { Namespace } from './namespace.ts';
import { NetlinkError } from './netlink.ts';
import { addElements, linkAndAddress, MOST_ELEMENTS, type SetOfElements } from './set-elements.ts';

/**
 * The tables `inet weft` and `arp weft`. They do not say who may talk to whom. They hold what routes and sysctls alone do not, because
 * others on the machine write those too: Cilium has udev set rp_filter=0 on each new link, and a route that comes by DHCP wins over
 * ours when it is narrower. Links are matched by name, so that a saved ruleset can be loaded again when none of them is there.
 */
export interface GuardedLink {
  /** The host's end. */
  readonly link: string;
  /** The endpoint's, as a number. */
  readonly address: number;
}

export interface GuardedMesh {
  readonly device: string;
  readonly range: Cidr;
}

/** Of both tables. */
const SETS: readonly SetOfElements[] = [
  { family: 'inet', table: 'weft', set: 'endpoints' },
  { family: 'arp', table: 'weft', set: 'endpoints' },
];

/** One call at a time. */
export interface Firewall {
  /** Makes the tables anew, whatever has become of them, in one step: at no moment is there less of them than before. */
  raise(mesh: GuardedMesh, endpoints: readonly GuardedLink[]): Promise<void>;
  /** Lets these endpoints through, and no other. */
  admit(endpoints: readonly GuardedLink[]): Promise<void>;
  /** One endpoint less. Fine when it is none. */
  dismiss(link: string): Promise<void>;
  remove(): Promise<void>;
}

/**
 * Remembers what it put into the tables: a container that starts then costs one more element. Whatever takes something out of them has the kernel
 * wait until no packet is under way by the rules as they were, five times as long, so that then all is made anew: it takes no longer and puts right
 * what somebody else did to the rules.
 */
export function createFirewall(host: Namespace): Firewall {
  let mesh: GuardedMesh | undefined;
  let known: Elements = new Map();

  async function make(plan: GuardedMesh, wanted: Elements): Promise<void> {
    await host.run(['nft', '-f', '-'], tablesOf(plan, wanted));
    mesh = plan;
    known = wanted;
  }

  async function change(wanted: Elements): Promise<void> {
    if (mesh === undefined) return;
    const added = [...wanted].filter(([element]) => !known.has(element)).map(([, link]) => link);
    if (wanted.size - added.length < known.size || added.length > MOST_ELEMENTS) return make(mesh, wanted);
    if (added.length === 0) return;
    try {
      await addElements(
        host,
        SETS,
        added.map(({ link, address }) => linkAndAddress(link, address)),
      );
      known = wanted;
    } catch (error) {
      // Somebody has taken away the tables.
      if (!(error instanceof NetlinkError) || error.errno !== 'ENOENT') throw error;
      await make(mesh, wanted);
    }
  }

  return {
    raise: (plan, endpoints) => make(plan, elementsOf(endpoints)),
    admit: (endpoints) => change(elementsOf(endpoints)),
    dismiss: (link) => change(elementsOf([...known.values()].filter((one) => one.link !== link))),
    async remove() {
      mesh = undefined;
      known = new Map();
      await removeTables(host);
    },
  };
}

/** Whether all the tables are there and, in those of `whole`, no chain has lost all its rules: we make none without. */
export async function hasRules(
  host: Namespace,
  whole: readonly string[],
  others: readonly string[],
): Promise<boolean> {
  // One at a time: of several families nft 1.0.6 finds only the tables of the last.
  const list = (table: string) => host.run(['nft', '--terse', 'list', 'table', ...table.split(' ')]);
  try {
    for (const table of others) await list(table);
    for (const table of whole) {
      if (/chain \S+ \{\s*(type [^\n]*\s*)?\}/.test(await list(table))) return false;
    }
    return true;
  } catch (error) {
    if (!(error instanceof HostError) || !/No such file or directory/.test(error.message)) throw error;
    return false;
  }
}

/** By how nft spells them. */
type Elements = ReadonlyMap<string, GuardedLink>;

function elementsOf(endpoints: readonly GuardedLink[]): Elements {
  return new Map(endpoints.map((one) => [`${one.link} . ${formatIpv4(one.address)}`, one]));
}

function tablesOf(mesh: GuardedMesh, endpoints: Elements): string {
  const range = formatCidr(mesh.range.start, mesh.range.prefix);
  const elements = [...endpoints.keys()].join(', ');
  const own = `set endpoints { type ifname . ipv4_addr; ${elements === '' ? '' : `elements = { ${elements} };`} }`;
  // Adding what is there already changes nothing, so that there is something to delete in any case.
  return `
add table inet weft
add table arp weft
delete table inet weft
delete table arp weft
table inet weft {
  ${own}
  chain fast {
    ${FAST_PATH_CHAIN}
    counter drop
  }
  chain arriving {
    type filter hook prerouting priority raw; policy accept;
    iifgroup ${LINK_GROUP} goto ours
    ip saddr ${range} goto clear
    ip daddr ${range} goto clear
  }
  chain clear {
    iifname lo accept
    counter drop
  }
  chain ours {
    ${FAST_PATH_ARRIVALS}
    ip daddr != ${range} counter drop
    iifname . ip saddr @endpoints accept
    iifname ${mesh.device} meta nfproto ipv4 accept
    counter drop
  }
  chain leaving {
    type filter hook postrouting priority raw; policy accept;
    ip daddr ${range} oifgroup != ${LINK_GROUP} oifname != lo counter drop
  }
}
table arp weft {
  ${own}
  chain arriving {
    type filter hook input priority filter; policy accept;
    iifgroup ${LINK_GROUP} iifname . arp saddr ip != @endpoints counter drop
  }
}
`;
}

async function removeTables(host: Namespace): Promise<void> {
  for (const family of ['inet', 'arp']) {
    try {
      await host.run(['nft', 'delete', 'table', family, 'weft']);
    } catch (error) {
      if (!(error instanceof HostError) || !/No such file or directory/.test(error.message)) throw error;
    }
  }
}
