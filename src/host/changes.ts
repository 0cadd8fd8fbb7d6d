import { concat } from '../core/bytes.ts';
import { requestFor } from './change-requests.ts';
import type { Namespace } from './namespace.ts';
import { change, type Request } from './netlink.ts';
import { numberAttribute, textAttribute } from './netlink-wire.ts';
import { LINK, RTM, WITHOUT_COUNTERS } from './rtnetlink.ts';
import { toLink } from './tables.ts';

/**
 * A change of the kernel's tables. `put`: makes or replaces; `add`: refused with EEXIST where it is there; `remove`: refused where it is not.
 * Links are made in our group, routes and the rule are those of our protocol and table: no other can be written with these.
 */
export type Change =
  | AddPair
  | AddVxlan
  | SetLink
  | { readonly do: 'remove link'; readonly link: string }
  | AddressChange
  | PutRoute
  | RemoveRoute
  /** The least preferred of all: what no other route leads to is refused. */
  | { readonly do: 'put guard'; readonly destination: string }
  | { readonly do: 'add rule' | 'remove rule'; readonly destination: string }
  | { readonly do: 'put neighbour'; readonly link: string; readonly address: string; readonly mac: string }
  | { readonly do: 'remove neighbour'; readonly link: string; readonly address: string }
  | { readonly do: 'put forwarding'; readonly link: string; readonly mac: string; readonly underlay: string }
  | { readonly do: 'remove forwarding'; readonly link: string; readonly mac: string };

/** A veth. */
export interface AddPair {
  readonly do: 'add pair';
  readonly link: string;
  readonly mac: string;
  /** Of both ends. */
  readonly mtu: number;
  readonly other: { readonly link: string; readonly mac: string };
  /** Open descriptor of the network namespace that the other end goes to; absent: none. */
  readonly network?: number | undefined;
}

export interface AddVxlan {
  readonly do: 'add vxlan';
  readonly link: string;
  readonly mac: string;
  readonly mtu: number;
  readonly vni: number;
  readonly port: number;
  /** Of the outer packets. Those of IPv4 are never cut into fragments; those of IPv6 are not in any case. */
  readonly family: 4 | 6;
}

export interface SetLink {
  readonly do: 'set link';
  readonly link: string;
  readonly up?: true;
  readonly mtu?: number;
  readonly queue?: number;
  readonly group?: number;
  readonly alias?: string;
}

export interface AddressChange {
  readonly do: 'add address' | 'put address' | 'remove address';
  readonly link: string;
  /** IPv4 or IPv6 with its prefix. */
  readonly address: string;
  /** Absent: it means something everywhere. */
  readonly scope?: 'link';
  /** IPv4: broadcasts go to the network's last address. */
  readonly broadcast?: true;
}

export interface PutRoute {
  readonly do: 'put route';
  /** `10.32.0.0/12`, `10.32.0.5`. */
  readonly destination: string;
  readonly link: string;
  readonly source?: string | undefined;
  /** IPv4 or IPv6 text, by `link` whatever other routes say; absent: the destination is on the link itself. */
  readonly gateway?: string;
  readonly mtu?: number;
}

export interface RemoveRoute {
  readonly do: 'remove route';
  readonly destination: string;
  /** Absent: whatever it leads to. */
  readonly link?: string;
  /** Of ROUTE_TYPES. */
  readonly type: string;
  /** Absent: ours. */
  readonly table?: number;
}

/** Makes them one after the other, up to the first that the kernel refuses; rejects with NetlinkError. */
export async function apply(namespace: Namespace, changes: readonly Change[]): Promise<void> {
  const indexes = new Map<string, number>();
  let waiting: Request[] = [];
  for (const one of changes) {
    const device = deviceOf(one);
    if (device !== undefined && !indexes.has(device)) {
      // What makes the link is on its way before it is looked for.
      const answers = await change(namespace, [...waiting, finding(device)]);
      const [answer] = answers.at(-1) ?? [];
      if (answer !== undefined) indexes.set(device, toLink(answer).index);
      waiting = [];
    }
    waiting.push(requestFor(one, indexes.get(device ?? '') ?? 0));
    if (one.do === 'remove link') indexes.delete(one.link);
  }
  await change(namespace, waiting);
}

/** What has to be told by its index; other changes know links by their names. */
function deviceOf(change: Change): string | undefined {
  switch (change.do) {
    case 'add pair':
    case 'add vxlan':
    case 'set link':
    case 'remove link':
    case 'put guard':
    case 'add rule':
    case 'remove rule':
      return undefined;
    default:
      return change.link;
  }
}

function finding(link: string): Request {
  const filter = [textAttribute(LINK.name, link), numberAttribute(LINK.mask, WITHOUT_COUNTERS)];
  return { type: RTM.getLink, body: concat(new Uint8Array(16), ...filter), what: `find the link ${link}` };
}
