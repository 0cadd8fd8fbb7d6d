import { prefixOf, type Range } from './address.ts';
import { compareStamps, readStamp, type Stamp } from './hybrid-clock.ts';
import { DEFAULT_NETWORK, type NetworkId, type PeerId } from './ids.ts';
import { includes, indexAt, overlaps, sizeOf, subtract } from './ranges.ts';
import { isPeerText } from './ring-entry.ts';

/**
 * What members tell each other of a network other than `weft`. Addresses are numbers; `start` … `last` is the subnet: one CIDR block of at
 * least four addresses inside the range of the mesh.
 */
export interface NetworkObject extends Range {
  /** Null until somebody names it. */
  readonly name: string | null;
  /** Without a way out: for doors that make one. */
  readonly internal: boolean;
  readonly gateway: number | null;
  /** Never handed out unless asked for by number. */
  readonly reserved: readonly number[];
  /** Addresses that nobody asked for by number come from here; null: from the whole subnet. */
  readonly automatic: Range | null;
  /** What whoever made it wants to find again. */
  readonly options: Readonly<Record<string, string>>;
  /** When it was made; of two that claim one name or one address, the older has it. */
  readonly born: Stamp;
  readonly creator: PeerId;
}

/** A network as everybody but its makers sees it. JSON-plain. */
export interface NetworkInfo {
  /** `weft`, or 16 hexadecimal digits; never changes. */
  readonly id: NetworkId;
  /** Null while it has none. */
  readonly name: string | null;
  /** The name that it was given and that an older network has: both were made while their makers could not reach each other. */
  readonly clash: string | null;
  /** CIDR. */
  readonly subnet: string;
  /** Without a way out of the mesh. */
  readonly internal: boolean;
  /** IPv4 text; never handed out. */
  readonly gateway: string | null;
  /** IPv4 text; handed out only when asked for by number. */
  readonly reserved: readonly string[];
  /** CIDR inside the subnet: addresses that nobody asked for by number come from here. */
  readonly ipRange: string | null;
  readonly options: Readonly<Record<string, string>>;
  readonly creator: PeerId;
}

/** What handing out addresses must know of a network. */
export interface NetworkPlan {
  readonly subnet: Range;
  /** Sorted parts of the subnet from which an address is picked; first and last of the subnet are in none. */
  readonly automatic: readonly Range[];
}

export interface NetworkPlans {
  /** Undefined where no address may be handed out: there is no such network here (yet, or any more). */
  plan(network: NetworkId): NetworkPlan | undefined;
}

/** Of a mesh with no other network than `weft`. */
export function onlyDefault(range: Range): NetworkPlans {
  const plan = planOf(range, null, []);
  return { plan: (network) => (network === DEFAULT_NETWORK ? plan : undefined) };
}

export function planOf(subnet: Range, automatic: Range | null, reserved: readonly number[]): NetworkPlan {
  const ends = [subnet.start, subnet.last, ...reserved].map((address) => ({ start: address, last: address }));
  return {
    subnet: { start: subnet.start, last: subnet.last },
    automatic: subtract(automatic ?? subnet, ends),
  };
}

/** The first character keeps names apart from options of programs; Docker's own pattern is this one. */
export const NETWORK_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
export const NETWORK_LIMITS = { reserved: 256, options: 64, key: 128, value: 1_024 } as const;

export function isIdOfMadeNetwork(text: string): text is NetworkId {
  return /^[0-9a-f]{16}$/.test(text);
}

/** Undefined for what is not in every field as `NetworkObject` says. Fields that it does not know are dropped. */
export function readNetwork(data: unknown): NetworkObject | undefined {
  if (typeof data !== 'object' || data === null) return undefined;
  const raw = data as { readonly [K in keyof NetworkObject]?: unknown };
  const { start, last, name, internal, gateway } = raw;
  if (!isAddress(start) || !isAddress(last) || start > last) return undefined;
  const subnet = { start, last };
  if (!isSubnet(subnet)) return undefined;
  if (name !== null && (typeof name !== 'string' || !NETWORK_NAME.test(name))) return undefined;
  if (typeof internal !== 'boolean') return undefined;
  if (gateway !== null && !isWithin(gateway, subnet)) return undefined;
  const reserved = readReserved(raw.reserved, subnet);
  const automatic = readAutomatic(raw.automatic, subnet);
  const options = readOptions(raw.options);
  const born = readStamp(raw.born);
  if (reserved === undefined || automatic === undefined || options === undefined) return undefined;
  if (born === undefined || !isPeerText(raw.creator)) return undefined;
  return { start, last, name, internal, gateway, reserved, automatic, options, born, creator: raw.creator };
}

export function isSubnet(range: Range): boolean {
  return prefixOf(range) !== undefined && sizeOf(range) >= 4;
}

function isAddress(data: unknown): data is number {
  return Number.isInteger(data) && (data as number) >= 0 && (data as number) <= 0xffff_ffff;
}

function isWithin(data: unknown, subnet: Range): data is number {
  return isAddress(data) && includes(subnet, data);
}

function readReserved(data: unknown, subnet: Range): readonly number[] | undefined {
  if (!Array.isArray(data) || data.length > NETWORK_LIMITS.reserved) return undefined;
  return data.every((item): item is number => isWithin(item, subnet)) ? [...data] : undefined;
}

function readAutomatic(data: unknown, subnet: Range): Range | null | undefined {
  if (data === null) return null;
  if (typeof data !== 'object') return undefined;
  const { start, last } = data as { readonly start?: unknown; readonly last?: unknown };
  return isWithin(start, subnet) && isWithin(last, subnet) && start <= last ? { start, last } : undefined;
}

function readOptions(data: unknown): Readonly<Record<string, string>> | undefined {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return undefined;
  const entries = Object.entries(data);
  if (entries.length > NETWORK_LIMITS.options) return undefined;
  const options: Record<string, string> = Object.create(null);
  for (const [key, value] of entries) {
    if (key.length > NETWORK_LIMITS.key || typeof value !== 'string') return undefined;
    if (value.length > NETWORK_LIMITS.value) return undefined;
    options[key] = value;
  }
  return options;
}

/** Each is rules on every host; what is over it, the youngest, does not count. */
export const MOST_NETWORKS = 2_048;

/** The networks that count among those that members tell of, and what is wrong with the others. */
export interface NetworkTable {
  /** Oldest first; their subnets do not overlap. */
  readonly networks: ReadonlyMap<NetworkId, NetworkObject>;
  readonly byName: ReadonlyMap<string, NetworkId>;
  /** Networks whose name an older one has. They count, without the name. */
  readonly clashes: ReadonlyMap<NetworkId, NetworkId>;
  /** Networks that do not count: outside the range of the mesh, too many, or over addresses of an older one, which is the value. */
  readonly void: ReadonlyMap<NetworkId, NetworkId | undefined>;
}

/** A function of the objects: members that know the same ones agree, in whatever order they came. */
export function tabulate(range: Range, objects: ReadonlyMap<NetworkId, NetworkObject>): NetworkTable {
  const networks = new Map<NetworkId, NetworkObject>();
  const byName = new Map<string, NetworkId>([[DEFAULT_NETWORK, DEFAULT_NETWORK]]);
  const clashes = new Map<NetworkId, NetworkId>();
  const none = new Map<NetworkId, NetworkId | undefined>();
  /** Those that count, by address: who tells of thousands shall not make everybody compare each with each. */
  const taken: (Range & { readonly id: NetworkId })[] = [];
  const byAge = [...objects].sort(
    ([a, one], [b, other]) => compareStamps(one.born, other.born) || (a < b ? -1 : 1),
  );
  for (const [id, object] of byAge) {
    const at = indexAt(taken, object.start);
    const next = taken[at];
    const rival = next !== undefined && overlaps(next, object) ? next.id : undefined;
    const inside = includes(range, object.start) && includes(range, object.last);
    if (rival !== undefined || !inside || networks.size >= MOST_NETWORKS) {
      none.set(id, rival);
      continue;
    }
    taken.splice(at, 0, { start: object.start, last: object.last, id });
    networks.set(id, object);
    if (object.name === null) continue;
    const holder = byName.get(object.name);
    if (holder === undefined) byName.set(object.name, id);
    else clashes.set(id, holder);
  }
  return { networks, byName, clashes, void: none };
}
