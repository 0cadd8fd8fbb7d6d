import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cidr } from '../core/address.ts';
import { overlaps } from '../core/ranges.ts';
import { HostError, type MeshPlan } from '../ports/host.ts';
import { type AddressChange, apply } from './changes.ts';
import { missing, searchPath } from './command.ts';
import { readAddress, readDestination, readNetwork } from './ipv4.ts';
import type { Ledger } from './ledger.ts';
import {
  ANCHOR,
  checkInterface,
  checkMtu,
  DEVICE_ALIAS,
  isHostLink,
  LINK_GROUP,
  ROUTE_PROTOCOL,
} from './names.ts';
import type { Namespace } from './namespace.ts';
import { type LinkState, type RouteState, readLinks } from './tables.ts';

/** Rejects when this process cannot do its work here at all, with the step that puts it right. */
export async function checkMachine(): Promise<void> {
  if (process.geteuid?.() !== 0)
    throw new HostError('not-root', 'only root may change the network: run weftd as root');
  const there = (path: string) =>
    access(path).then(
      () => true,
      () => false,
    );
  if (!(await there('/dev/net/tun'))) {
    throw new HostError(
      'no-tun',
      '/dev/net/tun is missing: modprobe tun, or --device /dev/net/tun for a container',
    );
  }
  for (const program of ['ip', 'nft', 'nsenter', 'tee']) {
    const found = await Promise.all(
      searchPath()
        .split(':')
        .map((folder) => there(join(folder, program))),
    );
    if (!found.includes(true)) throw missing(program);
  }
}

/** Checks the plan's own values. */
export function checkMesh(plan: MeshPlan): Cidr {
  checkInterface(plan.device);
  checkMtu(plan.mtu);
  return readNetwork(plan.range);
}

/** Refuses a range that hides, or is hidden by, something that this host can reach without the mesh. */
export function checkOverlap(
  plan: MeshPlan,
  range: Cidr,
  links: readonly LinkState[],
  routes: readonly RouteState[],
): void {
  for (const link of links) {
    if (isOurs(link, plan.device)) continue;
    for (const { local, prefix } of link.addresses) {
      const text = `${local}/${prefix}`;
      if (overlaps(range, readAddress(text))) throw overlap(plan, `the address ${text} of ${link.name}`);
    }
  }
  for (const route of routes) {
    if (route.protocol === ROUTE_PROTOCOL || route.device === plan.device || route.type !== 'unicast')
      continue;
    const network = readDestination(route.destination);
    // Two halves of everything are how VPN clients write a default route.
    if (network.prefix > 1 && overlaps(range, network)) {
      const way = route.device === undefined ? '' : ` dev ${route.device}`;
      throw overlap(
        plan,
        `the route ${route.destination}${way} (table ${route.table === MAIN_TABLE ? 'main' : route.table})`,
      );
    }
  }
}

const MAIN_TABLE = 254;

function isOurs(link: LinkState, device: string): boolean {
  return link.name === device || (link.group === LINK_GROUP && isHostLink(link.name));
}

function overlap(plan: MeshPlan, what: string): HostError {
  return new HostError(
    'range-overlap',
    `the range ${plan.range} overlaps ${what}: make the mesh with another one, e.g. --range 10.96.0.0/12`,
  );
}

/** IPv4 is forwarded and IPv6 learns nothing from what arrives. */
export const DEVICE_SYSCTLS: Readonly<Record<string, string>> = {
  'ipv4/conf/@/forwarding': '1',
  // Loose: a peer's packets may come in by one path while ours go out by another. The data path has checked their source.
  'ipv4/conf/@/rp_filter': '2',
  'ipv4/conf/@/accept_redirects': '0',
  'ipv4/conf/@/send_redirects': '0',
  'ipv6/conf/@/accept_ra': '0',
  'ipv6/conf/@/autoconf': '0',
  'ipv6/conf/@/accept_redirects': '0',
  'ipv6/conf/@/addr_gen_mode': '1',
};

/** Per link, because nothing that is global may change. */
export function sysctlsFor(
  link: string,
  values: Readonly<Record<string, string>>,
  mtu: number,
): ReadonlyMap<string, string> {
  const known = Object.entries(values).filter(([key]) => hasIpv6(mtu) || !key.startsWith('ipv6/'));
  return new Map(known.map(([key, value]) => [key.replace('@', link), value]));
}

/** The kernel takes IPv6, with all its settings, off a link that is too narrow for it (RFC 8200 §5). */
export function hasIpv6(mtu: number): boolean {
  return mtu >= 1_280;
}

/**
 * Packets that wait for the data path. Small ones come in bursts of hundreds; what large ones may wait is bounded by the data path itself,
 * which lets a queue that only stands lose a segment (native/src/standing_queue.h).
 */
const QUEUE = 500;

/**
 * Makes the TUN device persistent, or adopts ours. `vnet_hdr` and one queue: as the data path opens it. `owner` is the user id that
 * may open it, besides who has CAP_NET_ADMIN.
 */
export async function prepareDevice(
  host: Namespace,
  plan: MeshPlan,
  ledger: Ledger,
  owner = 0,
): Promise<void> {
  const { device } = plan;
  const there = (await readLinks(host)).find((link) => link.name === device);
  if (there !== undefined && !(await isOurDevice(there, ledger))) {
    throw new HostError(
      'device-taken',
      `there is a link ${device} that is not Weft's: remove it (ip link del ${device}) or choose another name with --device`,
    );
  }
  if (there === undefined) {
    await ledger.note(device);
    // A persistent device without an owner may be opened by any user while nobody holds it.
    const user = ['user', String(owner)];
    await host.run(['ip', 'tuntap', 'add', 'dev', device, 'mode', 'tun', 'vnet_hdr', ...user]);
  }
  if (
    there === undefined ||
    there.mtu !== plan.mtu ||
    there.queue !== QUEUE ||
    there.alias !== DEVICE_ALIAS
  ) {
    await apply(host, [
      { do: 'set link', link: device, group: LINK_GROUP, mtu: plan.mtu, queue: QUEUE },
      { do: 'set link', link: device, alias: DEVICE_ALIAS },
    ]);
  }
  await host.setSysctls(sysctlsFor(device, DEVICE_SYSCTLS, plan.mtu));
  if (!there?.addresses.some(({ local }) => local === ANCHOR)) await apply(host, [anchorOf(device)]);
  if (!there?.up) await apply(host, [{ do: 'set link', link: device, up: true }]);
}

export function anchorOf(device: string): AddressChange {
  return { do: 'put address', link: device, address: `${ANCHOR}/32`, scope: 'link' };
}

export async function isOurDevice(link: LinkState, ledger: Ledger): Promise<boolean> {
  if (link.kind !== 'tun') return false;
  return (
    (link.group === LINK_GROUP && link.alias === DEVICE_ALIAS) || (await ledger.devices()).includes(link.name)
  );
}
