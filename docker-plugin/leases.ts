import { quote } from '../src/core/address.ts';
import type { EndpointId, NetworkId } from '../src/core/ids.ts';
import { DockerError } from './errors.ts';
import type { DoorParts } from './parts.ts';
import type { LeaseRecord, Records } from './records.ts';

/**
 * Addresses that Docker has asked for. At RequestAddress nobody knows yet which endpoint it will be for, so the mesh's address space
 * knows the lease by an id of its own; CreateEndpoint binds it.
 */
export interface Leases {
  /** Rejects with what the address space says, or `address-in-use`. */
  take(network: NetworkId, wanted: string | undefined): Promise<LeaseRecord>;
  at(network: NetworkId, address: string): LeaseRecord | undefined;
  of(endpoint: EndpointId): LeaseRecord | undefined;
  /** In memory at once; on disk when it resolves. */
  bind(lease: LeaseRecord, endpoint: EndpointId | null): Promise<void>;
  release(lease: LeaseRecord): Promise<void>;
  /** Gives back what no endpoint was made for, and what a crash left on one side only. */
  tidy(): Promise<void>;
}

/** CreateEndpoint follows RequestAddress at once; whoever asks for an address that has waited this long for it may have it. */
const TAKEN_OVER_AFTER = 10_000;
/** So long may a lease be without an endpoint before it is given back. */
const ABANDONED_AFTER = 60_000;

const LEASE_ID = /^docker-[0-9a-f]{24}$/;

export function createLeases({ space, clock, random, log }: DoorParts, records: Records): Leases {
  const { leases, pools } = records;
  const unboundSince = new Map<string, number>();
  /** Between the address space's promise and ours. */
  const underWay = new Set<string>();

  const idle = (lease: LeaseRecord): number => {
    const since = unboundSince.get(lease.id) ?? clock.now();
    unboundSince.set(lease.id, since);
    return clock.now() - since;
  };

  function at(network: NetworkId, address: string): LeaseRecord | undefined {
    return leases.all().find((lease) => lease.address === address && lease.network === network);
  }

  async function take(network: NetworkId, wanted: string | undefined): Promise<LeaseRecord> {
    const there = wanted === undefined ? undefined : at(network, wanted);
    if (there !== undefined) {
      if (there.endpoint === null && idle(there) >= TAKEN_OVER_AFTER) {
        unboundSince.set(there.id, clock.now());
        return there;
      }
      throw new DockerError('address-in-use', `${quote(there.address)} is in use by another container here`);
    }
    const id = newId();
    underWay.add(id);
    try {
      const request = { endpoint: id, network, ...(wanted === undefined ? {} : { wanted }) };
      const { address, prefix } = await space.allocate(request);
      const lease: LeaseRecord = { id, network, address, prefix, endpoint: null };
      unboundSince.set(id, clock.now());
      try {
        await leases.put(lease);
      } catch (error) {
        await release(lease).catch(() => undefined);
        throw error;
      }
      return lease;
    } finally {
      underWay.delete(id);
    }
  }

  function newId(): EndpointId {
    const hex = [...random.bytes(12)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    return `docker-${hex}` as EndpointId;
  }

  function bind(lease: LeaseRecord, endpoint: EndpointId | null): Promise<void> {
    if (endpoint === null) unboundSince.set(lease.id, clock.now());
    else unboundSince.delete(lease.id);
    return leases.put({ ...lease, endpoint });
  }

  /** Gone here at once, so that nobody binds it meanwhile; both reach the disk in one write. */
  async function release(lease: LeaseRecord): Promise<void> {
    unboundSince.delete(lease.id);
    await Promise.all([leases.remove(lease.id), space.release(lease.id)]);
  }

  async function tidy(): Promise<void> {
    const held = new Set<string>(space.allocations().map(({ endpoint }) => endpoint));
    for (const id of held) {
      if (LEASE_ID.test(id) && leases.get(id) === undefined && !underWay.has(id))
        await space.release(id as EndpointId);
    }
    for (const lease of leases.all()) {
      if (lease.endpoint !== null || underWay.has(lease.id)) continue;
      const abandoned = pools.get(lease.network)?.used !== false && idle(lease) >= ABANDONED_AFTER;
      if (!abandoned && held.has(lease.id)) continue;
      log.info('address given back that no container used', { address: lease.address });
      await release(lease);
    }
  }

  return {
    take,
    at,
    of: (endpoint) => leases.all().find((lease) => lease.endpoint === endpoint),
    bind,
    release,
    tidy,
  };
}
