import { type Cidr, formatCidr, formatIpv4 } from '../core/address.ts';
import { FAST_PATH_ARRIVALS, FAST_PATH_CHAIN } from './firewall-vxlan.ts';
import { LINK_GROUP } from './names.ts';
import type { Namespace } from './namespace.ts';
import { NetlinkError } from './netlink.ts';
import { createOwnTables } from './own-tables.ts';
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
const SET = 'endpoints';
const SETS: readonly SetOfElements[] = [
  { family: 'inet', table: 'weft', set: SET },
  { family: 'arp', table: 'weft', set: SET },
];

/** One call at a time. */
export interface Firewall {
  /** Makes the tables anew, whatever has become of them, in one step: at no moment is there less of them than before. */
  raise(mesh: GuardedMesh, endpoints: readonly GuardedLink[]): Promise<void>;
  /** Lets these endpoints through, and no other. */
  admit(endpoints: readonly GuardedLink[]): Promise<void>;
  /** One endpoint less. Fine when it is none. */
  dismiss(link: string): Promise<void>;
  /** Whether nobody has taken anything out of the tables. */
  isWhole(): Promise<boolean>;
  remove(): Promise<void>;
}

/**
 * Remembers what it put into the tables: a container that starts then costs one more element. Whatever takes something out of them has the kernel
 * wait until no packet is under way by the rules as they were, five times as long, so that then all is made anew: it takes no longer and puts right
 * what somebody else did to the rules.
 */
export function createFirewall(host: Namespace): Firewall {
  const tables = createOwnTables(host, ['inet weft', 'arp weft']);
  let mesh: GuardedMesh | undefined;
  let known: Elements = new Map();

  async function raise(plan: GuardedMesh, wanted: Elements): Promise<void> {
    await tables.load(tablesOf(plan, wanted));
    mesh = plan;
    known = wanted;
  }

  async function change(wanted: Elements): Promise<void> {
    if (mesh === undefined) return;
    const more: Elements = new Map([...wanted].filter(([element]) => !known.has(element)));
    const isLess = wanted.size - more.size < known.size;
    if (!isLess && more.size === 0) return;
    if (isLess || more.size > MOST_ELEMENTS || !(await add(more)))
      await tables.refill(tablesOf(mesh, wanted), SET, [...wanted.keys()]);
    known = wanted;
  }

  /** False where somebody has taken the tables away. */
  async function add(elements: Elements): Promise<boolean> {
    const keys = Array.from(elements.values(), ({ link, address }) => linkAndAddress(link, address));
    try {
      await addElements(host, SETS, keys);
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === 'ENOENT') return false;
      throw error;
    }
    tables.added(SET, [...elements.keys()]);
    return true;
  }

  return {
    raise: (plan, endpoints) => raise(plan, elementsOf(endpoints)),
    admit: (endpoints) => change(elementsOf(endpoints)),
    dismiss: (link) => change(elementsOf([...known.values()].filter((one) => one.link !== link))),
    isWhole: () => tables.areWhole(),
    async remove() {
      mesh = undefined;
      known = new Map();
      await tables.load('');
    },
  };
}

/** By how nft spells them. */
type Elements = ReadonlyMap<string, GuardedLink>;

function elementsOf(endpoints: readonly GuardedLink[]): Elements {
  return new Map(endpoints.map((one) => [`${one.link} . ${formatIpv4(one.address)}`, one]));
}

function tablesOf(mesh: GuardedMesh, endpoints: Elements): string {
  const range = formatCidr(mesh.range.start, mesh.range.prefix);
  const elements = [...endpoints.keys()].join(', ');
  const own = `set ${SET} { type ifname . ipv4_addr; ${elements === '' ? '' : `elements = { ${elements} };`} }`;
  return `
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
    iifname . ip saddr @${SET} accept
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
    iifgroup ${LINK_GROUP} iifname . arp saddr ip != @${SET} counter drop
  }
}
`;
}
