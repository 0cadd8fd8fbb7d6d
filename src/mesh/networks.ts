import type { Range } from '../core/address.ts';
import { toHex } from '../core/bytes.ts';
import { DEFAULT_NETWORK, type NetworkId, type PeerId } from '../core/ids.ts';
import type { NetworkInfo, NetworkObject } from '../core/network.ts';
import { overlaps } from '../core/ranges.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Random } from '../ports/random.ts';
import type { Keeper } from './keeper.ts';
import type { Membership } from './membership.ts';
import type { Messenger } from './messenger.ts';
import { cidrOf, type NetworkBook } from './networks/book.ts';
import { NetworkError } from './networks/errors.ts';
import { isolatedSubnets } from './networks/isolated.ts';
import { createMaker } from './networks/maker.ts';
import { createRemover } from './networks/remover.ts';
import { createUpkeep } from './networks/upkeep.ts';
import { checkName, readChange, readWish, type Wish } from './networks/wish.ts';
import type { Records } from './records.ts';
import type { Space } from './space.ts';

export { NetworkError, type NetworkErrorCode } from './networks/errors.ts';

/** The networks of the mesh: isolated sets of endpoints, each with a subnet of the ring. `weft` is there from the start. */
export interface Networks {
  /** `weft` first, then the oldest. */
  list(): readonly NetworkInfo[];
  /** An id counts before a name. */
  get(idOrName: string): NetworkInfo | undefined;
  /**
   * Resolves once the network is on disk and addresses can be had from it here; others know it when gossip has reached them. A request
   * for the subnet of a network that there is means that network. Rejects with NetworkError within CREATE_TIMEOUT; then nothing of it stays.
   */
  create(request: CreateNetwork): Promise<NetworkInfo>;
  /** Known to have been there, and removed. */
  isRemoved(id: string): boolean;
  rename(id: NetworkId, name: string): Promise<NetworkInfo>;
  /** For a door that is told of it only after `create`. Addresses in use stay in use. */
  change(id: NetworkId, change: NetworkChange): Promise<NetworkInfo>;
  /** Its addresses go back to `weft`. Rejects with NetworkError `network-in-use` that says where, or `unknown-network`. */
  remove(id: NetworkId): Promise<void>;
  /** Called after each change of `list`. Returns the way to stop. */
  watch(listener: () => void): () => void;
  /** Subnets, as CIDR, that are kept apart on this host: of networks in use here, whatever became of them, and of all others that there are. */
  isolated(): readonly string[];
  /** What members wrote that does not count, or not as they meant it, and what to do. */
  faults(): readonly NetworkFault[];
  /** Goes on with what an earlier life left. */
  start(): Promise<void>;
  close(): void;
}

export interface CreateNetwork {
  /** Null: it gets one later, by `rename`. */
  readonly name: string | null;
  /** CIDR inside the range of the mesh; absent: a free /24 of this peer's own space. */
  readonly subnet?: string;
  readonly internal?: boolean;
  readonly gateway?: string;
  readonly reserved?: readonly string[];
  readonly ipRange?: string;
  readonly options?: Readonly<Record<string, string>>;
}

export interface NetworkChange {
  readonly internal?: boolean;
  readonly gateway?: string;
  readonly reserved?: readonly string[];
}

export interface NetworkFault {
  readonly id: NetworkId;
  readonly text: string;
  readonly remedy: string;
}

export interface NetworksParts {
  readonly self: PeerId;
  readonly range: Range;
  readonly book: NetworkBook;
  readonly space: Space;
  readonly records: Records;
  readonly membership: Membership;
  readonly messenger: Messenger;
  readonly keeper: Keeper;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export function createNetworks(parts: NetworksParts): Networks {
  const { range, book, random } = parts;
  /** Being made by this peer: names and subnets that are as good as taken. */
  const making = new Map<NetworkId, Wish>();
  const upkeep = createUpkeep({ ...parts, isBeingMade: (id) => making.has(id) });
  const make = createMaker({ ...parts, upkeep });
  const remove = createRemover(parts);

  function infoOf(id: NetworkId): NetworkInfo {
    const info = book.get(id);
    if (info !== undefined) return info;
    throw new NetworkError('unknown-network', `there is no network ${id}`);
  }

  /** The network that has exactly the wanted subnet. */
  async function existing({ name, subnet }: Wish): Promise<NetworkInfo | undefined> {
    const found = subnet && book.list().find((network) => network.subnet === cidrOf(subnet));
    if (found === undefined) return undefined;
    if (name === null || found.name === name) return found;
    if (found.name === null && found.clash === null) return rename(found.id, name);
    throw new NetworkError(
      'subnet-taken',
      `${found.subnet} is the subnet of the network ${found.name ?? found.id}, not of ${name}`,
    );
  }

  function checkFree({ name, subnet }: Wish): void {
    if (name !== null) checkNameFree(name, undefined);
    if (subnet === undefined) return;
    for (const [id, object] of [...book.table().networks, ...making]) {
      const other = 'subnet' in object ? object.subnet : object;
      if (other === undefined || !overlaps(other, subnet)) continue;
      throw new NetworkError(
        'subnet-taken',
        `${cidrOf(subnet)} overlaps ${cidrOf(other)}, the subnet of the network ${object.name ?? id}`,
      );
    }
  }

  function checkNameFree(name: string, mine: NetworkId | undefined): void {
    const holder = book.table().byName.get(name);
    const maker = [...making].find(([, wish]) => wish.name === name)?.[0];
    const other = holder ?? maker;
    if (other === undefined || other === mine) return;
    throw new NetworkError('network-name-taken', `there is a network ${name} already`);
  }

  async function create(request: CreateNetwork): Promise<NetworkInfo> {
    const wish = readWish(request, range);
    const found = await existing(wish);
    if (found !== undefined) return found;
    checkFree(wish);
    const id = toHex(random.bytes(8)) as NetworkId;
    making.set(id, wish);
    try {
      await make(id, wish);
      return infoOf(id);
    } finally {
      making.delete(id);
    }
  }

  async function rename(id: NetworkId, name: string): Promise<NetworkInfo> {
    if (infoOf(id).name === name) return infoOf(id);
    const object = made(id);
    checkNameFree(checkName(name), id);
    await book.objects.put(id, { ...object, name });
    return infoOf(id);
  }

  function made(id: NetworkId): NetworkObject {
    if (id === DEFAULT_NETWORK) {
      throw new NetworkError('network-permanent', 'the network weft stays as it is');
    }
    const object = book.table().networks.get(id);
    if (object !== undefined) return object;
    throw new NetworkError('unknown-network', `there is no network ${id}`);
  }

  async function change(id: NetworkId, request: NetworkChange): Promise<NetworkInfo> {
    const object = made(id);
    const {
      gateway = object.gateway,
      reserved = object.reserved,
      internal = object.internal,
    } = readChange(request, object);
    await book.objects.put(id, { ...object, gateway, reserved, internal });
    return infoOf(id);
  }

  function faults(): readonly NetworkFault[] {
    const { clashes, networks, void: none } = book.table();
    const named = [...clashes].map(([id, holder]) => {
      const name = networks.get(id)?.name;
      return {
        id,
        text: `two networks were called ${name}: ${holder} keeps the name, ${id} has none`,
        remedy: `give it another one with \`weft network rename ${id} NAME\`, or remove it with \`weft network rm ${id}\``,
      };
    });
    const useless = [...none].map(([id, rival]) => ({
      id,
      text: `the network ${id} is not used: ${rival === undefined ? 'its subnet is outside the range of the mesh, or there are too many networks' : `its subnet overlaps that of ${rival}`}`,
      remedy: `remove it with \`weft network rm ${id}\``,
    }));
    return [...named, ...useless];
  }

  return {
    list: book.list,
    get: book.get,
    isRemoved: book.objects.isRemoved,
    create,
    rename,
    change,
    remove,
    watch: (listener) => book.objects.watch(listener),
    isolated: () => isolatedSubnets(book, parts.space.allocations()),
    faults,
    start: upkeep.start,
    close() {
      upkeep.close();
      book.close();
    },
  };
}
