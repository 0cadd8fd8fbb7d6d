import { type Cidr, formatCidr } from '../core/address.ts';
import { blocksOf, cutAt } from '../core/path.ts';
import {
  FAST_PATH_DEVICE,
  type FastPathPeer,
  type FastPathPlan,
  type FastPathState,
  HostError,
} from '../ports/host.ts';
import { anchorOf, DEVICE_SYSCTLS, sysctlsFor } from './device.ts';
import { ADMITTED_MARK, type Admission, innerOf } from './firewall-vxlan.ts';
import { batch } from './iproute.ts';
import { FAST_PATH_ALIAS, LINK_GROUP, ROUTE_PROTOCOL, ROUTE_TABLE } from './names.ts';
import type { Namespace } from './namespace.ts';
import { sourceFor } from './routes.ts';
import type { Shortcut } from './shortcut.ts';

/**
 * The fast path in the kernel: one VXLAN device that learns nothing and knows every peer by permanent entries, and routes by it.
 *
 *   10.40.0.0/13 via 192.0.2.7 dev weft-vxlan onlink     the gateway is only a name for the peer: its underlay address
 *   192.0.2.7 lladdr 06:…                                 neighbour: name → the peer's MAC
 *   06:… dst 192.0.2.7                                    forwarding entry: MAC → where its device is
 *
 * Order of a change: device → routes that go → admission → entries → routes that come.
 */
const DEVICE = FAST_PATH_DEVICE;
/** Outer packets are never cut into fragments: probes are to find what passes whole. */
const OPTIONS = ['nolearning', 'df', 'set'];
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
  const byProgram = await prepareDevice(parts, plan);
  const wanted = wantedRoutes(plan, parts);
  await batch(host, goingRoutes(wanted, await readRoutes(host)));
  await admission.raise(plan, byProgram);
  await setEntries(host, plan.peers);
  await batch(host, comingRoutes(wanted, await readRoutes(host)));
}

/** Whether there was one. */
export async function removeFastPath(host: Namespace, admission: Admission): Promise<boolean> {
  const there = await readDevice(host);
  const found = there?.ours === true;
  if (found) await batch(host, [['link', 'del', 'dev', DEVICE]]);
  await admission.remove();
  return found;
}

export async function readFastPath(host: Namespace, admission: Admission): Promise<FastPathState | null> {
  if ((await readDevice(host))?.ours !== true) return null;
  const [entries, routes, counters] = await Promise.all([
    readForwarding(host),
    readRoutes(host),
    admission.counters(),
  ]);
  return {
    peers: entries.map(({ mac, underlay }) => ({
      mac,
      underlay,
      mtu: routes.find(({ gateway }) => gateway === underlay)?.mtu ?? null,
      sent: innerOf(counters.sent.get(underlay)),
      received: innerOf(counters.received.get(underlay)),
    })),
  };
}

export async function readSent(host: Namespace): Promise<number> {
  const path = `/sys/class/net/${DEVICE}/statistics/tx_packets`;
  return Number(await host.run(['cat', path]).catch(() => 0));
}

/** Lines that give the routes the host's present addresses as source; run before an address goes. */
export async function fastPathSources(
  parts: Pick<FastPathParts, 'host' | 'range' | 'exposed'>,
  plan: FastPathPlan,
): Promise<readonly Line[]> {
  return comingRoutes(wantedRoutes(plan, parts), await readRoutes(parts.host));
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

async function readDevice(host: Namespace): Promise<DeviceState | undefined> {
  const rows = await readRows(host, ['ip', '-json', '-details', 'address', 'show', 'group', LINK_GROUP]);
  const row = rows.find(({ ifname }) => ifname === DEVICE);
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

/** Whether sources are checked by a program at the device. */
async function prepareDevice(parts: FastPathParts, plan: FastPathPlan): Promise<boolean> {
  const { host } = parts;
  const { mac, vni, port, linkLocal } = plan;
  let there = await readDevice(host);
  if (there?.ours === true && (there.mac !== mac || there.vni !== vni || there.port !== port)) {
    await batch(host, [['link', 'del', 'dev', DEVICE]]);
    there = undefined;
  }
  if (there?.ours !== true) await makeDevice(host, plan);
  const byProgram = await closeGate(parts, plan);
  const forAll = await host.run(['cat', '/proc/sys/net/ipv4/conf/all/rp_filter']);
  const filters = forAll.trim() === '0' ? UNFILTERED : {};
  await host.setSysctls(sysctlsFor(DEVICE, { ...SYSCTLS, ...filters }, Number(DEVICE_MTU)));
  if (there?.up !== true) await batch(host, [['link', 'set', 'dev', DEVICE, 'up']]);
  if (there?.linkLocal.includes(linkLocal) !== true) {
    await batch(host, [anchorOf(DEVICE), ['address', 'replace', `${linkLocal}/64`, 'dev', DEVICE, 'nodad']]);
  }
  return byProgram;
}

/** What is of our group and name and has no alias was not finished. */
async function makeDevice(host: Namespace, { mac, vni, port }: FastPathPlan): Promise<void> {
  if ((await readDevice(host)) !== undefined) await batch(host, [['link', 'del', 'dev', DEVICE]]);
  const own = ['address', mac, 'group', LINK_GROUP, 'mtu', DEVICE_MTU];
  const type = ['type', 'vxlan', 'id', String(vni), 'dstport', String(port), ...OPTIONS];
  try {
    await batch(host, [
      ['link', 'add', 'dev', DEVICE, ...own, ...type],
      ['link', 'set', 'dev', DEVICE, 'alias', FAST_PATH_ALIAS],
    ]);
  } catch (error) {
    if (!(error instanceof HostError) || !/File exists/.test(error.message)) throw error;
    throw new HostError(
      'device-taken',
      `another link is called ${DEVICE}, or another VXLAN device has VNI ${vni} on port ${port}: choose another with --vxlan-vni`,
    );
  }
}

async function closeGate({ host, gate, apart }: FastPathParts, plan: FastPathPlan): Promise<boolean> {
  const there = await host.run(['tc', 'filter', 'show', 'dev', DEVICE, 'ingress']);
  const closed = there.includes(`direct-action`) && there.includes(`'${GATE}'`);
  const index = (await readDevice(host))?.index ?? 0;
  if (gate.guard(index, plan, apart)) {
    if (closed) await host.run(['tc', 'qdisc', 'del', 'dev', DEVICE, 'clsact']);
    return true;
  }
  const filter = ['dev', DEVICE, 'ingress', 'protocol', 'all', 'prio', '1', 'handle', '1'];
  if (!closed) {
    await host.run(['tc', 'qdisc', 'replace', 'dev', DEVICE, 'clsact']);
    await host.run(['tc', 'filter', 'replace', ...filter, 'bpf', 'bytecode', GATE, 'direct-action']);
  }
  gate.release(index);
  return false;
}

interface Entry {
  readonly mac: string;
  readonly underlay: string;
}

async function readForwarding(host: Namespace): Promise<readonly Entry[]> {
  const rows = await readRows(host, ['bridge', '-json', 'fdb', 'show', 'dev', DEVICE]);
  return rows.flatMap(({ mac, dst }) =>
    typeof mac === 'string' && typeof dst === 'string' ? [{ mac, underlay: dst }] : [],
  );
}

/** Permanent entries of both tables; others are taken away. */
async function setEntries(host: Namespace, peers: readonly FastPathPeer[]): Promise<void> {
  const [forwarding, neighbours] = await Promise.all([
    readForwarding(host),
    readRows(host, ['ip', '-json', 'neigh', 'show', 'dev', DEVICE, 'nud', 'permanent']),
  ]);
  const names = new Map(
    peers.flatMap((peer) => [
      [peer.underlay, peer.mac],
      [peer.linkLocal, peer.mac],
    ]),
  );
  const known = new Map(neighbours.map(({ dst, lladdr }) => [String(dst), String(lladdr)]));
  const lines: Line[] = [];
  for (const name of known.keys()) {
    if (!names.has(name)) lines.push(['neigh', 'del', name, 'dev', DEVICE]);
  }
  for (const [name, mac] of names) {
    if (known.get(name) === mac) continue;
    lines.push(['neigh', 'replace', name, 'lladdr', mac, 'dev', DEVICE, 'nud', 'permanent']);
  }
  const places = new Map(peers.map(({ mac, underlay }) => [mac, underlay]));
  const placed = new Map(forwarding.map(({ mac, underlay }) => [mac, underlay]));
  const moves: Line[] = [];
  for (const mac of placed.keys()) {
    if (!places.has(mac)) moves.push(['fdb', 'del', mac, 'dev', DEVICE, 'self']);
  }
  for (const [mac, underlay] of places) {
    if (placed.get(mac) === underlay) continue;
    moves.push(['fdb', 'replace', mac, 'dev', DEVICE, 'dst', underlay, 'self', 'permanent']);
  }
  if (moves.length > 0) {
    await host.run(['bridge', '-batch', '-'], `${moves.map((words) => words.join(' ')).join('\n')}\n`);
  }
  await batch(host, lines);
}

interface Route {
  readonly destination: string;
  readonly gateway: string;
  readonly mtu: number;
  readonly source: string | undefined;
}

async function readRoutes(host: Namespace): Promise<readonly Route[]> {
  const rows = await readRows(host, [
    'ip',
    '-json',
    '-4',
    'route',
    'show',
    'table',
    ROUTE_TABLE,
    'dev',
    DEVICE,
  ]);
  return rows.flatMap(({ dst, gateway, metrics, prefsrc }) => {
    if (typeof dst !== 'string' || typeof gateway !== 'string') return [];
    const [metric] = (metrics ?? []) as readonly { mtu?: number }[];
    const source = typeof prefsrc === 'string' ? prefsrc : undefined;
    return [{ destination: dst, gateway, mtu: metric?.mtu ?? 0, source }];
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
  const edges = exposed.flatMap(({ start, last }) => [start, last + 1]).sort((a, b) => a - b);
  return peers.flatMap(({ underlay, ranges, mtu }) => {
    if (mtu === null) return [];
    return ranges
      .flatMap((whole) => cutAt(whole.start, whole.last, edges))
      .flatMap(([start, last]) => blocksOf(start, last, taken))
      .map((block) => ({
        destination:
          block.prefix === 32
            ? formatCidr(block.start, 32).slice(0, -3)
            : formatCidr(block.start, block.prefix),
        gateway: underlay,
        mtu,
        source: sourceFor(block.start, exposed),
      }));
  });
}

const OURS = ['proto', ROUTE_PROTOCOL, 'table', ROUTE_TABLE];

function goingRoutes(wanted: readonly Route[], current: readonly Route[]): readonly Line[] {
  const kept = new Set(wanted.map(({ destination }) => destination));
  return current
    .filter(({ destination }) => !kept.has(destination))
    .map(({ destination }) => ['route', 'del', destination, 'dev', DEVICE, ...OURS]);
}

function comingRoutes(wanted: readonly Route[], current: readonly Route[]): readonly Line[] {
  const there = new Set(current.map((route) => JSON.stringify(route)));
  return wanted
    .filter((route) => !there.has(JSON.stringify(route)))
    .map(({ destination, gateway, mtu, source }) => {
      const way = ['via', gateway, 'dev', DEVICE, 'onlink', ...OURS, 'mtu', String(mtu)];
      return ['route', 'replace', destination, ...way, ...(source === undefined ? [] : ['src', source])];
    });
}

type Row = Readonly<Record<string, unknown>>;

/** Of a listing by `ip -json`; a device that is not there has none. */
async function readRows(host: Namespace, command: readonly string[]): Promise<readonly Row[]> {
  let text: string;
  try {
    text = await host.run(command);
  } catch (error) {
    if (error instanceof HostError && /Cannot find device/.test(error.message)) return [];
    throw error;
  }
  if (text.trim() === '') return [];
  const rows: unknown = JSON.parse(text);
  return Array.isArray(rows) ? rows.filter((row) => typeof row === 'object' && row !== null) : [];
}
