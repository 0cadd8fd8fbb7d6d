import { formatIpv4, formatIpv6 } from '../core/address.ts';
import { concat } from '../core/bytes.ts';
import { formatMac } from './mac.ts';
import type { Namespace } from './namespace.ts';
import { ask, change, NetlinkError, type Request } from './netlink.ts';
import {
  type Attributes,
  type Message,
  malformed,
  numberAttribute,
  readAttributes,
  readNumber,
  readText,
  textAttribute,
  viewOf,
} from './netlink-wire.ts';
import {
  ADDRESS,
  FAMILY,
  LINK,
  LINK_INFO,
  METRIC,
  NEIGHBOUR,
  PERMANENT,
  ROUTE,
  ROUTE_TYPES,
  RTM,
  RULE,
  VXLAN,
  WITHOUT_COUNTERS,
} from './rtnetlink.ts';

/**
 * What the kernel's tables hold, read by rtnetlink(7): links, addresses, routes, policy rules and neighbours.
 */
export interface LinkState {
  readonly index: number;
  readonly name: string;
  /** `veth`, `tun`, `bridge`, …; absent for hardware and the loopback. */
  readonly kind: string | undefined;
  /** Index of the other end of a veth, in that end's namespace. */
  readonly peer: number | undefined;
  readonly group: number;
  readonly alias: string | undefined;
  readonly mac: string | undefined;
  readonly mtu: number;
  readonly queue: number;
  /** Administratively up. */
  readonly up: boolean;
  /** Up, and the other end too, and the kernel says so to all: up to a second after `signal`, on a busy machine more. */
  readonly carrier: boolean;
  /** Up, and the other end too. */
  readonly signal: boolean;
  /** Of a VXLAN device. */
  readonly vxlan: VxlanState | undefined;
  readonly addresses: readonly LinkAddress[];
  /** IPv6 text, without prefix. */
  readonly addresses6: readonly string[];
}

export interface VxlanState {
  readonly vni: number;
  readonly port: number;
}

/** IPv4 text and length of the prefix. */
export interface LinkAddress {
  readonly local: string;
  readonly prefix: number;
}

/** An IPv4 route. */
export interface RouteState {
  /** `10.32.0.0/12`, `10.32.0.5`, `default`. */
  readonly destination: string;
  /** `unicast`, `unreachable`, …; RTN_… */
  readonly type: string;
  readonly device: string | undefined;
  readonly protocol: number;
  readonly source: string | undefined;
  readonly table: number;
  /** IPv4 or IPv6 text. */
  readonly gateway: string | undefined;
  readonly mtu: number | undefined;
}

/** An IPv4 policy rule that has a destination. */
export interface RuleState {
  readonly destination: string;
  readonly table: number;
  readonly protocol: number;
}

export interface NeighbourState {
  /** Index of the link. */
  readonly link: number;
  /** IPv4 or IPv6 text. */
  readonly address: string;
  readonly mac: string;
}

/** An entry of a device's forwarding table: where what is for an Ethernet address is sent. */
export interface ForwardingState {
  readonly mac: string;
  /** IPv4 or IPv6 text. */
  readonly underlay: string;
}

/** The kernel's table of its own addresses. */
const LOCAL_TABLE = 255;
/** IFF_UP, IFF_RUNNING, IFF_LOWER_UP. */
const UP = 0x1;
const CARRIER = 0x1_0041;
const SIGNAL = 0x1_0001;

/** In struct rtnl_link_stats64. */
const SENT_PACKETS = 8;

const LINKS: Request = {
  type: RTM.getLink,
  body: concat(new Uint8Array(16), numberAttribute(LINK.mask, WITHOUT_COUNTERS)),
  what: 'list links',
};
const ADDRESSES: Request = { type: RTM.getAddress, body: new Uint8Array(8), what: 'list addresses' };
const ROUTES: Request = {
  type: RTM.getRoute,
  body: Uint8Array.of(FAMILY.ipv4, ...new Uint8Array(11)),
  what: 'list routes',
};
const RULES: Request = {
  type: RTM.getRule,
  body: Uint8Array.of(FAMILY.ipv4, ...new Uint8Array(11)),
  what: 'list rules',
};

/** Links with their addresses. */
export async function readLinks(namespace: Namespace): Promise<readonly LinkState[]> {
  return toLinks(await ask(namespace, [LINKS, ADDRESSES]));
}

/** Packets that have left by a link, without a walk over all links; 0 where there is none of the name. */
export async function readSentPackets(namespace: Namespace, link: string): Promise<number> {
  const body = concat(new Uint8Array(16), textAttribute(LINK.name, link));
  try {
    const [[found] = []] = await change(namespace, [
      { type: RTM.getLink, body, what: `show the link ${link}` },
    ]);
    const counters = found === undefined ? undefined : readAttributes(found.body, 16).get(LINK.counters);
    if (counters === undefined) throw malformed('a link without counters');
    return Number(viewOf(counters).getBigUint64(SENT_PACKETS, true));
  } catch (error) {
    if (error instanceof NetlinkError && error.errno === 'ENODEV') return 0;
    throw error;
  }
}

/** Routes of all tables but the kernel's own table of local addresses. */
export async function readRoutes(namespace: Namespace): Promise<readonly RouteState[]> {
  const [, routes] = await readLinksAndRoutes(namespace);
  return routes;
}

/** Both with one visit. */
export async function readLinksAndRoutes(
  namespace: Namespace,
): Promise<readonly [readonly LinkState[], readonly RouteState[]]> {
  const [links = [], addresses = [], routes = []] = await ask(namespace, [LINKS, ADDRESSES, ROUTES]);
  const known = toLinks([links, addresses]);
  const names = new Map(known.map(({ index, name }) => [index, name]));
  return [
    known,
    routes.flatMap((message) => toRoute(message, names)).filter(({ table }) => table !== LOCAL_TABLE),
  ];
}

/** Those without a destination are not ours. */
export async function readRules(namespace: Namespace): Promise<readonly RuleState[]> {
  const [rules = []] = await ask(namespace, [RULES]);
  return rules.flatMap(toRule);
}

/** IPv4 neighbours that do not age, and all links; with one visit. */
export async function readLinksAndNeighbours(
  namespace: Namespace,
): Promise<readonly [readonly LinkState[], readonly NeighbourState[]]> {
  const question = neighboursOf(FAMILY.ipv4, undefined);
  const [links = [], addresses = [], neighbours = []] = await ask(namespace, [LINKS, ADDRESSES, question]);
  return [toLinks([links, addresses]), neighbours.flatMap(toNeighbour)];
}

/** Neighbours on a link that do not age, of both families, and its table of where Ethernet addresses are. */
export async function readEntries(
  namespace: Namespace,
  link: number,
): Promise<readonly [readonly NeighbourState[], readonly ForwardingState[]]> {
  const questions = [neighboursOf(FAMILY.any, link), neighboursOf(FAMILY.bridge, link)];
  const [neighbours = [], forwarding = []] = await ask(namespace, questions);
  const entries = forwarding.flatMap(toNeighbour);
  return [neighbours.flatMap(toNeighbour), entries.map(({ mac, address }) => ({ mac, underlay: address }))];
}

function neighboursOf(family: number, link: number | undefined): Request {
  const header = Uint8Array.of(family, ...new Uint8Array(11));
  const filter = link === undefined ? [] : [numberAttribute(NEIGHBOUR.link, link)];
  return { type: RTM.getNeighbour, body: concat(header, ...filter), what: 'list neighbours' };
}

function toLinks([links = [], addresses = []]: readonly (readonly Message[])[]): readonly LinkState[] {
  const byLink = new Map<number, { readonly v4: LinkAddress[]; readonly v6: string[] }>();
  for (const message of addresses) {
    const { family, prefix, link, local } = toAddress(message);
    const known = byLink.get(link) ?? { v4: [], v6: [] };
    byLink.set(link, known);
    if (local === undefined) continue;
    if (family === FAMILY.ipv4) known.v4.push({ local, prefix });
    if (family === FAMILY.ipv6) known.v6.push(local);
  }
  return links.map((message) => {
    const link = toLink(message);
    const { v4: addresses = [], v6: addresses6 = [] } = byLink.get(link.index) ?? {};
    return { ...link, addresses, addresses6 };
  });
}

export function toLink({ body }: Message): LinkState {
  const attributes = attributesOf(body, 16);
  const view = viewOf(body);
  const flags = view.getUint32(8, true);
  const info = attributes.get(LINK.info);
  const kinds: Attributes = info === undefined ? new Map() : readAttributes(info);
  const kind = textOf(kinds.get(LINK_INFO.kind));
  const peer = readNumber(attributes.get(LINK.link));
  const mac = attributes.get(LINK.address);
  return {
    index: view.getInt32(4, true),
    name: textOf(attributes.get(LINK.name)) ?? '',
    kind,
    peer: peer === 0 ? undefined : peer,
    group: readNumber(attributes.get(LINK.group)) ?? 0,
    alias: textOf(attributes.get(LINK.alias)),
    mac: mac === undefined || mac.length === 0 ? undefined : formatMac(mac),
    mtu: readNumber(attributes.get(LINK.mtu)) ?? 0,
    queue: readNumber(attributes.get(LINK.queue)) ?? 0,
    up: (flags & UP) !== 0,
    carrier: (flags & CARRIER) === CARRIER,
    signal: (flags & SIGNAL) === SIGNAL,
    vxlan: kind === 'vxlan' ? toVxlan(kinds.get(LINK_INFO.data)) : undefined,
    addresses: [],
    addresses6: [],
  };
}

function toVxlan(data: Uint8Array | undefined): VxlanState | undefined {
  if (data === undefined) return undefined;
  const attributes = readAttributes(data);
  const port = attributes.get(VXLAN.port);
  // In the order of the network, as on the wire.
  const wire = port === undefined || port.length < 2 ? 0 : viewOf(port).getUint16(0);
  return { vni: readNumber(attributes.get(VXLAN.id)) ?? 0, port: wire };
}

export function toAddress({ body }: Message) {
  const attributes = attributesOf(body, 8);
  // A link between two points has its own address apart from the other one's.
  const local = attributes.get(ADDRESS.local) ?? attributes.get(ADDRESS.address);
  const [family = 0, prefix = 0] = body;
  return { family, prefix, link: viewOf(body).getUint32(4, true), local: formatAddress(local) };
}

export function toRoute({ body }: Message, names: ReadonlyMap<number, string>): readonly RouteState[] {
  const attributes = attributesOf(body, 12);
  const [family, length = 0, , , table = 0, protocol = 0, , type = 0] = body;
  if (family !== FAMILY.ipv4) return [];
  const device = readNumber(attributes.get(ROUTE.device));
  const via = attributes.get(ROUTE.via)?.subarray(2);
  const metrics = attributes.get(ROUTE.metrics);
  return [
    {
      destination: formatDestination(attributes.get(ROUTE.destination), length),
      type: ROUTE_TYPES[type] ?? String(type),
      device: device === undefined ? undefined : (names.get(device) ?? `link ${device}`),
      protocol,
      source: formatAddress(attributes.get(ROUTE.source)),
      table: readNumber(attributes.get(ROUTE.table)) ?? table,
      gateway: formatAddress(attributes.get(ROUTE.gateway) ?? via),
      mtu: metrics === undefined ? undefined : readNumber(readAttributes(metrics).get(METRIC.mtu)),
    },
  ];
}

export function toRule({ body }: Message): readonly RuleState[] {
  const attributes = attributesOf(body, 12);
  const [family, length = 0, , , table = 0] = body;
  const destination = formatAddress(attributes.get(RULE.destination));
  if (family !== FAMILY.ipv4 || destination === undefined) return [];
  const protocol = attributes.get(RULE.protocol)?.[0] ?? 0;
  const wide = readNumber(attributes.get(RULE.table)) ?? table;
  return [{ destination: `${destination}/${length}`, table: wide, protocol }];
}

/** None for those that age, or are not found yet. */
export function toNeighbour({ body }: Message): readonly NeighbourState[] {
  const attributes = attributesOf(body, 12);
  const view = viewOf(body);
  const address = formatAddress(attributes.get(NEIGHBOUR.address));
  const mac = attributes.get(NEIGHBOUR.mac);
  if (mac === undefined || address === undefined || (view.getUint16(8, true) & PERMANENT) === 0) return [];
  return [{ link: view.getInt32(4, true), address, mac: formatMac(mac) }];
}

/** Behind a header of its own size. */
function attributesOf(body: Uint8Array, header: number): Attributes {
  if (body.length < header) throw malformed('a message');
  return readAttributes(body, header);
}

function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : readText(bytes);
}

function formatDestination(bytes: Uint8Array | undefined, length: number): string {
  if (length === 0) return 'default';
  const address = formatAddress(bytes) ?? '0.0.0.0';
  return length === 32 ? address : `${address}/${length}`;
}

/** Of either family, by its length; undefined for another one. */
function formatAddress(bytes: Uint8Array | undefined): string | undefined {
  if (bytes?.length === 4) return formatIpv4(viewOf(bytes).getUint32(0));
  if (bytes?.length !== 16) return undefined;
  const view = viewOf(bytes);
  return formatIpv6((view.getBigUint64(0) << 64n) | view.getBigUint64(8));
}
