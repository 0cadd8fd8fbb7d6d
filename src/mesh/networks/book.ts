import { formatCidr, formatIpv4, prefixOf, type Range } from '../../core/address.ts';
import { DEFAULT_NETWORK, type NetworkId, type PeerId } from '../../core/ids.ts';
import {
  isIdOfMadeNetwork,
  type NetworkInfo,
  type NetworkObject,
  type NetworkPlan,
  type NetworkPlans,
  type NetworkTable,
  planOf,
  readNetwork,
  tabulate,
} from '../../core/network.ts';
import { formatRange } from '../../core/ring-entry.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import type { Keeper } from '../keeper.ts';
import type { Membership } from '../membership.ts';
import { createObjects, type Objects } from '../objects.ts';
import { KEY, type Records } from '../records.ts';

/** The networks as this peer knows them: what members wrote, and what follows from it. */
export interface NetworkBook extends NetworkPlans {
  readonly objects: Objects<NetworkObject>;
  table(): NetworkTable;
  /** `weft` first, then the oldest. */
  list(): readonly NetworkInfo[];
  get(idOrName: string): NetworkInfo | undefined;
  /** For `ms` no address of the network is handed out here: it is about to be removed. 0 ends it. */
  suspend(network: NetworkId, ms: number): void;
  close(): void;
}

export interface NetworkBookParts {
  readonly creator: PeerId;
  readonly range: Range;
  readonly records: Records;
  readonly membership: Pick<Membership, 'isRemoved' | 'watch'>;
  readonly keeper: Keeper;
  readonly clock: Clock;
  readonly log: Log;
}

export function createNetworkBook(parts: NetworkBookParts): NetworkBook {
  const { creator, range, clock } = parts;
  const objects = createObjects({ ...parts, prefix: KEY.network, read: readNetwork });
  const whole: NetworkInfo = {
    id: DEFAULT_NETWORK,
    name: DEFAULT_NETWORK,
    clash: null,
    subnet: cidrOf(range),
    internal: false,
    gateway: null,
    reserved: [],
    ipRange: null,
    options: {},
    creator,
  };
  const wholePlan = planOf(range, null, []);
  const suspended = new Map<NetworkId, number>();
  const plans = new Map<NetworkId, { readonly object: NetworkObject; readonly plan: NetworkPlan }>();
  let drawn: { objects: ReadonlyMap<string, NetworkObject>; table: NetworkTable } | undefined;
  let listed: { table: NetworkTable; list: readonly NetworkInfo[] } | undefined;

  function table(): NetworkTable {
    const all = objects.all();
    if (drawn?.objects !== all) {
      const made = [...all].filter((item): item is [NetworkId, NetworkObject] => isIdOfMadeNetwork(item[0]));
      drawn = { objects: all, table: tabulate(range, new Map(made)) };
    }
    return drawn.table;
  }

  function list(): readonly NetworkInfo[] {
    const current = table();
    if (listed?.table !== current) {
      const made = [...current.networks].map(([id, object]) =>
        describe(id, object, current.clashes.has(id) ? object.name : null),
      );
      listed = { table: current, list: [whole, ...made] };
    }
    return listed.list;
  }

  function isSuspended(network: NetworkId): boolean {
    const until = suspended.get(network);
    if (until === undefined || until > clock.now()) return until !== undefined;
    suspended.delete(network);
    return false;
  }

  return {
    objects,
    table,
    list,
    get(idOrName) {
      const id = table().byName.get(idOrName) ?? idOrName;
      return list().find((network) => network.id === idOrName) ?? list().find((network) => network.id === id);
    },
    plan(network) {
      if (network === DEFAULT_NETWORK) return wholePlan;
      const object = table().networks.get(network);
      if (object === undefined || isSuspended(network)) return undefined;
      let known = plans.get(network);
      if (known?.object !== object) {
        const { gateway, reserved, automatic } = object;
        const kept = gateway === null ? reserved : [gateway, ...reserved];
        known = { object, plan: planOf(object, automatic, kept) };
        plans.set(network, known);
      }
      return known.plan;
    },
    suspend(network, ms) {
      if (ms > 0) suspended.set(network, clock.now() + ms);
      else suspended.delete(network);
    },
    close: () => objects.close(),
  };
}

function describe(id: NetworkId, object: NetworkObject, clash: string | null): NetworkInfo {
  const { name, internal, gateway, reserved, automatic, options, creator } = object;
  return {
    id,
    name: clash === null ? name : null,
    clash,
    subnet: cidrOf(object),
    internal,
    gateway: gateway === null ? null : formatIpv4(gateway),
    reserved: reserved.map(formatIpv4),
    ipRange: automatic === null ? null : cidrOf(automatic),
    options,
    creator,
  };
}

/** CIDR, or first and last address where a range is no block. */
export function cidrOf(range: Range): string {
  const prefix = prefixOf(range);
  return prefix === undefined ? formatRange(range) : formatCidr(range.start, prefix);
}
