import { parseIp } from '../core/address.ts';
import { concat, u32 } from '../core/bytes.ts';
import { HostError } from '../ports/host.ts';
import type { AddPair, AddressChange, AddVxlan, Change, PutRoute, RemoveRoute, SetLink } from './changes.ts';
import { readAddress, readDestination } from './ipv4.ts';
import { macBytes } from './mac.ts';
import { LINK_GROUP, ROUTE_PROTOCOL, ROUTE_TABLE, RULE_PRIORITY } from './names.ts';
import type { Request } from './netlink.ts';
import { attribute, FLAGS, nested, numberAttribute, textAttribute, viewOf, words } from './netlink-wire.ts';
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
  VETH,
  VXLAN,
} from './rtnetlink.ts';

const ADD = FLAGS.create | FLAGS.exclusive;
const PUT = FLAGS.create | FLAGS.replace;
const UP = 0x1;
/** RT_SCOPE_…; nowhere: any. */
const SCOPE = { universe: 0, link: 253, nowhere: 255 } as const;
/** RTNH_F_ONLINK */
const ON_LINK = 4;
/** IFA_F_NODAD: usable at once. */
const WITHOUT_DOUBT = 0x2;
/** FR_ACT_TO_TBL */
const TO_TABLE = 1;
/** NTF_SELF: the device's own table. */
const SELF = 0x2;
/** The last metric that a person can still read; any other route to the same network wins. */
const LEAST_PREFERRED = 0xffff_fffe;

/** `index` is that of the link, where it has to be told by that. */
export function requestFor(change: Change, index: number): Request {
  const { do: verb, ...rest } = change;
  return { ...encode(change, index), what: `${verb} ${JSON.stringify(rest)}` };
}

type Encoded = Omit<Request, 'what'>;

function encode(change: Change, index: number): Encoded {
  switch (change.do) {
    case 'add pair':
      return addLink(change, 'veth', [nested(VETH.peer, peerOf(change))]);
    case 'add vxlan':
      return addLink(change, 'vxlan', vxlanOf(change));
    case 'set link':
      return setLink(change);
    case 'remove link':
      return { type: RTM.delLink, body: concat(linkHeader(0), textAttribute(LINK.name, change.link)) };
    case 'add address':
      return { type: RTM.newAddress, flags: ADD, body: addressOf(change, index) };
    case 'put address':
      return { type: RTM.newAddress, flags: PUT, body: addressOf(change, index) };
    case 'remove address':
      return { type: RTM.delAddress, body: addressOf(change, index) };
    case 'put route':
      return putRoute(change, index);
    case 'put guard':
      return putGuard(change.destination);
    case 'remove route':
      return removeRoute(change, index);
    case 'add rule':
      return { type: RTM.newRule, flags: ADD, body: ruleOf(change.destination) };
    case 'remove rule':
      return { type: RTM.delRule, body: ruleOf(change.destination) };
    case 'put neighbour': {
      const { family, bytes } = ipOf(change.address);
      const body = neighbour(family, index, 0, [
        attribute(NEIGHBOUR.address, bytes),
        macAttribute(change.mac),
      ]);
      return { type: RTM.newNeighbour, flags: PUT, body };
    }
    case 'remove neighbour': {
      const { family, bytes } = ipOf(change.address);
      const body = neighbour(family, index, 0, [attribute(NEIGHBOUR.address, bytes)]);
      return { type: RTM.delNeighbour, body };
    }
    case 'put forwarding': {
      const underlay = attribute(NEIGHBOUR.address, ipOf(change.underlay).bytes);
      const body = neighbour(FAMILY.bridge, index, SELF, [macAttribute(change.mac), underlay]);
      return { type: RTM.newNeighbour, flags: PUT, body };
    }
    case 'remove forwarding': {
      const body = neighbour(FAMILY.bridge, index, SELF, [macAttribute(change.mac)]);
      return { type: RTM.delNeighbour, body };
    }
  }
}

/** struct ifinfomsg, without an index: links are told by name. */
function linkHeader(flags: number): Uint8Array {
  return words(0, 0, flags, flags);
}

function addLink(
  { link, mac, mtu }: Pick<AddPair, 'link' | 'mac' | 'mtu'>,
  kind: string,
  data: readonly Uint8Array[],
): Encoded {
  const body = concat(
    linkHeader(0),
    textAttribute(LINK.name, link),
    numberAttribute(LINK.mtu, mtu),
    numberAttribute(LINK.group, LINK_GROUP),
    attribute(LINK.address, macBytes(mac)),
    nested(LINK.info, [textAttribute(LINK_INFO.kind, kind), nested(LINK_INFO.data, data)]),
  );
  return { type: RTM.newLink, flags: ADD, body };
}

function peerOf({ mtu, other, network }: AddPair): readonly Uint8Array[] {
  return [
    linkHeader(0),
    textAttribute(LINK.name, other.link),
    numberAttribute(LINK.mtu, mtu),
    attribute(LINK.address, macBytes(other.mac)),
    ...(network === undefined ? [] : [numberAttribute(LINK.network, network)]),
  ];
}

function vxlanOf({ vni, port, family }: AddVxlan): readonly Uint8Array[] {
  return [
    numberAttribute(VXLAN.id, vni),
    attribute(VXLAN.learning, Uint8Array.of(0)),
    // In the order of the network.
    attribute(VXLAN.port, Uint8Array.of(port >>> 8, port & 255)),
    family === 4 ? attribute(VXLAN.df, Uint8Array.of(1)) : attribute(VXLAN.local6, new Uint8Array(16)),
  ];
}

function setLink({ link, up, mtu, queue, group, alias }: SetLink): Encoded {
  const body = concat(
    linkHeader(up === true ? UP : 0),
    textAttribute(LINK.name, link),
    ...(mtu === undefined ? [] : [numberAttribute(LINK.mtu, mtu)]),
    ...(queue === undefined ? [] : [numberAttribute(LINK.queue, queue)]),
    ...(group === undefined ? [] : [numberAttribute(LINK.group, group)]),
    ...(alias === undefined ? [] : [textAttribute(LINK.alias, alias)]),
  );
  return { type: RTM.setLink, body };
}

/** struct ifaddrmsg */
function addressOf({ address: text, scope, broadcast }: AddressChange, index: number): Uint8Array {
  const [host = '', length = ''] = text.split('/');
  const { family, bytes } = ipOf(host);
  const prefix = Number(length);
  if (!/^[0-9]{1,3}$/.test(length) || prefix > bytes.length * 8)
    throw bad(text, 'an address with its prefix');
  const flags = family === FAMILY.ipv6 ? WITHOUT_DOUBT : 0;
  const header = Uint8Array.of(family, prefix, flags, scope === 'link' ? SCOPE.link : SCOPE.universe);
  return concat(
    header,
    words(index),
    attribute(ADDRESS.local, bytes),
    attribute(ADDRESS.address, bytes),
    ...(broadcast === true ? [attribute(ADDRESS.broadcast, u32(readAddress(text).last))] : []),
  );
}

/** struct rtmsg, and which destination and table. */
function routeTo(
  destination: string,
  {
    scope,
    type,
    table = ROUTE_TABLE,
    flags = 0,
  }: { scope: number; type: number; table?: number; flags?: number },
): Uint8Array {
  const { address, prefix } = readDestination(destination);
  const short = table < 256 ? table : 0;
  return concat(
    Uint8Array.of(FAMILY.ipv4, prefix, 0, 0, short, ROUTE_PROTOCOL, scope, type),
    words(flags),
    attribute(ROUTE.destination, u32(address)),
    numberAttribute(ROUTE.table, table),
  );
}

function typeOf(name: string): number {
  const type = (ROUTE_TYPES as readonly string[]).indexOf(name);
  if (type === -1) throw bad(name, 'a type of routes');
  return type;
}

function putRoute({ destination, gateway, source, mtu }: PutRoute, index: number): Encoded {
  const way = gateway === undefined ? { scope: SCOPE.link } : { scope: SCOPE.universe, flags: ON_LINK };
  const body = concat(
    routeTo(destination, { ...way, type: typeOf('unicast') }),
    numberAttribute(ROUTE.device, index),
    ...(gateway === undefined ? [] : [gatewayAttribute(gateway)]),
    ...(source === undefined ? [] : [attribute(ROUTE.source, ipOf(source).bytes)]),
    ...(mtu === undefined ? [] : [nested(ROUTE.metrics, [numberAttribute(METRIC.mtu, mtu)])]),
  );
  return { type: RTM.newRoute, flags: PUT, body };
}

/** One of the other family is told with it (struct rtvia). */
function gatewayAttribute(gateway: string): Uint8Array {
  const { family, bytes } = ipOf(gateway);
  if (family === FAMILY.ipv4) return attribute(ROUTE.gateway, bytes);
  return attribute(ROUTE.via, concat(Uint8Array.of(family, 0), bytes));
}

function putGuard(destination: string): Encoded {
  const to = routeTo(destination, { scope: SCOPE.universe, type: typeOf('unreachable') });
  const body = concat(to, numberAttribute(ROUTE.priority, LEAST_PREFERRED));
  return { type: RTM.newRoute, flags: PUT, body };
}

function removeRoute({ destination, link, type, table }: RemoveRoute, index: number): Encoded {
  const place = table === undefined ? {} : { table };
  const to = routeTo(destination, { scope: SCOPE.nowhere, type: typeOf(type), ...place });
  const by = link === undefined ? [] : [numberAttribute(ROUTE.device, index)];
  return { type: RTM.delRoute, body: concat(to, ...by) };
}

/** struct fib_rule_hdr */
function ruleOf(destination: string): Uint8Array {
  const { address, prefix } = readDestination(destination);
  return concat(
    Uint8Array.of(FAMILY.ipv4, prefix, 0, 0, ROUTE_TABLE, 0, 0, TO_TABLE),
    words(0),
    attribute(RULE.destination, u32(address)),
    numberAttribute(RULE.priority, RULE_PRIORITY),
    numberAttribute(RULE.table, ROUTE_TABLE),
    attribute(RULE.protocol, Uint8Array.of(ROUTE_PROTOCOL)),
  );
}

/** struct ndmsg */
function neighbour(
  family: number,
  index: number,
  flags: number,
  attributes: readonly Uint8Array[],
): Uint8Array {
  const state = Uint8Array.of(PERMANENT, 0, flags, 0);
  return concat(words(family, index), state, ...attributes);
}

function macAttribute(mac: string): Uint8Array {
  return attribute(NEIGHBOUR.mac, macBytes(mac));
}

function ipOf(text: string): { readonly family: number; readonly bytes: Uint8Array } {
  const parsed = parseIp(text);
  if (!parsed.ok) throw new HostError('bad-request', parsed.message);
  if (parsed.value.family === 4) return { family: FAMILY.ipv4, bytes: u32(parsed.value.value) };
  const bytes = new Uint8Array(16);
  viewOf(bytes).setBigUint64(0, parsed.value.value >> 64n);
  viewOf(bytes).setBigUint64(8, parsed.value.value & 0xffff_ffff_ffff_ffffn);
  return { family: FAMILY.ipv6, bytes };
}

function bad(text: string, what: string): HostError {
  return new HostError('bad-request', `${JSON.stringify(text)} cannot be ${what}`);
}
