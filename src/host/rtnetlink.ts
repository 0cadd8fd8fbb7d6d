/**
 * Numbers of rtnetlink(7) that this program uses: kinds of messages, and attributes of each; from linux/if_link.h, if_addr.h, rtnetlink.h,
 * fib_rules.h and neighbour.h.
 */
export const FAMILY = { any: 0, ipv4: 2, bridge: 7, ipv6: 10 } as const;
export const RTM = {
  newLink: 16,
  delLink: 17,
  getLink: 18,
  setLink: 19,
  newAddress: 20,
  delAddress: 21,
  getAddress: 22,
  newRoute: 24,
  delRoute: 25,
  getRoute: 26,
  newNeighbour: 28,
  delNeighbour: 29,
  getNeighbour: 30,
  newRule: 32,
  delRule: 33,
  getRule: 34,
} as const;
export const LINK = {
  address: 1,
  name: 3,
  mtu: 4,
  link: 5,
  queue: 13,
  info: 18,
  alias: 20,
  counters: 23,
  families: 26,
  group: 27,
  network: 28,
  mask: 29,
} as const;
export const LINK_INFO = { kind: 1, data: 2 } as const;
export const VETH = { peer: 1 } as const;
export const VXLAN = { id: 1, learning: 7, port: 15, local6: 17, df: 29 } as const;
export const ADDRESS = { address: 1, local: 2, broadcast: 4, flags: 8 } as const;
export const ROUTE = {
  destination: 1,
  device: 4,
  gateway: 5,
  priority: 6,
  source: 7,
  metrics: 8,
  table: 15,
  via: 18,
} as const;
export const METRIC = { mtu: 2 } as const;
export const RULE = { destination: 1, priority: 6, table: 15, protocol: 21 } as const;
export const NEIGHBOUR = { address: 1, mac: 2, link: 8 } as const;
export const PERMANENT = 0x80;
export const ROUTE_TYPES = [
  'unspecified',
  'unicast',
  'local',
  'broadcast',
  'anycast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
  'throw',
  'nat',
] as const;
/** RTEXT_FILTER_SKIP_STATS: counters are most of what the kernel tells of a link. */
export const WITHOUT_COUNTERS = 8;
