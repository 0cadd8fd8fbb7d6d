import { type Cidr, formatCidr } from '../core/address.ts';
import { edgesOf, piecesOf } from '../core/path.ts';
import {
  FAST_PATH_DEVICES,
  type FastPathPeerState,
  type FastPathPlan,
  type FastPathState,
  HostError,
  type UnderlayFamily,
  underlayFamily,
} from '../ports/host.ts';
import { anchorOf, DEVICE_SYSCTLS, sysctlsFor } from './device.ts';
import { gatewayOf, readForwarding, readNeighbours, readRows, setEntries } from './fast-path-entries.ts';
import { ADMITTED_MARK, type Admission, innerOf } from './firewall-vxlan.ts';
import { batch } from './iproute.ts';
import { FAST_PATH_ALIAS, LINK_GROUP, ROUTE_PROTOCOL, ROUTE_TABLE } from './names.ts';
import type { Namespace } from './namespace.ts';
import { sourceFor } from './routes.ts';
import type { Shortcut } from './shortcut.ts';

/**
 * The fast path in the kernel: a VXLAN device for each family of underlay addresses, which learns nothing and knows its peers by permanent
 * entries, and routes by it. That of IPv6 is there while a peer needs it.
 *
 *   10.40.0.0/13 via 192.0.2.7 dev weft-vxlan onlink     the gateway is only a name for the peer: its underlay address
 *   192.0.2.7 lladdr 06:…                                 neighbour: name → the peer's MAC
 *   06:… dst 192.0.2.7                                    forwarding entry: MAC → where its device is
 *
 *   10.40.0.0/13 via inet6 fe80::7 dev weft-vxlan6 onlink where that address is IPv6: the name is the peer's link-local address
 *
 * Order of a change: devices → routes that go → admission → entries → routes that come.
 */
const FAMILIES: readonly UnderlayFamily[] = [4, 6];
/** Outer packets are never cut into fragments: probes are to find what passes whole. Those of IPv6 are not in any case. */
const OPTIONS: Readonly<Record<UnderlayFamily, readonly string[]>> = {
  4: ['nolearning', 'df', 'set'],
  6: ['nolearning', 'local', '::'],
};
/** IPv6 is for probes, and the kernel takes it from a device with less than 1280. Routes say what may be sent. */
const DEVICE_MTU = '65485';
/**
 * Where the kernel has no programs as shortcut.ts loads them: drops what has not our table's mark, in classic BPF (bpf(4) of BSD, linux/filter.h): load the mark (SKF_AD_OFF + SKF_AD_MARK), equal →
 * TC_ACT_OK, else → TC_ACT_SHOT. It is no part of nftables, so that who flushes those closes the fast path.
 */
const GATE = `4,32 0 0 4294963220,21 0 1 ${Number(ADMITTED_MARK)},6 0 0 0,6 0 0 2`;

const SYSCTLS: Readonly<Record<string, string>> = {
  ...DEVICE_SYSCTLS,
  'ipv6/conf/@/disable_ipv6': '0',
  'ipv6/conf/@/forwarding': '0',
  'ipv6/conf/@/accept_dad': '0',
  'ipv6/conf/@/router_solicitations': '0',
};

/** Sources are checked before anything is unpacked, so that the kernel need not look each one up; where it must for all links, it is loose. */
const UNFILTERED: Readonly<Record<string, string>> = {
  'ipv4/conf/@/rp_filter': '0',
  'ipv4/conf/@/accept_local': '1',
};

export interface FastPathParts {
  readonly host: Namespace;
  readonly admission: Admission;
  readonly range: Cidr;
  /** The host's own addresses in the mesh, each with its network. */
  readonly exposed: readonly Cidr[];
  /** Subnets that are kept apart. */
  readonly apart: readonly Cidr[];
  readonly gate: Pick<Shortcut, 'guard' | 'release'>;
}

export async function raiseFastPath(parts: FastPathParts, plan: FastPathPlan): Promise<void> {
  const { host, admission } = parts;
  const families = FAMILIES.filter((family) => family === 4 || peersOf(plan, family).length > 0);
  let byProgram = false;
  for (const family of families) {
    const checks = await prepareDevice(parts, family, plan);
    if (family === 4) byProgram = checks;
  }
  const wanted = wantedRoutes(plan, parts);
  await batch(host, goingRoutes(wanted, await readRoutes(host)));
  await admission.raise(plan, byProgram);
  for (const family of families) await setEntries(host, FAST_PATH_DEVICES[family], peersOf(plan, family));
  await batch(host, comingRoutes(wanted, await readRoutes(host)));
  for (const family of FAMILIES) if (!families.includes(family)) await removeDevice(host, family);
}

/** Whether there was one. */
export async function removeFastPath(host: Namespace, admission: Admission): Promise<boolean> {
  const found = [];
  for (const family of FAMILIES) found.push(await removeDevice(host, family));
  await admission.remove();
  return found.includes(true);
}

export async function readFastPath(host: Namespace, admission: Admission): Promise<FastPathState | null> {
  if ((await readDevice(host, 4))?.ours !== true) return null;
  const [routes, counters] = await Promise.all([readRoutes(host), admission.counters()]);
  const peers: FastPathPeerState[] = [];
  for (const family of FAMILIES) {
    const device = FAST_PATH_DEVICES[family];
    const names = await readNeighbours(host, device);
    for (const { mac, underlay } of await readForwarding(host, device)) {
      const route = routes.find((one) => one.device === device && names.get(one.gateway) === mac);
      const sent = innerOf(counters.sent.get(underlay), family);
      const received = innerOf(counters.received.get(underlay), family);
      peers.push({ mac, underlay, mtu: route?.mtu ?? null, sent, received });
    }
  }
  return { peers };
}

/** Packets that left by the devices. */
export async function readSent(host: Namespace): Promise<number> {
  const counts = FAMILIES.map(async (family) => {
    const path = `/sys/class/net/${FAST_PATH_DEVICES[family]}/statistics/tx_packets`;
    return Number(await host.run(['cat', path]).catch(() => 0));
  });
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

/** Lines that give the routes the host's present addresses as source; run before an address goes. */
export async function fastPathSources(
  parts: Pick<FastPathParts, 'host' | 'range' | 'exposed'>,
  plan: FastPathPlan,
): Promise<readonly Line[]> {
  return comingRoutes(wantedRoutes(plan, parts), await readRoutes(parts.host));
}

function peersOf({ peers }: FastPathPlan, family: UnderlayFamily): FastPathPlan['peers'] {
  return peers.filter(({ underlay }) => underlayFamily(underlay) === family);
}

type Line = readonly string[];

interface DeviceState {
  readonly index: number;
  readonly ours: boolean;
  readonly up: boolean;
  readonly mac: string;
  readonly vni: number;
  readonly port: number;
  readonly linkLocal: readonly string[];
}

async function readDevice(host: Namespace, family: UnderlayFamily): Promise<DeviceState | undefined> {
  const rows = await readRows(host, [
    'ip',
    '-json',
    '-details',
    'address',
    'show',
    'group',
    String(LINK_GROUP),
  ]);
  const row = rows.find(({ ifname }) => ifname === FAST_PATH_DEVICES[family]);
  if (row === undefined) return undefined;
  const info = (row.linkinfo ?? {}) as { info_kind?: string; info_data?: { id?: number; port?: number } };
  const addresses = (row.addr_info ?? []) as readonly { family: string; local: string }[];
  return {
    index: Number(row.ifindex),
    ours: info.info_kind === 'vxlan' && row.ifalias === FAST_PATH_ALIAS,
    up: (row.flags as readonly string[]).includes('UP'),
    mac: String(row.address),
    vni: Number(info.info_data?.id),
    port: Number(info.info_data?.port),
    linkLocal: addresses.filter(({ family }) => family === 'inet6').map(({ local }) => local),
  };
}

/** Whether there was one. */
async function removeDevice(host: Namespace, family: UnderlayFamily): Promise<boolean> {
  if ((await readDevice(host, family))?.ours !== true) return false;
  await batch(host, [['link', 'del', 'dev', FAST_PATH_DEVICES[family]]]);
  return true;
}

/** Whether sources are checked by a program at the device. */
async function prepareDevice(
  parts: FastPathParts,
  family: UnderlayFamily,
  plan: FastPathPlan,
): Promise<boolean> {
  const { host } = parts;
  const { mac, vni, port, linkLocal } = plan;
  const device = FAST_PATH_DEVICES[family];
  let there = await readDevice(host, family);
  if (there?.ours === true && (there.mac !== mac || there.vni !== vni || there.port !== port)) {
    await batch(host, [['link', 'del', 'dev', device]]);
    there = undefined;
  }
  if (there?.ours !== true) {
    await makeDevice(host, family, plan);
    there = await readDevice(host, family);
  }
  const byProgram = await closeGate(parts, family, plan, there?.index ?? 0);
  const forAll = await host.run(['cat', '/proc/sys/net/ipv4/conf/all/rp_filter']);
  const filters = forAll.trim() === '0' ? UNFILTERED : {};
  await host.setSysctls(sysctlsFor(device, { ...SYSCTLS, ...filters }, Number(DEVICE_MTU)));
  if (there?.up !== true) await batch(host, [['link', 'set', 'dev', device, 'up']]);
  if (there?.linkLocal.includes(linkLocal) !== true) {
    await batch(host, [anchorOf(device), ['address', 'replace', `${linkLocal}/64`, 'dev', device, 'nodad']]);
  }
  return byProgram;
}

/** What is of our group and name and has no alias was not finished. */
async function makeDevice(
  host: Namespace,
  family: UnderlayFamily,
  { mac, vni, port }: FastPathPlan,
): Promise<void> {
  const device = FAST_PATH_DEVICES[family];
  if ((await readDevice(host, family)) !== undefined) await batch(host, [['link', 'del', 'dev', device]]);
  const own = ['address', mac, 'group', String(LINK_GROUP), 'mtu', DEVICE_MTU];
  const type = ['type', 'vxlan', 'id', String(vni), 'dstport', String(port), ...OPTIONS[family]];
  try {
    await batch(host, [
      ['link', 'add', 'dev', device, ...own, ...type],
      ['link', 'set', 'dev', device, 'alias', FAST_PATH_ALIAS],
    ]);
  } catch (error) {
    if (!(error instanceof HostError) || !/File exists/.test(error.message)) throw error;
    throw new HostError(
      'device-taken',
      `another link is called ${device}, or another VXLAN device has VNI ${vni} on port ${port}: choose another with --vxlan-vni`,
    );
  }
}

/** Our program knows a sender by a mark of 32 bits, so over IPv6 the table looks inside. */
async function closeGate(
  { host, gate, apart }: FastPathParts,
  family: UnderlayFamily,
  plan: FastPathPlan,
  index: number,
): Promise<boolean> {
  const device = FAST_PATH_DEVICES[family];
  const there = await host.run(['tc', 'filter', 'show', 'dev', device, 'ingress']);
  const closed = there.includes(`direct-action`) && there.includes(`'${GATE}'`);
  if (family === 4 && gate.guard(index, plan, apart)) {
    if (closed) await host.run(['tc', 'qdisc', 'del', 'dev', device, 'clsact']);
    return true;
  }
  const filter = ['dev', device, 'ingress', 'protocol', 'all', 'prio', '1', 'handle', '1'];
  if (!closed) {
    await host.run(['tc', 'qdisc', 'replace', 'dev', device, 'clsact']);
    await host.run(['tc', 'filter', 'replace', ...filter, 'bpf', 'bytecode', GATE, 'direct-action']);
  }
  gate.release(index);
  return false;
}

interface Route {
  readonly destination: string;
  readonly device: string;
  readonly gateway: string;
  readonly mtu: number;
  readonly source: string | undefined;
}

async function readRoutes(host: Namespace): Promise<readonly Route[]> {
  const devices = Object.values(FAST_PATH_DEVICES);
  const rows = await readRows(host, ['ip', '-json', '-4', 'route', 'show', 'table', String(ROUTE_TABLE)]);
  return rows.flatMap(({ dst, dev, gateway, via, metrics, prefsrc }) => {
    const to = gateway ?? (via as { host?: unknown } | undefined)?.host;
    if (typeof dst !== 'string' || typeof dev !== 'string' || typeof to !== 'string') return [];
    if (!devices.includes(dev)) return [];
    const [metric] = (metrics ?? []) as readonly { mtu?: number }[];
    const source = typeof prefsrc === 'string' ? prefsrc : undefined;
    return [{ destination: dst, device: dev, gateway: to, mtu: metric?.mtu ?? 0, source }];
  });
}

/**
 * Each block lies inside one network that the host has an address in, or in none, and is narrower than any route by the TUN device:
 * so it wins over that one and has the right source.
 */
function wantedRoutes(
  { peers }: FastPathPlan,
  { range, exposed }: Pick<FastPathParts, 'range' | 'exposed'>,
): readonly Route[] {
  const taken = [range, ...exposed];
  const edges = edgesOf(exposed);
  return peers.flatMap((peer) => {
    const { underlay, ranges, mtu } = peer;
    if (mtu === null) return [];
    return piecesOf(ranges, edges, taken).map((block) => ({
      destination:
        block.prefix === 32
          ? formatCidr(block.start, 32).slice(0, -3)
          : formatCidr(block.start, block.prefix),
      device: FAST_PATH_DEVICES[underlayFamily(underlay)],
      gateway: gatewayOf(peer),
      mtu,
      source: sourceFor(block.start, exposed),
    }));
  });
}

const OURS = ['proto', String(ROUTE_PROTOCOL), 'table', String(ROUTE_TABLE)];

function goingRoutes(wanted: readonly Route[], current: readonly Route[]): readonly Line[] {
  const kept = new Set(wanted.map(({ destination }) => destination));
  return current
    .filter(({ destination }) => !kept.has(destination))
    .map(({ destination, device }) => ['route', 'del', destination, 'dev', device, ...OURS]);
}

function comingRoutes(wanted: readonly Route[], current: readonly Route[]): readonly Line[] {
  const there = new Set(current.map((route) => JSON.stringify(route)));
  return wanted
    .filter((route) => !there.has(JSON.stringify(route)))
    .map(({ destination, device, gateway, mtu, source }) => {
      const via = gateway.includes(':') ? ['inet6', gateway] : [gateway];
      const way = ['via', ...via, 'dev', device, 'onlink', ...OURS, 'mtu', String(mtu)];
      return ['route', 'replace', destination, ...way, ...(source === undefined ? [] : ['src', source])];
    });
}
