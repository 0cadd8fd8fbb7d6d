import { formatIpv4, parseAddressWithPrefix, parseCidr, quote } from '../../core/address.ts';
import type { EndpointId } from '../../core/ids.ts';
import { overlapping } from '../../core/subnets.ts';
import {
  ENDPOINT_ID,
  type FastPathPlan,
  type Host,
  HostError,
  INTERFACE_NAME,
  type OfferPlan,
  type PluggedEndpoint,
  type PlugPlan,
  RESERVED_INTERFACES,
  type Sandbox,
  STATION_MAC,
} from '../host.ts';

/** A machine that is only a table: it outlives the hosts made on it, as a kernel outlives its daemons. */
export interface MemoryMachine {
  /** `ip netns add`, with the interfaces that it has besides `lo`, and a process in it. */
  addSandbox(name: string, options?: { interfaces?: readonly string[]; process?: number }): void;
  /** The sandbox ends, and every link into it. */
  removeSandbox(name: string): void;
  /** Interfaces besides `lo`; undefined when there is no such sandbox. */
  interfaces(name: string): readonly string[] | undefined;
  /** What Docker does with a link that is offered: it moves it into the sandbox, gives it a name and raises it. */
  takeOffer(link: string, sandbox: string, name: string): void;
  /** Links that are offered and not taken. */
  offers(): readonly string[];
  /** What root inside the sandbox may do to the interface of an endpoint. */
  tamper(endpoint: EndpointId, how: 'down' | 'delete'): void;
  /** A link of Weft's that no state knows, as a lost state file leaves it. */
  addStray(endpoint: EndpointId, sandbox: string, address: string): void;
  /** A route of the machine's own. */
  addRoute(cidr: string): void;
  /** Addresses of the host in the mesh, with prefix. */
  hostAddresses(): readonly string[];
  /** Subnets that are kept apart. */
  networks(): readonly string[];
  /** Whether the mesh's device is there. */
  prepared(): boolean;
  /** @internal for createMemoryHost */
  readonly tables: Tables;
}

interface Tables {
  readonly sandboxes: Map<string, SandboxEntry>;
  readonly links: Map<EndpointId, LinkEntry>;
  readonly routes: string[];
  exposed: readonly string[];
  networks: readonly string[];
  device: boolean;
  fast: FastPathPlan | null;
}

interface SandboxEntry {
  readonly number: number;
  readonly foreign: readonly string[];
  readonly process: number | undefined;
}

interface LinkEntry {
  /** Undefined while it is offered. */
  sandbox: string | undefined;
  /** On the host while it is offered. */
  interface: string;
  readonly mac: string;
  /** Without prefix. */
  readonly address: string;
  up: boolean;
}

export function createMemoryMachine(): MemoryMachine {
  let number = 0;
  const tables: Tables = {
    sandboxes: new Map(),
    links: new Map(),
    routes: [],
    exposed: [],
    device: false,
    fast: null,
    networks: [],
  };
  const { sandboxes, links, routes } = tables;
  return {
    tables,
    addSandbox(name, { interfaces = [], process } = {}) {
      sandboxes.set(name, { number: ++number, foreign: interfaces, process });
    },
    removeSandbox(name) {
      sandboxes.delete(name);
      for (const [endpoint, link] of links) if (link.sandbox === name) links.delete(endpoint);
    },
    interfaces(name) {
      const entry = sandboxes.get(name);
      return entry && interfacesIn(tables, name, entry);
    },
    takeOffer(link, sandbox, name) {
      const offer = [...links.values()].find((one) => one.sandbox === undefined && one.interface === link);
      if (offer === undefined || !sandboxes.has(sandbox)) throw new Error(`${link} or ${sandbox} is missing`);
      Object.assign(offer, { sandbox, interface: name, up: true });
    },
    offers: () =>
      [...links.values()].filter(({ sandbox }) => sandbox === undefined).map((link) => link.interface),
    tamper(endpoint, how) {
      const link = links.get(endpoint);
      if (how === 'delete') links.delete(endpoint);
      else if (link !== undefined) link.up = false;
    },
    addStray(endpoint, sandbox, address) {
      const mac = macOf(parse(`${address}/32`).address);
      links.set(endpoint, { sandbox, interface: 'eth0', address, mac, up: true });
    },
    addRoute: (cidr) => void routes.push(cidr),
    hostAddresses: () => tables.exposed,
    networks: () => tables.networks,
    prepared: () => tables.device,
  };
}

export function createMemoryHost({ tables }: MemoryMachine): Host {
  const { sandboxes, links, routes } = tables;

  function find(text: string): Sandbox & { readonly name: string } {
    for (const [name, { number, process }] of sandboxes) {
      const byProcess = process !== undefined && text === String(process);
      const path = byProcess ? `/proc/${process}/ns/net` : `/run/netns/${name}`;
      if (byProcess || text === name || text === path || text === `/proc/${process}/ns/net`) {
        return { name, path, namespace: `4:${number}`, birth: `boot/${number}` };
      }
    }
    throw new HostError('sandbox-missing', `there is no sandbox ${quote(text)}`);
  }

  function checkFree(address: string, endpoint: EndpointId | undefined): void {
    const taken = [...links].some(([other, link]) => other !== endpoint && link.address === address);
    if (taken) throw new HostError('address-taken', `another endpoint has ${address}`);
  }

  /** The plan's address, when all of the plan can be. */
  function check(plan: OfferPlan): string {
    const address = formatIpv4(parse(plan.address).address);
    if (!ENDPOINT_ID.test(plan.endpoint)) throw bad(plan.endpoint);
    if (plan.mac !== undefined && !STATION_MAC.test(plan.mac)) throw bad(plan.mac);
    checkFree(address, plan.endpoint);
    if (tables.exposed.some((text) => text.startsWith(`${address}/`))) {
      throw new HostError('address-taken', `the host has ${address}`);
    }
    return address;
  }

  function chooseName(plan: PlugPlan, taken: readonly string[]): string {
    if (plan.interface !== undefined) {
      if (!taken.includes(plan.interface)) return plan.interface;
      throw new HostError('interface-taken', `${plan.sandbox} has ${plan.interface} already`);
    }
    let name = 'eth0';
    for (let index = 0; taken.includes(name); index++) name = `weft${index}`;
    return name;
  }

  return {
    async prepare(plan) {
      const range = parse(plan.range);
      const route = routes.find((text) => parse(text).start <= range.last && range.start <= parse(text).last);
      if (route !== undefined)
        throw new HostError('range-overlap', `${plan.range} overlaps ${route}: --range`);
      tables.device = true;
    },
    async locate(text) {
      const { path, namespace, birth } = find(text);
      return { path, namespace, birth };
    },
    async plug(plan) {
      const address = check(plan);
      if (!isInterfaceName(plan.interface ?? 'eth0')) throw bad(String(plan.interface));
      const { name: sandbox, path: sandboxPath } = find(plan.sandbox);
      const old = links.get(plan.endpoint);
      const mac = plan.mac ?? macOf(parse(plan.address).address);
      const same = old?.sandbox === sandbox && old.address === address && old.mac === mac;
      const keep = same && (plan.interface ?? old.interface) === old.interface;
      const taken = interfacesIn(tables, sandbox, sandboxes.get(sandbox) as SandboxEntry);
      const others = taken.filter((name) => old?.sandbox !== sandbox || name !== old.interface);
      const name = keep ? old.interface : chooseName(plan, others);
      links.set(plan.endpoint, { sandbox, interface: name, address, mac, up: true });
      return { sandboxPath, interface: name, mac, hostLink: nameOf('wft', plan.endpoint) };
    },
    async offerLink(plan) {
      const address = check(plan);
      const [link, hostLink] = [nameOf('wfo', plan.endpoint), nameOf('wft', plan.endpoint)];
      const mac = plan.mac ?? macOf(parse(plan.address).address);
      links.set(plan.endpoint, { sandbox: undefined, interface: link, address, mac, up: false });
      return { link, mac, hostLink };
    },
    async unplug(endpoint) {
      links.delete(endpoint);
    },
    async plugged() {
      return [...links].map(([endpoint, { up }]): PluggedEndpoint => {
        return { endpoint, hostLink: nameOf('wft', endpoint), up };
      });
    },
    async admitForwarding() {},
    async setHostAddresses(addresses) {
      for (const { address } of addresses) checkFree(formatIpv4(parse(address).address), undefined);
      tables.exposed = addresses.map(({ address }) => address);
    },
    async setFastPath(plan) {
      if (!tables.device) throw new HostError('command-failed', 'the mesh is not prepared on this host yet');
      tables.fast = plan;
    },
    async fastPath() {
      if (tables.fast === null) return null;
      const none = { packets: 0, bytes: 0 };
      const peers = tables.fast.peers.map(({ underlay, mac, mtu }) => {
        return { underlay, mac, mtu, sent: none, received: none };
      });
      return { peers };
    },
    fastPathSent: async () => 0,
    guard: async () => async () => undefined,
    async setNetworks(subnets) {
      const parsed = subnets.map((text) => readSubnet(text));
      if (overlapping(parsed) !== undefined) throw new HostError('bad-request', 'two subnets overlap');
      tables.networks = [...subnets].sort();
    },
    async restore() {
      const found = links.size > 0 || tables.device;
      links.clear();
      tables.fast = null;
      tables.exposed = [];
      tables.networks = [];
      tables.device = false;
      return found;
    },
  };
}

function interfacesIn(tables: Tables, name: string, entry: SandboxEntry): readonly string[] {
  const plugged = [...tables.links.values()].filter(({ sandbox }) => sandbox === name);
  return [...entry.foreign, ...plugged.map((link) => link.interface)].sort();
}

function readSubnet(text: string) {
  const parsed = parseCidr(text);
  if (!parsed.ok) throw new HostError('bad-request', parsed.message);
  return parsed.value;
}

function parse(text: string) {
  const parsed = parseAddressWithPrefix(text);
  if (!parsed.ok) throw new HostError('bad-request', parsed.message);
  return parsed.value;
}

/** As long as the kernel's names may be; two endpoints with the same start are not told apart here. */
function nameOf(start: string, endpoint: EndpointId): string {
  return `${start}-${endpoint}`.slice(0, 15);
}

function isInterfaceName(text: string): boolean {
  return INTERFACE_NAME.test(text) && !RESERVED_INTERFACES.includes(text);
}

function bad(text: string): HostError {
  return new HostError('bad-request', `${quote(text)} is not a name`);
}

function macOf(address: number): string {
  const octets = formatIpv4(address).split('.');
  return ['02', '57', ...octets.map((octet) => Number(octet).toString(16).padStart(2, '0'))].join(':');
}
