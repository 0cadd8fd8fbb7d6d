import { join } from 'node:path';
import type { OptionalPart } from '../../src/datapath/native.ts';
import type { Background } from '../lab/command.ts';
import type { Namespace } from '../lab/namespace.ts';
import { reaches } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import type { PathHost } from './datapath-host.ts';
import type { Place } from './measures.ts';
import {
  CONTAINERS,
  createSite,
  each,
  far,
  HOSTS,
  routeContainers,
  SIDES,
  type Side,
  type Underlay,
  WIRE,
} from './site.ts';
import { plain, vxlan } from './systems/kernel.ts';
import type { Connect } from './systems/system.ts';

export interface World extends Place {
  readonly name: string;
  /** What the data path has found that it can use; `kernel` where it is none of ours. */
  readonly features: string;
  close(): void;
}

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

export async function createWorld(variant: Variant, underlay: Underlay): Promise<World> {
  const site = await createSite(underlay);
  try {
    let features = 'kernel';
    const path: Connect = async () => {
      const paths = [
        await startPath(variant, site.hosts[0], 0),
        await startPath(variant, site.hosts[1], 1),
      ] as const;
      features = /ready (.*)/.exec(paths[0].output())?.[1] ?? '';
      await routeContainers(site, variant.mtu);
      return {
        hostAddress: HOSTS[1],
        containerAddress: CONTAINERS[1],
        daemons: paths.map(({ pid }) => pid),
      };
    };
    const connect = { weft: path, vxlan, raw: plain }[variant.system];
    const connected = await connect(site);
    await reaches(site.containers[0], connected.containerAddress);
    await reaches(site.hosts[0], connected.hostAddress);
    const { hosts, containers, close } = site;
    return { name: variant.name, features, hosts, containers, ...connected, close };
  } catch (error) {
    site.close();
    throw error;
  }
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
