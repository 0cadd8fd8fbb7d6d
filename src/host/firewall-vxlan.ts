import type { Range } from '../core/address.ts';
import {
  FAST_PATH_DEVICES,
  type FastPathCounters,
  type FastPathPlan,
  PROBE_PORT,
  type UnderlayFamily,
  underlayFamily,
} from '../ports/host.ts';
import type { FastPathCounts } from './fast-path-counts.ts';
import type { Namespace } from './namespace.ts';
import { createOwnTables } from './own-tables.ts';

/**
 * The tables `ip weft_vxlan` and, where a peer's underlay is that, `ip6 weft_vxlan`: what the kernel unpacks for us. They see a packet before the
 * VXLAN device gets it, the outer source next to the inner one; afterwards nothing tells any more who sent it. Only packets with our VNI are
 * their business: the port may be shared with others. Fragments of IPv4 have been joined by then. Those of IPv6 have not: they are judged by the
 * first one, which passes only if it has all that is looked at; the kernel refuses fragments that overlap (RFC 5722).
 *
 * Where programs stand at the VXLAN device (shortcut-programs.ts), they look inside and count, at a fraction of the cost: the table only lets in who is
 * trusted, and leaves the outer source as the mark.
 *
 * What passes has a mark, which stays with the packet inside. Without the mark neither the table `inet weft` nor the device itself
 * (fast-path.ts) lets it through: should a table be gone, the fast path is closed, not open.
 */
const TABLE = 'weft_vxlan';
export const ADMITTED_MARK = '0x57';

/** For `inet weft`: what has come this far has been looked at already, and these packets are many. */
export const FAST_PATH_ARRIVALS = `iifname ${FAST_PATH_DEVICES[4]}* goto fast`;
export const FAST_PATH_CHAIN = `meta mark ${ADMITTED_MARK} meta nfproto ipv4 accept
    meta mark ${ADMITTED_MARK} ip6 saddr fe80::/64 udp dport ${PROBE_PORT} accept`;

/**
 * Bits from the start of the UDP header, which has 64, as the VXLAN header (RFC 7348 §5), then 112 of Ethernet: type at 224, and the inner
 * header at 240: for IPv4 the source 96 bits and the destination 128 further on; for IPv6 the next header at 48, the first
 * half of the source at 64, the destination port of UDP at 336.
 */
const VNI = '@th,96,32';
const ETHER_TYPE = '@th,224,16';
const SOURCE = '@th,336,32';
const DESTINATION = '@th,368,32';
const NEXT_HEADER6 = '@th,288,8';
const SOURCE6 = '@th,304,64';
const PORT6 = '@th,576,16';
const FAMILIES: readonly UnderlayFamily[] = [4, 6];
const OUTER: Readonly<Record<UnderlayFamily, 'ip' | 'ip6'>> = { 4: 'ip', 6: 'ip6' };
/** With IPv6 behind whatever headers there are. */
const UDP: Readonly<Record<UnderlayFamily, string>> = { 4: 'ip protocol 17', 6: 'meta l4proto 17' };
/** VXLAN's own headers on each packet: outer IPv4 20 or IPv6 40, UDP 8, VXLAN 8, Ethernet 14. */
const OVERHEAD: Readonly<Record<UnderlayFamily, number>> = { 4: 50, 6: 70 };

/** By underlay address, with the outer headers. */
type Counters = ReadonlyMap<string, FastPathCounters>;

interface TableCounters {
  readonly received: Counters;
  readonly sent: Counters;
}

export interface Admission {
  /** `byProgram`: programs at the device check what is inside, and count. Does nothing where that is how it is already. */
  raise(plan: FastPathPlan, byProgram: boolean): Promise<void>;
  /** Whether nobody has taken anything out of the tables. */
  isWhole(): Promise<boolean>;
  remove(): Promise<void>;
  /** Nothing where programs count, or when the table is missing. */
  counts(): Promise<FastPathCounts>;
}

export function createAdmission(host: Namespace): Admission {
  const tables = FAMILIES.map((family) => createTable(host, family));
  return {
    async counts() {
      const all = await Promise.all(tables.map((table) => table.counts()));
      return new Map(all.flatMap((counts) => [...counts]));
    },
    async raise(plan, byProgram) {
      for (const table of tables) await table.raise(plan, byProgram);
    },
    async isWhole() {
      return !(await Promise.all(tables.map((table) => table.isWhole()))).includes(false);
    },
    async remove() {
      for (const table of tables) await table.remove();
    },
  };
}

function createTable(host: Namespace, family: UnderlayFamily): Admission {
  const table = createOwnTables(host, [`${OUTER[family]} ${TABLE}`]);
  let loaded: string | undefined;

  async function counters(): Promise<TableCounters> {
    const text = await table.list('-j');
    return { received: countersIn(text, 'peers'), sent: countersIn(text, 'sent') };
  }

  async function counts(): Promise<FastPathCounts> {
    const { received, sent } = await counters();
    const inner = (underlay: string) => ({
      received: innerOf(received.get(underlay), family),
      sent: innerOf(sent.get(underlay), family),
    });
    return new Map(Array.from(received.keys(), (underlay) => [underlay, inner(underlay)]));
  }

  async function remove(): Promise<void> {
    loaded = undefined;
    await table.load('');
  }

  return {
    counts,
    remove,
    isWhole: () => table.areWhole(),
    async raise(whole, checked) {
      const plan = {
        ...whole,
        peers: whole.peers.filter(({ underlay }) => underlayFamily(underlay) === family),
      };
      if (family === 6 && plan.peers.length === 0) return remove();
      const byProgram = family === 4 && checked;
      const textWith = (before: TableCounters) => tableOf(family, plan, byProgram, before);
      const text = textWith({ received: new Map(), sent: new Map() });
      if (loaded === text && (await table.areWhole())) return;
      // What was counted stays.
      await table.load(textWith(await counters()));
      loaded = text;
    },
  };
}

function tableOf(
  family: UnderlayFamily,
  plan: FastPathPlan,
  byProgram: boolean,
  before: TableCounters,
): string {
  const { vni, port } = plan;
  // Reserved bits behind the number are 0 (RFC 7348 §5). Such loads are the ones that nftables does without a call.
  const ours = `${UDP[family]} @th,16,16 ${port} ${VNI} ${vni * 256}`;
  return `table ${OUTER[family]} ${TABLE} {
${byProgram ? sendersOnly(ours, plan) : wholeCheck(ours, OUTER[family], plan, before)}
}
`;
}

/** With its size known, the kernel takes a simpler and quicker table. */
const sizeFor = ({ peers }: FastPathPlan) => `size ${Math.max(1, peers.length)};`;

/** Beside programs: one rule in each direction, because each packet of VXLAN pays for all that is here. */
function sendersOnly(ours: string, plan: FastPathPlan): string {
  const addresses = plan.peers.map(({ underlay }) => underlay);
  const marks = addresses.map((address) => `${address} : ${markOf(address)}`);
  return `
  set peers { type ipv4_addr; ${sizeFor(plan)} ${elements(addresses)} }
  map senders { type ipv4_addr : mark; ${sizeFor(plan)} ${elements(marks)} }
  chain arriving {
    type filter hook input priority raw; policy accept;
    ${ours} meta mark set ip saddr map @senders accept
    ${ours} counter drop
  }
  chain leaving {
    type filter hook output priority raw; policy accept;
    ${ours} ip daddr != @peers counter drop
  }`;
}

/** What a program that loads the address as it lies in a packet finds there: shortcut-programs.ts. */
function markOf(address: string): number {
  return new Uint32Array(Uint8Array.from(address.split('.').map(Number)).buffer)[0] ?? 0;
}

/** For kernels without such programs: a source inside must be the sender's, a destination this host's, and elements count. */
function wholeCheck(ours: string, ip: 'ip' | 'ip6', plan: FastPathPlan, before: TableCounters): string {
  const { own, peers } = plan;
  const size = sizeFor(plan);
  const address = ip === 'ip' ? 'ipv4_addr' : 'ipv6_addr';
  const counted = (counts: Counters) =>
    peers.map(({ underlay }) => {
      const { packets, bytes } = counts.get(underlay) ?? { packets: 0, bytes: 0 };
      return `${underlay} counter packets ${packets} bytes ${bytes}`;
    });
  const sources = peers.flatMap(({ underlay, ranges }) =>
    ranges.map((range) => `${underlay} . ${spell(range)}`),
  );
  return `
  set peers { type ${address}; ${size} counter; ${elements(counted(before.received))} }
  set sent { type ${address}; ${size} counter; ${elements(counted(before.sent))} }
  set sources { typeof ${ip} saddr . ${SOURCE}; flags interval; ${elements(sources)} }
  set own { typeof ${DESTINATION}; flags interval; ${elements(own.map(spell))} }
  chain inner {
    ${ETHER_TYPE} 0x0800 ${ip} saddr . ${SOURCE} @sources ${DESTINATION} @own meta mark set ${ADMITTED_MARK} accept
    ${ETHER_TYPE} 0x86dd ${NEXT_HEADER6} 17 ${SOURCE6} 0xfe80000000000000 ${PORT6} ${PROBE_PORT} meta mark set ${ADMITTED_MARK} accept
    counter drop
  }
  chain admit {
    ${ip} saddr @peers goto inner
    counter drop
  }
  chain leave {
    ${ip} daddr @sent accept
    counter drop
  }
  chain arriving {
    type filter hook input priority raw; policy accept;
    ${ours} goto admit
  }
  chain leaving {
    type filter hook output priority raw; policy accept;
    ${ours} goto leave
  }`;
}

function elements(list: readonly string[]): string {
  return list.length === 0 ? '' : `elements = { ${list.join(', ')} };`;
}

/** A set of raw bytes takes numbers only. */
function spell({ start, last }: Range): string {
  const hex = (address: number) => `0x${address.toString(16).padStart(8, '0')}`;
  return start === last ? hex(start) : `${hex(start)}-${hex(last)}`;
}

/** Elements of one set with what they counted, without the headers. */
function countersIn(listing: string | undefined, name: string): Counters {
  const found = new Map<string, FastPathCounters>();
  if (listing === undefined) return found;
  const { nftables } = JSON.parse(listing) as { nftables: readonly { set?: ListedSet }[] };
  for (const { set } of nftables) {
    if (set?.name !== name) continue;
    for (const { elem } of set.elem ?? []) {
      if (elem?.val === undefined || elem.counter === undefined) continue;
      found.set(elem.val, elem.counter);
    }
  }
  return found;
}

interface ListedSet {
  readonly name: string;
  readonly elem?: readonly {
    readonly elem?: { readonly val?: string; readonly counter?: FastPathCounters };
  }[];
}

/** Bytes of inner packets. */
function innerOf(counted: FastPathCounters | undefined, family: UnderlayFamily): FastPathCounters {
  if (counted === undefined) return { packets: 0, bytes: 0 };
  const { packets, bytes } = counted;
  return { packets, bytes: Math.max(0, bytes - packets * OVERHEAD[family]) };
}
