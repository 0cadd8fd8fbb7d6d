import { DEFAULT_NETWORK, type EndpointId } from '../../core/ids.ts';
import { type Lease, type Leases, NO_LEASES } from '../../core/ipam.ts';
import { decodeEntry, isNetworkId, type RingEntry } from '../../core/ring-entry.ts';
import type { Keeper, Section } from '../keeper.ts';

/** What this peer's space has on disk. The entries that it wrote itself are in its records. */
export interface SpaceState {
  /** Donations that are promised but not yet published, signed by this peer: never used again, whatever happens. */
  readonly intents: Section<readonly RingEntry[]>;
  /** Donations of others that this peer has witnessed. */
  readonly promises: Section<readonly RingEntry[]>;
  /** The entries that make this peer the owner of its space, so that it owns it after a restart that nobody else survived. */
  readonly held: Section<readonly RingEntry[]>;
  readonly leases: Section<Leases>;
  /** Called after each change of `leases`. Returns the way to stop. */
  watchLeases(handler: () => void): () => void;
}

export function openState(keeper: Keeper): SpaceState {
  const watchers = new Set<() => void>();
  const leases = keeper.section('space/leases', checkLeases, NO_LEASES);
  return {
    intents: keeper.section('space/intents', checkEntries, []),
    promises: keeper.section('space/promises', checkEntries, []),
    held: keeper.section('space/held', checkEntries, []),
    leases: {
      get: leases.get,
      set(value) {
        const stored = leases.set(value);
        for (const handler of [...watchers]) handler();
        return stored;
      },
    },
    watchLeases(handler) {
      watchers.add(handler);
      return () => watchers.delete(handler);
    },
  };
}

function checkEntries(data: unknown): readonly RingEntry[] {
  if (!Array.isArray(data)) throw new TypeError('expected a list of ring entries');
  return data.map((item) => {
    const decoded = decodeEntry(item);
    if (!decoded.ok) throw new TypeError(decoded.message);
    return decoded.value;
  });
}

function checkLeases(data: unknown): Leases {
  const { list, cursors, cursor } = fields(data, 'leases');
  if (!Array.isArray(list)) throw new TypeError('list is not a list of leases');
  const leases = list.map(checkLease).sort((a, b) => a.address - b.address);
  const twice = leases.find((lease, index) => lease.address === leases[index + 1]?.address);
  if (twice !== undefined) throw new TypeError('list has one address twice');
  return { list: leases, cursors: checkCursors(cursors ?? { [DEFAULT_NETWORK]: cursor }) };
}

/** Versions before networks kept one number. */
function checkCursors(data: unknown): Leases['cursors'] {
  const cursors = Object.entries(fields(data, 'cursors'));
  const wrong = cursors.some(([network, address]) => !isNetworkId(network) || !isAddress(address));
  if (wrong) throw new TypeError('cursors do not hold an address for each network');
  return Object.fromEntries(cursors) as Leases['cursors'];
}

function checkLease(data: unknown): Lease {
  const { endpoint, network, address } = fields(data, 'a lease');
  if (typeof endpoint !== 'string') throw new TypeError('endpoint of a lease is not text');
  if (!isNetworkId(network)) throw new TypeError('network of a lease is not a name');
  if (!isAddress(address)) throw new TypeError('address of a lease is not an address');
  return { endpoint: endpoint as EndpointId, network, address };
}

function fields(data: unknown, name: string): Record<string, unknown> {
  if (typeof data !== 'object' || data === null) throw new TypeError(`${name} is not an object`);
  return data as Record<string, unknown>;
}

function isAddress(data: unknown): data is number {
  return Number.isInteger(data) && (data as number) >= 0 && (data as number) <= 0xffff_ffff;
}
