import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { OptionalPart } from '../../src/datapath/native.ts';
import type { Background } from '../lab/command.ts';
import { createNamespace, type Namespace } from '../lab/namespace.ts';
import { namespacePath, register, tearDown } from '../lab/teardown.ts';
import { reaches } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import type { PathHost } from './datapath-host.ts';

/**
 * Two hosts on one wire without a switch, a routed container on each, and one way between them:
 *
 *     container ── eth0/vc0 ── host ══ u0/u0 ══ host ── vc0/eth0 ── container
 *     10.32.0.2                10.99.0.1   10.99.0.2               10.33.0.2
 */
export interface World {
  readonly name: string;
  readonly hosts: readonly [Namespace, Namespace];
  readonly containers: readonly [Namespace, Namespace];
  /** Of the second host and of its container, as the overlay knows them. */
  readonly hostAddress: string;
  readonly containerAddress: string;
  /** The data path of each host; none where the kernel does it. */
  readonly daemons: readonly Background[];
  close(): void;
}

export type Underlay = 'veth' | 'nic';

/** What a world is made of. `system` other than `weft`: kernel VXLAN, or no tunnel. */
export interface Variant {
  readonly name: string;
  readonly system: 'weft' | 'vxlan' | 'raw';
  /** Path of another build of the addon. */
  readonly binary?: string | undefined;
  readonly without: readonly OptionalPart[];
  readonly queues: number;
  readonly mtu: number;
  readonly txqueuelen: number;
  /** Address the socket is bound to. */
  readonly bind: string;
  /** For the data path's processes. */
  readonly environment: Readonly<Record<string, string>>;
}

const CHILD = join(import.meta.dirname, 'datapath-host.ts');
const HOSTS = ['10.32.0.1', '10.33.0.1'] as const;
const CONTAINERS = ['10.32.0.2', '10.33.0.2'] as const;
const NETS = ['10.32.0.0/16', '10.33.0.0/16'] as const;
const WIRE = ['10.99.0.1', '10.99.0.2'] as const;
const SIDES = [0, 1] as const;
type Side = (typeof SIDES)[number];
const far = (side: Side): Side => (side === 0 ? 1 : 0);
const UNSPLIT = 1500;
const VXLAN_OVERHEAD = 50;

export async function createWorld(variant: Variant, underlay: Underlay): Promise<World> {
  const id = randomBytes(2).toString('hex');
  register(id);
  try {
    return await build(id, variant, underlay);
  } catch (error) {
    tearDown(id);
    throw error;
  }
}

async function build(id: string, variant: Variant, underlay: Underlay): Promise<World> {
  const silent = { command: () => {}, note: () => {} };
  const make = (name: string) => createNamespace(name, namespacePath(id, name), silent);
  const hosts = [await make('h1'), await make('h2')] as const;
  const containers = [await make('c1'), await make('c2')] as const;
  await each(hosts[0], [`ip link add u0 type veth peer name u0 netns ${hosts[1].path}`]);
  for (const side of SIDES) await plugIn(hosts[side], side, underlay);
  const daemons = await connect(variant, hosts);
  const mtu =
    variant.system === 'weft' ? variant.mtu : variant.system === 'vxlan' ? UNSPLIT - VXLAN_OVERHEAD : UNSPLIT;
  for (const side of SIDES) await attach(hosts[side], containers[side], side, mtu);
  const world: World = {
    name: variant.name,
    hosts,
    containers,
    hostAddress: variant.system === 'raw' ? WIRE[1] : HOSTS[1],
    containerAddress: CONTAINERS[1],
    daemons,
    close: () => tearDown(id),
  };
  await reaches(containers[0], world.containerAddress);
  await reaches(hosts[0], world.hostAddress);
  return world;
}

async function plugIn(host: Namespace, side: Side, underlay: Underlay): Promise<void> {
  await each(host, [
    'sysctl -qw net.ipv6.conf.all.disable_ipv6=1',
    `ip address add ${WIRE[side]}/24 dev u0`,
    'ip link set u0 up',
    ...(underlay === 'nic' ? ['ethtool -K u0 tso off gso off tx-udp-segmentation off gro on'] : []),
  ]);
}

/** As `weft attach` does it: one address, no neighbours, the host answers for all others. */
async function attach(host: Namespace, container: Namespace, side: Side, mtu: number): Promise<void> {
  await each(host, [
    `ip link add vc0 mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${container.path}`,
    'ip link set vc0 up',
    'sysctl -qw net.ipv4.conf.vc0.proxy_arp=1 net.ipv4.neigh.vc0.proxy_delay=0 net.ipv4.ip_forward=1',
    `ip route add ${CONTAINERS[side]} dev vc0`,
  ]);
  await each(container, [`ip address add ${CONTAINERS[side]}/12 dev eth0`, 'ip link set eth0 up']);
}

async function connect(variant: Variant, hosts: readonly [Namespace, Namespace]): Promise<Background[]> {
  const daemons: Background[] = [];
  for (const side of SIDES) {
    const host = hosts[side];
    const other = far(side);
    if (variant.system === 'raw') {
      await each(host, [`ip route add ${NETS[other]} via ${WIRE[other]}`]);
    } else if (variant.system === 'vxlan') {
      const mac = (of: Side) => `02:00:00:00:00:0${of + 1}`;
      await each(host, [
        `ip link add vx0 address ${mac(side)} mtu ${UNSPLIT - VXLAN_OVERHEAD} type vxlan id 42 dev u0 local ${WIRE[side]} dstport 4789 nolearning`,
        `ip address add ${HOSTS[side]}/32 dev vx0`,
        'ip link set vx0 up',
        `ip neigh add ${HOSTS[other]} lladdr ${mac(other)} dev vx0 nud permanent`,
        `bridge fdb add ${mac(other)} dev vx0 dst ${WIRE[other]}`,
        `ip route add ${HOSTS[other]} dev vx0 src ${HOSTS[side]}`,
        `ip route add ${NETS[other]} via ${HOSTS[other]} dev vx0 onlink`,
      ]);
    } else {
      daemons.push(await startPath(variant, host, side));
    }
  }
  return daemons;
}

async function startPath(variant: Variant, host: Namespace, side: Side): Promise<Background> {
  const queues = variant.queues > 1 ? ' multi_queue' : '';
  await each(host, [
    `ip tuntap add dev weft0 mode tun vnet_hdr${queues}`,
    `ip link set weft0 mtu ${variant.mtu} txqueuelen ${variant.txqueuelen}`,
    `ip address add ${HOSTS[side]}/12 dev weft0`,
    'ip link set weft0 up',
  ]);
  const net = (of: Side) => (10 << 24) + ((32 + of) << 16);
  const plan: PathHost = {
    side,
    address: variant.bind,
    peer: WIRE[far(side)],
    routes: SIDES.map((of) => ({ start: net(of), last: net(of) + 0xffff, slot: of === side ? 0 : 1 })),
    queues: variant.queues,
    without: variant.without,
  };
  const daemon = host.start([process.execPath, CHILD, JSON.stringify(plan)], {
    environment: {
      ...variant.environment,
      ...(variant.binary === undefined ? {} : { TUN_TAP_NAPI_BINARY: variant.binary }),
    },
  });
  await until('the data path', () => {
    if (!daemon.running()) throw new Error(daemon.output());
    return daemon.output().includes('ready');
  });
  return daemon;
}

async function each(where: Namespace, commands: readonly string[]): Promise<void> {
  for (const words of commands) await where.run(words.split(' '), { say: null });
}
