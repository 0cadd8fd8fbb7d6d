import type { Cidr, Range } from '../core/address.ts';
import { u32 } from '../core/bytes.ts';
import { edgesOf, piecesOf } from '../core/path.ts';
import { includes } from '../core/ranges.ts';
import { FAST_PATH_DEVICES, type FastPathPlan, underlayFamily } from '../ports/host.ts';
import { macBytes } from './mac.ts';
import { OWNER, PLACE } from './shortcut-steps.ts';
import type { LinkState } from './tables.ts';

/** What the shortcut's tables say, made from what routes and firewall say. */
export interface ShortcutView {
  readonly device: string;
  readonly range: Cidr;
  /** Those of our group. */
  readonly links: readonly LinkState[];
  readonly endpoints: readonly ShortcutEndpoint[];
  /** The host's own addresses in the mesh. */
  readonly exposed: readonly Cidr[];
  /** Subnets that are kept apart. */
  readonly apart: readonly Cidr[];
  readonly fast: FastPathPlan | null;
}

export interface ShortcutEndpoint {
  /** The host's end. */
  readonly link: LinkState;
  readonly address: number;
  /** Of the sandbox's end. */
  readonly mac: string;
}

export interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** Of an endpoint. */
  readonly hostLink?: string;
}

interface Place {
  readonly link: number;
  readonly network: number;
  readonly mtu: number;
  readonly to: string;
  readonly from: string;
}

export function placesOfEndpoints({ endpoints, apart }: ShortcutView): readonly Entry[] {
  return endpoints.map(({ link, address, mac }) => ({
    key: u32(address),
    value: placeValue({
      link: link.index,
      network: networkOf(address, apart),
      mtu: link.mtu,
      to: mac,
      from: link.mac ?? '',
    }),
    hostLink: link.name,
  }));
}

/** What routes say, the narrowest wins. What another host may have by VXLAN ends where a network begins or ends. */
export function placesOfWays({ range, device, links, exposed, apart, fast }: ShortcutView): readonly Entry[] {
  const entries = new Map<string, Entry>();
  const add = (block: Cidr, place: Omit<Place, 'network'>) => {
    const network = networkOf(block.start, apart);
    const entry = { key: prefixKey(block), value: placeValue({ ...place, network }) };
    entries.set(`${block.start}/${block.prefix}`, entry);
  };
  const named = (name: string) => links.find((link) => link.name === name);
  const tunnel = named(device);
  const byTunnel = { link: tunnel?.index ?? 0, mtu: tunnel?.mtu ?? 0, to: '', from: '' };
  for (const block of [range, ...apart]) add(block, byTunnel);
  const edges = edgesOf(apart);
  for (const { underlay, ranges, mtu, mac } of fast?.peers ?? []) {
    const vxlan = named(FAST_PATH_DEVICES[underlayFamily(underlay)])?.index;
    if (mtu === null || vxlan === undefined) continue;
    const way = { link: vxlan, mtu, to: mac, from: fast?.mac ?? '' };
    for (const block of piecesOf(ranges, edges)) add(block, way);
  }
  for (const { address } of exposed) {
    add({ address, start: address, last: address, prefix: 32 }, { link: 0, mtu: 0, to: '', from: '' });
  }
  return [...entries.values()];
}

/** Whose addresses may come by VXLAN over IPv4, and whose it may reach. */
export function ownersOf(
  { own, peers }: Pick<FastPathPlan, 'own' | 'peers'>,
  apart: readonly Cidr[],
): readonly Entry[] {
  const edges = edgesOf(apart);
  const entriesOf = (ranges: readonly Range[], underlay: string) =>
    piecesOf(ranges, edges).map((block) => {
      const value = new Uint8Array(OWNER.size);
      if (underlay !== '') value.set(underlay.split('.').map(Number), OWNER.underlay);
      new DataView(value.buffer).setUint32(OWNER.network, networkOf(block.start, apart), true);
      return { key: prefixKey(block), value };
    });
  const senders = peers.filter(({ underlay }) => underlayFamily(underlay) === 4);
  return [...entriesOf(own, ''), ...senders.flatMap(({ ranges, underlay }) => entriesOf(ranges, underlay))];
}

function prefixKey({ start, prefix }: Cidr): Uint8Array {
  const key = new Uint8Array(8);
  new DataView(key.buffer).setUint32(0, prefix, true);
  key.set(u32(start), 4);
  return key;
}

/** A network's first address stands for it. */
function networkOf(address: number, apart: readonly Cidr[]): number {
  return apart.find((subnet) => includes(subnet, address))?.start ?? 0;
}

function placeValue({ link, network, mtu, to, from }: Place): Uint8Array {
  const value = new Uint8Array(PLACE.size);
  const view = new DataView(value.buffer);
  view.setUint32(PLACE.link, link, true);
  view.setUint32(PLACE.network, network, true);
  view.setUint32(PLACE.mtu, mtu, true);
  if (to !== '') value.set(macBytes(to), PLACE.header);
  if (from !== '') value.set(macBytes(from), PLACE.header + 6);
  view.setUint16(PLACE.header + 12, 0x0800);
  return value;
}
