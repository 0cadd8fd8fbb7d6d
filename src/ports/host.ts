import type { Range } from '../core/address.ts';
import type { EndpointId } from '../core/ids.ts';

/**
 * This machine's links, routes and sysctls. The real one is host/linux.ts; the twin is ports/memory/host.ts.
 * Every method says what is wanted; the adapter looks at what is there and changes the difference, so each may be repeated
 * after a crash at any point. Errors are HostError.
 */
export interface Host {
  /** The mesh's device, the route of its whole range, and the firewall. Refuses when the range overlaps a route that is not ours. */
  prepare(plan: MeshPlan): Promise<void>;
  /** Connects one sandbox: veth pair, address, routes, proxy ARP. `prepare` comes first. */
  plug(plan: PlugPlan): Promise<PlugResult>;
  /**
   * Makes an endpoint's link for somebody else to move into a sandbox: both ends stand on the host, its own end as after `plug`. An
   * offer that nobody has taken yet stays as it is; any other link of the endpoint is replaced. `prepare` comes first.
   */
  offerLink(plan: OfferPlan): Promise<OfferedLink>;
  /** Says which sandbox a text means, without touching it. Rejects with `sandbox-missing` when there is none. */
  locate(sandbox: string): Promise<Sandbox>;
  /** Undoes `plug` and `offerLink`, wherever the link is; fine when the sandbox or the link are gone already. */
  unplug(endpoint: EndpointId): Promise<void>;
  /** What is plugged in now, read from the kernel. */
  plugged(): Promise<readonly PluggedEndpoint[]>;
  /**
   * Lets packets between addresses of the mesh through the machine's FORWARD chain where somebody, such as Docker, has closed it. To be
   * repeated: whoever closes it tells nobody. `prepare` comes first.
   */
  admitForwarding(): Promise<void>;
  /** The addresses that the host itself has in the mesh (`weft expose`), on the mesh's device. `prepare` comes first. */
  setHostAddresses(addresses: readonly HostAddress[]): Promise<void>;
  /**
   * The kernel's own path to some peers, as a whole; null: none. What is there already stays without a gap, routes come last and go
   * first. `prepare` comes first.
   */
  setFastPath(plan: FastPathPlan | null): Promise<void>;
  /** What there is of it, read from the kernel, also when an earlier life made it; null: no device. */
  fastPath(): Promise<FastPathState | null>;
  /** Packets that have left by its device since that was made; 0 without one. Cheap. */
  fastPathSent(): Promise<number>;
  /**
   * Subnets that are kept apart, as CIDR, all of them each time: who has an address in one talks only inside of it, except with this host
   * itself. In one step, and before any later `plug`: one is refused as long as this has failed. What an earlier life set stays in force
   * until the first call.
   */
  setNetworks(subnets: readonly string[]): Promise<void>;
  /**
   * From now on puts back what others take away from the firewall, and keeps networks apart even while it is away, until the returned
   * function is called or this process ends. Rules that are there stay.
   */
  guard(): Promise<() => Promise<void>>;
  /**
   * Removes everything that any of the above made and puts back every sysctl; whether there was any link. Refuses, like `prepare`, with
   * `machine-in-use` while another daemon holds its device in this network namespace: what is there is that one's.
   */
  restore(): Promise<boolean>;
}

/** Endpoint ids become part of a link's alias (at most 255 bytes) and of lines for `ip`. */
export const ENDPOINT_ID = /^[A-Za-z0-9][\w.:-]{0,127}$/;
/** Narrower than dev_valid_name() of the kernel: what no tool stumbles over. 15 = IFNAMSIZ - 1. */
export const INTERFACE_NAME = /^[A-Za-z0-9_][\w.-]{0,14}$/;
/** Interface names that fit the pattern and are none: entries of /proc/sys/net/ipv4/conf that are no link, and the loopback. */
export const RESERVED_INTERFACES: readonly string[] = ['all', 'default', 'lo'];

export interface MeshPlan {
  /** Name of the TUN device. */
  readonly device: string;
  /** CIDR of the mesh's range, e.g. `10.32.0.0/12`. */
  readonly range: string;
  /** Bytes of an inner packet. */
  readonly mtu: number;
}

export interface Sandbox {
  /** Absolute path by which it can be found again; for a process, its /proc path. */
  readonly path: string;
  /** Equal for two sandboxes that exist at the same time exactly when they are one network namespace. */
  readonly namespace: string;
  /** With `path` and `namespace` equal, this tells the sandbox from a later one that took its place, also after a reboot. */
  readonly birth: string;
}

/** An Ethernet address of one station (IEEE 802: the lowest bit of the first byte is the group's), in lower case. */
export const STATION_MAC = /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/;

interface LinkPlan {
  readonly endpoint: EndpointId;
  /** Address with the network's prefix, e.g. `10.32.0.5/12`. */
  readonly address: string;
  readonly mtu: number;
  /** Of the sandbox's end; absent: one made from the address. */
  readonly mac?: string;
}

export type OfferPlan = LinkPlan;

export interface OfferedLink {
  /** Name, on the host, of the end that is to be moved. */
  readonly link: string;
  readonly mac: string;
  /** Name of the link's end on the host. */
  readonly hostLink: string;
}

export interface PlugPlan extends LinkPlan {
  /** A named network namespace (`ip netns`), a path to one, or the decimal id of a process inside it. */
  readonly sandbox: string;
  /** Name of the interface inside; absent: the first of `eth0`, `weft0`, `weft1`, … that is not taken. */
  readonly interface?: string;
}

export interface PlugResult {
  /** Absolute path by which the sandbox can be found again; for a process, its /proc path. */
  readonly sandboxPath: string;
  readonly interface: string;
  readonly mac: string;
  /** Name of the link's end on the host. */
  readonly hostLink: string;
}

export interface PluggedEndpoint {
  readonly endpoint: EndpointId;
  readonly hostLink: string;
  /** False when the sandbox's end is down or the host's route to it is missing; a `plug` puts both right. */
  readonly up: boolean;
}

export interface HostAddress {
  /** With the network's prefix. */
  readonly address: string;
}

/** Of the addresses that hosts have on the network between them. */
export type UnderlayFamily = 4 | 6;

/** `underlay`: an address as text. */
export function underlayFamily(underlay: string): UnderlayFamily {
  return underlay.includes(':') ? 6 : 4;
}

/**
 * Names of the VXLAN devices, one for each family of what is outside: a device of Linux has one. One daemon works in a network namespace,
 * so there are no more.
 */
export const FAST_PATH_DEVICES: Readonly<Record<UnderlayFamily, string>> = {
  4: 'weft-vxlan',
  6: 'weft-vxlan6',
};

export function isFastPathDevice(name: string): boolean {
  return Object.values(FAST_PATH_DEVICES).includes(name);
}
/** UDP port inside the device where probes are answered. */
export const PROBE_PORT = 6784;

export interface FastPathPlan {
  /** 24 bits. */
  readonly vni: number;
  /** UDP port on the underlay. */
  readonly port: number;
  readonly mac: string;
  /** IPv6 link-local address of this host on each device, for probes. */
  readonly linkLocal: string;
  /** Addresses that packets may come to. */
  readonly own: readonly Range[];
  readonly peers: readonly FastPathPeer[];
}

export interface FastPathPeer {
  /** IPv4 or IPv6 text; packets from elsewhere are dropped before they are unpacked. */
  readonly underlay: string;
  readonly mac: string;
  readonly linkLocal: string;
  /** Addresses that belong to the peer, sorted and coalesced. Packets from it with another source are dropped. */
  readonly ranges: readonly Range[];
  /** Bytes of an inner packet: packets for `ranges` take this path. Null: it is only open, nothing takes it. */
  readonly mtu: number | null;
}

export interface FastPathState {
  readonly peers: readonly FastPathPeerState[];
}

export interface FastPathPeerState {
  readonly underlay: string;
  readonly mac: string;
  /** Of its routes; null when it has none. */
  readonly mtu: number | null;
  readonly sent: FastPathCounters;
  readonly received: FastPathCounters;
}

/** Inner packets and bytes; large segments count as one packet where the kernel carries them whole. */
export interface FastPathCounters {
  readonly packets: number;
  readonly bytes: number;
}

export type HostErrorCode =
  /** A name, an address or an MTU that cannot be one. */
  | 'bad-request'
  | 'not-root'
  | 'no-tun'
  | 'tool-missing'
  | 'range-overlap'
  | 'sandbox-missing'
  | 'interface-taken'
  | 'address-taken'
  | 'device-taken'
  /** Another daemon works in this network namespace. */
  | 'machine-in-use'
  | 'command-failed';

export class HostError extends Error {
  readonly code: HostErrorCode;
  constructor(code: HostErrorCode, message: string) {
    super(message);
    this.name = 'HostError';
    this.code = code;
  }
}
