import { concat, u32, utf8 } from '../core/bytes.ts';
import type { Namespace } from './namespace.ts';
import { batch, type Request } from './netlink.ts';
import { attribute, FLAGS, nested, textAttribute } from './netlink-wire.ts';

/** Numbers here are those of linux/netfilter.h, nfnetlink.h and nf_tables.h below it. */
export interface SetOfElements {
  readonly family: 'inet' | 'arp';
  readonly table: string;
  readonly set: string;
}

/** NFPROTO_… */
const FAMILY = { any: 0, inet: 1, arp: 3 } as const;
const NFTABLES = 10;
const BATCH = { begin: 0x10, end: 0x11 } as const;
const NEW_ELEMENTS = (NFTABLES << 8) | 12;
/** NFTA_SET_ELEM_LIST_…, then what each is wrapped in: NFTA_LIST_ELEM, NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE. */
const LIST = { table: 1, set: 2, elements: 3 } as const;
const ELEMENT = 1;
const KEY = 1;
const VALUE = 1;
/** At once: an attribute of netlink holds twice as many. */
export const MOST_ELEMENTS = 1_000;
/** IFNAMSIZ */
const NAME_SIZE = 16;

/**
 * Puts the same elements into sets of nftables as one step, without the program `nft`, whose start takes longer than all else that a container's link
 * needs; at most MOST_ELEMENTS. What is there already stays. Rejects with NetlinkError: `ENOENT` where a table or a set is missing.
 */
export async function addElements(
  namespace: Namespace,
  sets: readonly SetOfElements[],
  keys: readonly Uint8Array[],
): Promise<void> {
  const elements = keys.map((key) => nested(ELEMENT, [nested(KEY, [attribute(VALUE, key)])]));
  const requests = sets.map(({ family, table, set }) => ({
    type: NEW_ELEMENTS,
    flags: FLAGS.create | FLAGS.acknowledge,
    body: concat(
      header(family, 0),
      textAttribute(LIST.table, table),
      textAttribute(LIST.set, set),
      nested(LIST.elements, elements),
    ),
    what: `add ${keys.length} elements to the set ${set} of ${family} ${table}`,
  }));
  await batch(namespace, [edge('begin'), ...requests, edge('end')]);
}

function edge(which: keyof typeof BATCH): Required<Request> {
  return {
    type: BATCH[which],
    flags: 0,
    body: header('any', NFTABLES),
    what: `${which} a change of nftables`,
  };
}

/** struct nfgenmsg; the resource is in the order of the network. */
function header(family: keyof typeof FAMILY, resource: number): Uint8Array {
  return Uint8Array.of(FAMILY[family], 0, resource >>> 8, resource & 255);
}

/** A key of the type `ifname . ipv4_addr`. */
export function linkAndAddress(link: string, address: number): Uint8Array {
  const name = new Uint8Array(NAME_SIZE);
  name.set(utf8(link));
  return concat(name, u32(address));
}
