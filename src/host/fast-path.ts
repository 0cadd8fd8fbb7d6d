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
import { apply, type Change } from './changes.ts';
import { anchorOf, DEVICE_SYSCTLS, sysctlsFor } from './device.ts';
import { countedFor } from './fast-path-counts.ts';
import { gatewayOf, setEntries } from './fast-path-entries.ts';
import { ADMITTED_MARK, type Admission } from './firewall-vxlan.ts';
import { removeLink } from './links.ts';
import { FAST_PATH_ALIAS, LINK_GROUP, ROUTE_TABLE } from './names.ts';
import type { Namespace } from './namespace.ts';
import { NetlinkError } from './netlink.ts';
import { sourceFor } from './routes.ts';
import type { Shortcut } from './shortcut.ts';
import {
  type LinkState,
  type RouteState,
  readEntries,
  readLinks,
  readLinksAndRoutes,
  readRoutes,
  readSentPackets,
} from './tables.ts';

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
/** IPv6 is for probes, and the kernel takes it from a device with less than 1280. Routes say what may be sent. */
const DEVICE_MTU = 65_485;
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
  const devices = [];
  for (const family of families) devices.push({ family, ...(await prepareDevice(parts, family, plan)) });
  const byProgram = devices.some((device) => device.family === 4 && device.byProgram);
  const wanted = wantedRoutes(plan, parts);
  await apply(host, goingRoutes(wanted, await readMeshRoutes(host)));
  await admission.raise(plan, byProgram);
  for (const { family, device } of devices) await setEntries(host, device, peersOf(plan, family));
  await apply(host, comingRoutes(wanted, await readMeshRoutes(host)));
  for (const family of FAMILIES) if (!families.includes(family)) await removeDevice(host, family);
}

/** Whether there was one. */
export async function removeFastPath(host: Namespace, admission: Admission): Promise<boolean> {
  const found = [];
  for (const family of FAMILIES) found.push(await removeDevice(host, family));
  await admission.remove();
  return found.includes(true);
}

export async function readFastPath(
  host: Namespace,
  admission: Pick<Admission, 'counts'>,
  gate: Pick<Shortcut, 'counts'>,
): Promise<FastPathState | null> {
  const [links, routes] = await readLinksAndRoutes(host);
  const devices = FAMILIES.map((family) => ({ family, device: deviceIn(links, family) }));
  if (!devices.some(({ family, device }) => family === 4 && isOurs(device))) return null;
  const ways = ownRoutes(routes);
  const counts = [await admission.counts(), gate.counts()];
  const peers: FastPathPeerState[] = [];
  for (const { device } of devices) {
    if (device === undefined) continue;
    const [neighbours, forwarding] = await readEntries(host, device.index);
    const names = new Map(neighbours.map(({ address, mac }) => [address, mac]));
    for (const { mac, underlay } of forwarding) {
      const route = ways.find((one) => one.device === device.name && names.get(one.gateway) === mac);
      peers.push({ mac, underlay, mtu: route?.mtu ?? null, ...countedFor(underlay, counts) });
    }
  }
  return { peers };
}

/** Packets that left by the devices. */
export async function readSent(host: Namespace): Promise<number> {
  const counts = FAMILIES.map((family) => readSentPackets(host, FAST_PATH_DEVICES[family]));
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

/** Changes that give the routes the host's present addresses as source; run before an address goes. */
export async function fastPathSources(
  parts: Pick<FastPathParts, 'host' | 'range' | 'exposed'>,
  plan: FastPathPlan,
): Promise<readonly Change[]> {
  return comingRoutes(wantedRoutes(plan, parts), await readMeshRoutes(parts.host));
}

function peersOf({ peers }: FastPathPlan, family: UnderlayFamily): FastPathPlan['peers'] {
  return peers.filter(({ underlay }) => underlayFamily(underlay) === family);
}

function deviceIn(links: readonly LinkState[], family: UnderlayFamily): LinkState | undefined {
  return links.find(({ name, group }) => name === FAST_PATH_DEVICES[family] && group === LINK_GROUP);
}

async function readDevice(host: Namespace, family: UnderlayFamily): Promise<LinkState | undefined> {
  return deviceIn(await readLinks(host), family);
}

/** What is of our group and name and has no alias was not finished. */
function isOurs(device: LinkState | undefined): boolean {
  return device?.kind === 'vxlan' && device.alias === FAST_PATH_ALIAS;
}

/** Whether there was one. */
async function removeDevice(host: Namespace, family: UnderlayFamily): Promise<boolean> {
  if (!isOurs(await readDevice(host, family))) return false;
  await removeLink(host, FAST_PATH_DEVICES[family]);
  return true;
}

/** `byProgram`: whether sources are checked by a program at the device. */
async function prepareDevice(
  parts: FastPathParts,
  family: UnderlayFamily,
  plan: FastPathPlan,
): Promise<{ readonly device: LinkState; readonly byProgram: boolean }> {
  const { host } = parts;
  const { mac, vni, port, linkLocal } = plan;
  const link = FAST_PATH_DEVICES[family];
  let there = await readDevice(host, family);
  const same = there?.mac === mac && there.vxlan?.vni === vni && there.vxlan.port === port;
  if (!isOurs(there) || !same) {
    if (there !== undefined) await removeLink(host, link);
    await makeDevice(host, family, plan);
    there = await readDevice(host, family);
  }
  if (there === undefined) throw new HostError('command-failed', `somebody has removed the link ${link}`);
  const byProgram = await closeGate(parts, family, plan, there.index);
  const forAll = await host.run(['cat', '/proc/sys/net/ipv4/conf/all/rp_filter']);
  const filters = forAll.trim() === '0' ? UNFILTERED : {};
  await host.setSysctls(sysctlsFor(link, { ...SYSCTLS, ...filters }, DEVICE_MTU));
  if (!there.up) await apply(host, [{ do: 'set link', link, up: true }]);
  if (!there.addresses6.includes(linkLocal)) {
    await apply(host, [anchorOf(link), { do: 'put address', link, address: `${linkLocal}/64` }]);
  }
  return { device: there, byProgram };
}

async function makeDevice(
  host: Namespace,
  family: UnderlayFamily,
  { mac, vni, port }: FastPathPlan,
): Promise<void> {
  const link = FAST_PATH_DEVICES[family];
  try {
    await apply(host, [
      { do: 'add vxlan', link, mac, mtu: DEVICE_MTU, vni, port, family },
      { do: 'set link', link, alias: FAST_PATH_ALIAS },
    ]);
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.errno !== 'EEXIST') throw error;
    throw new HostError(
      'device-taken',
      `another link is called ${link}, or another VXLAN device has VNI ${vni} on port ${port}: choose another with --vxlan-vni`,
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
  if (family === 4 && (await gate.guard(index, plan, apart))) {
    if (closed) await host.run(['tc', 'qdisc', 'del', 'dev', device, 'clsact']);
    return true;
  }
  const filter = ['dev', device, 'ingress', 'protocol', 'all', 'prio', '1', 'handle', '1'];
  if (!closed) {
    await host.run(['tc', 'qdisc', 'replace', 'dev', device, 'clsact']);
    await host.run(['tc', 'filter', 'replace', ...filter, 'bpf', 'bytecode', GATE, 'direct-action']);
  }
  await gate.release(index);
  return false;
}

interface Route {
  readonly destination: string;
  readonly device: string;
  readonly gateway: string;
  readonly mtu: number;
  readonly source: string | undefined;
}

async function readMeshRoutes(host: Namespace): Promise<readonly Route[]> {
  return ownRoutes(await readRoutes(host));
}

function ownRoutes(routes: readonly RouteState[]): readonly Route[] {
  const devices: readonly string[] = Object.values(FAST_PATH_DEVICES);
  return routes.flatMap(({ destination, table, device, gateway, mtu = 0, source }) => {
    if (device === undefined || !devices.includes(device) || gateway === undefined) return [];
    return table === ROUTE_TABLE ? [{ destination, device, gateway, mtu, source }] : [];
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

function goingRoutes(wanted: readonly Route[], current: readonly Route[]): readonly Change[] {
  const kept = new Set(wanted.map(({ destination }) => destination));
  return current
    .filter(({ destination }) => !kept.has(destination))
    .map(({ destination, device }) => ({ do: 'remove route', destination, link: device, type: 'unicast' }));
}

function comingRoutes(wanted: readonly Route[], current: readonly Route[]): readonly Change[] {
  const there = new Set(current.map((route) => JSON.stringify(route)));
  return wanted
    .filter((route) => !there.has(JSON.stringify(route)))
    .map(({ device, ...route }) => ({ do: 'put route', link: device, ...route }));
}
