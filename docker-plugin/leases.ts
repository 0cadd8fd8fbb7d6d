import { quote } from '../src/core/address.ts';
import type { EndpointId, NetworkId } from '../src/core/ids.ts';
import { DockerError } from './errors.ts';
import type { DoorParts } from './parts.ts';
import type { Records } from './records.ts';

/**
 * Addresses that Docker has asked for. At RequestAddress nobody knows yet which endpoint it will be for, so the mesh's address space
 * knows the lease by an id of its own, and is the only record of it; the endpoint's record names the lease that it has.
 */
export interface Leases {
  all(): readonly Lease[];
  at(network: NetworkId, address: string): Lease | undefined;
  get(id: EndpointId): Lease | undefined;
  /** The endpoint that has the lease. */
  holder(lease: Lease): EndpointId | undefined;
  /** Rejects with what the address space says, or `address-in-use`. */
  take(network: NetworkId, wanted: string | undefined): Promise<Lease>;
  release(id: EndpointId): Promise<void>;
  /** Gives back what no endpoint was made for. */
  tidy(): Promise<void>;
}

export interface Lease {
  readonly id: EndpointId;
  readonly network: NetworkId;
  readonly address: string;
  readonly prefix: number;
}

/** CreateEndpoint follows RequestAddress at once; whoever asks for an address that has waited this long for it may have it. */
const TAKEN_OVER_AFTER = 10_000;
/** So long may a lease be without an endpoint before it is given back. */
const ABANDONED_AFTER = 60_000;

const LEASE_ID = /^docker-[0-9a-f]{24}$/;

export function createLeases({ space, clock, random, log }: DoorParts, records: Records): Leases {
  const { endpoints, pools } = records;
  /** Of leases without an endpoint: since when, as far as this life of the daemon knows. */
  const idleSince = new Map<EndpointId, number>();

  function idle({ id }: Lease): number {
    const since = idleSince.get(id) ?? clock.now();
    idleSince.set(id, since);
    return clock.now() - since;
  }

  function all(): readonly Lease[] {
    return space.allocations().flatMap(({ endpoint, network, address, prefix }) => {
      return LEASE_ID.test(endpoint) ? [{ id: endpoint, network, address, prefix }] : [];
    });
  }

  const at = (network: NetworkId, address: string) =>
    all().find((lease) => lease.address === address && lease.network === network);

  const holder = ({ id }: Lease) => endpoints.all().find(({ lease }) => lease === id)?.id;

  async function take(network: NetworkId, wanted: string | undefined): Promise<Lease> {
    const there = wanted === undefined ? undefined : at(network, wanted);
    if (there !== undefined) {
      if (holder(there) === undefined && idle(there) >= TAKEN_OVER_AFTER) {
        idleSince.set(there.id, clock.now());
        return there;
      }
      throw new DockerError('address-in-use', `${quote(there.address)} is in use by another container here`);
    }
    const id = newId();
    const request = { endpoint: id, network, ...(wanted === undefined ? {} : { wanted }) };
    const { address, prefix } = await space.allocate(request);
    idleSince.set(id, clock.now());
    return { id, network, address, prefix };
  }

  function newId(): EndpointId {
    const hex = [...random.bytes(12)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    return `docker-${hex}` as EndpointId;
  }

  async function release(id: EndpointId): Promise<void> {
    idleSince.delete(id);
    await space.release(id);
  }

  async function tidy(): Promise<void> {
    const held = new Set(endpoints.all().map(({ lease }) => lease));
    for (const lease of all()) {
      if (held.has(lease.id)) {
        idleSince.delete(lease.id);
        continue;
      }
      // A pool without a Docker network on it serves another driver, whose containers are never heard of.
      if (idle(lease) < ABANDONED_AFTER || pools.get(lease.network)?.used === false) continue;
      log.info('address given back that no container used', { address: lease.address });
      await release(lease.id);
    }
  }

  return { all, at, get: (id) => all().find((lease) => lease.id === id), holder, take, release, tidy };
}
