import { formatIpv4, parseIpv4, prefixOf, type Range } from '../../core/address.ts';
import { DEFAULT_NETWORK, type EndpointId, type NetworkId, type PeerId } from '../../core/ids.ts';
import { drop, type Lease, leaseAt, leaseOf, nextFree, take } from '../../core/ipam.ts';
import { includes, itemAt } from '../../core/ranges.ts';
import { formatRange } from '../../core/ring-entry.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Keeper } from '../keeper.ts';
import type { Records } from '../records.ts';
import type { Allocation, AllocationRequest } from '../space.ts';
import { type Asker, inWords } from './asker.ts';
import type { Donor } from './donor.ts';
import { SpaceError } from './errors.ts';
import type { Ledger } from './ledger.ts';
import { describePeer } from './names.ts';
import type { SpaceState } from './state.ts';
import type { Waiting } from './waiting.ts';

/** Hands out the addresses of this peer's own space and gets more when it has none. */
export interface Allocator {
  allocate(request: AllocationRequest): Promise<Allocation>;
  release(endpoint: EndpointId): Promise<void>;
  allocations(): readonly Allocation[];
}

interface AllocatorParts {
  readonly self: PeerId;
  readonly range: Range;
  readonly ledger: Ledger;
  readonly state: SpaceState;
  readonly records: Records;
  readonly keeper: Keeper;
  readonly asker: Asker;
  readonly donor: Donor;
  readonly clock: Clock;
  readonly waiting: Waiting;
}

const DEFAULT_TIMEOUT = 10_000;
/** While nothing changes in the ring, the owner of a wanted address is asked again this often, ms. */
const ASK_AGAIN = 500;
/** A grant that was answered but whose history is not known here yet is waited for this long, ms. */
const GRANT_ARRIVES = 1_000;

export function createAllocator(parts: AllocatorParts): Allocator {
  const { self, range, ledger, state, records, keeper, asker, donor, clock, waiting } = parts;
  /** Every request that finds nothing free waits for the same one. */
  let refill: Promise<void> | undefined;

  const ownBlocks = (network: NetworkId) => ledger.own().filter((block) => block.network === network);

  function toAllocation({ endpoint, network, address }: Lease): Allocation {
    return { endpoint, network, address: formatIpv4(address), prefix: prefixOf(range) ?? 32 };
  }

  async function allocate(request: AllocationRequest): Promise<Allocation> {
    const { endpoint, network } = request;
    const wanted = request.wanted === undefined ? undefined : readWanted(request.wanted);
    if (network !== DEFAULT_NETWORK && !ledger.ring().some((segment) => segment.network === network)) {
      throw new SpaceError(
        'unknown-network',
        `there is no network ${network}: weft status shows those that there are`,
      );
    }
    const deadline = clock.now() + (request.timeout ?? DEFAULT_TIMEOUT);
    for (;;) {
      if (waiting.closed) throw new SpaceError('closed', 'the daemon is stopping');
      const known = leaseOf(state.leases.get(), endpoint, network);
      if (known !== undefined) {
        await keeper.flush();
        return toAllocation(known);
      }
      const address = wanted === undefined ? pick(network) : claimable(wanted, network);
      if (address !== undefined) return hold({ endpoint, network, address }, wanted === undefined);
      if (wanted === undefined) await getBlock(deadline);
      else await getAddress(wanted, deadline);
    }
  }

  function readWanted(text: string): number {
    const parsed = parseIpv4(text);
    if (!parsed.ok) throw new SpaceError('bad-address', parsed.message);
    if (!includes(range, parsed.value)) {
      throw new SpaceError(
        'outside-range',
        `${text} is outside the range of the mesh, ${formatRange(range)}`,
      );
    }
    if (parsed.value === range.start || parsed.value === range.last) {
      throw new SpaceError(
        'reserved',
        `${text} is reserved: first and last address of the range are not given out`,
      );
    }
    return parsed.value;
  }

  const pick = (network: NetworkId) => nextFree(ownBlocks(network), range, state.leases.get());

  /** The address when it may be taken now, undefined when its owner must be asked. */
  function claimable(address: number, network: NetworkId): number | undefined {
    const lease = leaseAt(state.leases.get(), address);
    const text = formatIpv4(address);
    if (lease !== undefined) {
      throw new SpaceError(
        'in-use',
        `${text} is in use by another endpoint on this host, ${lease.endpoint.slice(0, 12)}`,
      );
    }
    const block = itemAt(ledger.own(), address);
    if (block === undefined) return undefined;
    if (block.network !== network) {
      throw new SpaceError('in-use', `${text} belongs to network ${block.network}`);
    }
    return address;
  }

  /** From the choice of the address to the first `set` nothing waits: two requests cannot choose the same. */
  async function hold(lease: Lease, picked: boolean): Promise<Allocation> {
    try {
      // Held entries, noted before, go to disk in the same write.
      await state.leases.set(take(state.leases.get(), lease, picked));
      return toAllocation(lease);
    } catch (error) {
      const leases = state.leases.get();
      state.leases.set({ ...leases, list: leases.list.filter((other) => other !== lease) }).catch(() => {});
      throw error;
    }
  }

  async function getBlock(deadline: number): Promise<void> {
    const left = deadline - clock.now();
    if (left <= 0) throw new SpaceError('timeout', 'no addresses of another member arrived in time');
    const mine = refill === undefined;
    refill ??= askForBlock(deadline).finally(() => {
      refill = undefined;
    });
    try {
      await waiting.atMost(refill, left);
    } catch (error) {
      // Somebody else's patience has ended, not this request's.
      if (!mine && error instanceof SpaceError && error.code === 'timeout') return;
      throw error;
    }
  }

  async function askForBlock(deadline: number): Promise<void> {
    const before = ledger.segments();
    const { donor: from, reply } = await asker.askBest(self, deadline);
    ledger.learn(reply.granted);
    if (ledger.segments() !== before) return;
    await waiting.change(ledger.watch, Math.min(GRANT_ARRIVES, Math.max(0, deadline - clock.now())));
    if (clock.now() < deadline) return;
    throw new SpaceError(
      'timeout',
      `waited for the history of the addresses that ${describePeer(records, from)} gave`,
    );
  }

  async function getAddress(address: number, deadline: number): Promise<void> {
    const text = formatIpv4(address);
    const under = donor.pendingAt(address);
    if (under !== undefined) {
      throw new SpaceError('in-use', `${text} is being given to ${describePeer(records, under.to)}`);
    }
    const owner = ledger.ownerOf(address);
    let obstacle = `nobody is known to own ${text} (yet), or its owner is disputed: weft status ipam shows it`;
    if (owner !== undefined && owner !== self) {
      const name = describePeer(records, owner);
      const outcome = await asker.ask(owner, { for: self, wanted: address, owned: 0 }, deadline);
      if ('granted' in outcome) {
        ledger.learn(outcome.granted);
        if (ledger.ownerOf(address) === self) return;
      }
      if ('refused' in outcome && outcome.refused === 'in-use') {
        throw new SpaceError('in-use', `${text} is in use on ${name}`);
      }
      obstacle = `${text} belongs to ${name}, which ${inWords(outcome)}`;
    }
    const left = deadline - clock.now();
    if (left <= 0) throw new SpaceError('owner-unreachable', obstacle);
    await waiting.change(ledger.watch, Math.min(ASK_AGAIN, left));
    if (clock.now() >= deadline && ledger.ownerOf(address) !== self) {
      throw new SpaceError('owner-unreachable', obstacle);
    }
  }

  return {
    allocate,
    async release(endpoint) {
      const leases = state.leases.get();
      const left = drop(leases, endpoint);
      await (left === leases ? keeper.flush() : state.leases.set(left));
    },
    allocations: () => state.leases.get().list.map(toAllocation),
  };
}
