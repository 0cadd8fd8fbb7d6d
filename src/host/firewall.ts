import { type Cidr, formatCidr, formatIpv4 } from '../core/address.ts';
import { HostError } from '../ports/host.ts';
import { FAST_PATH_ARRIVALS, FAST_PATH_CHAIN } from './firewall-vxlan.ts';
import { LINK_GROUP } from './names.ts';
import type { Namespace } from './namespace.ts';

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

/** Makes the tables as they shall be, in one step: at no moment is there less of them than before. */
export async function raiseFirewall(
  host: Namespace,
  mesh: { readonly device: string; readonly range: Cidr },
  endpoints: readonly GuardedLink[],
): Promise<void> {
  const range = formatCidr(mesh.range.start, mesh.range.prefix);
  const elements = endpoints.map(({ link, address }) => `${link} . ${formatIpv4(address)}`).join(', ');
  const own = `set endpoints { type ifname . ipv4_addr; ${elements === '' ? '' : `elements = { ${elements} };`} }`;
  // Adding what is there already changes nothing, so that there is something to delete in any case.
  const text = `
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
    ${FAST_PATH_ARRIVALS}
    iifgroup ${LINK_GROUP} goto ours
    iifname lo accept
    ip saddr ${range} counter drop
    ip daddr ${range} counter drop
  }
  chain ours {
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
  await host.run(['nft', '-f', '-'], text);
}

export async function removeFirewall(host: Namespace): Promise<void> {
  for (const family of ['inet', 'arp']) {
    try {
      await host.run(['nft', 'delete', 'table', family, 'weft']);
    } catch (error) {
      if (!(error instanceof HostError) || !/No such file or directory/.test(error.message)) throw error;
    }
  }
}
