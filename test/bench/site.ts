import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createNamespace, type Namespace } from '../lab/namespace.ts';
import { namespacePath, register, tearDown } from '../lab/teardown.ts';

/**
 * Two hosts on one wire without a switch and a container on each, for one way between them:
 *
 *     container ── eth0/vc0 ── host ══ u0/u0 ══ host ── vc0/eth0 ── container
 *     10.32.0.2                10.99.0.1   10.99.0.2               10.33.0.2
 */
export interface Site {
  readonly id: string;
  /** For files of what runs here, with a folder for each host inside; goes with the site. */
  readonly folder: string;
  readonly hosts: Pair<Namespace>;
  readonly containers: Pair<Namespace>;
  close(): void;
}

export type Pair<T> = readonly [T, T];
export type Side = 0 | 1;
export const SIDES: Pair<Side> = [0, 1];
export const far = (side: Side): Side => (side === 0 ? 1 : 0);

/**
 * `veth`: segments of TCP and UDP cross the wire unsplit. `nic`: every packet is split before the wire and joined behind it, as by a network card
 * without offloads.
 */
export type Underlay = 'veth' | 'nic';

export const WIRE: Pair<string> = ['10.99.0.1', '10.99.0.2'];
export const WIRE_MTU = 1500;
/** Of the hosts inside a tunnel. */
export const HOSTS: Pair<string> = ['10.32.0.1', '10.33.0.1'];
export const CONTAINERS: Pair<string> = ['10.32.0.2', '10.33.0.2'];
/** What is behind each host. */
export const NETS: Pair<string> = ['10.32.0.0/16', '10.33.0.0/16'];

export async function createSite(underlay: Underlay): Promise<Site> {
  const id = randomBytes(2).toString('hex');
  const folder = register(id);
  try {
    const silent = { command: () => {}, note: () => {} };
    const make = (name: string) => createNamespace(name, namespacePath(id, name), silent);
    const hosts = [await make('h1'), await make('h2')] as const;
    const containers = [await make('c1'), await make('c2')] as const;
    await each(hosts[0], [`ip link add u0 type veth peer name u0 netns ${hosts[1].path}`]);
    for (const side of SIDES) {
      mkdirSync(join(folder, hosts[side].name));
      await plugIn(hosts[side], side, underlay);
    }
    return { id, folder, hosts, containers, close: () => tearDown(id) };
  } catch (error) {
    tearDown(id);
    throw error;
  }
}

async function plugIn(host: Namespace, side: Side, underlay: Underlay): Promise<void> {
  await each(host, [
    'sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv4.ip_forward=1',
    `ip address add ${WIRE[side]}/24 dev u0`,
    'ip link set u0 up',
    ...(underlay === 'nic' ? ['ethtool -K u0 tso off gso off tx-udp-segmentation off gro on'] : []),
  ]);
}

/** As `weft attach` does it: one address, no neighbours, the host answers for all others. */
export async function routeContainers({ hosts, containers }: Site, mtu: number): Promise<void> {
  for (const side of SIDES) {
    const [host, container] = [hosts[side], containers[side]];
    await each(host, [
      `ip link add vc0 mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${container.path}`,
      'ip link set vc0 up',
      'sysctl -qw net.ipv4.conf.vc0.proxy_arp=1 net.ipv4.neigh.vc0.proxy_delay=0',
      `ip route add ${CONTAINERS[side]} dev vc0`,
    ]);
    await each(container, [`ip address add ${CONTAINERS[side]}/12 dev eth0`, 'ip link set eth0 up']);
  }
}

/** One command after the other, words parted by blanks. */
export async function each(where: Namespace, commands: readonly string[]): Promise<void> {
  for (const words of commands) await where.run(words.split(' '), { say: null });
}
