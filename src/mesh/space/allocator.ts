import { formatIpv4, parseIpv4, prefixOf, type Range } from '../../core/address.ts';
import { DEFAULT_NETWORK, type EndpointId, type NetworkId, type PeerId } from '../../core/ids.ts';
import { drop, type Lease, leaseAt, leaseOf, nextFree, take } from '../../core/ipam.ts';
import type { NetworkPlan, NetworkPlans } from '../../core/network.ts';
import { includes, itemAt } from '../../core/ranges.ts';
import { formatRange } from '../../core/ring-entry.ts';
import { clip } from '../../core/subnets.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Keeper } from '../keeper.ts';
import type { Membership } from '../membership.ts';
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
  /** More addresses of the network for this peer, from any other. */
  refill(network: NetworkId, deadline: number): Promise<void>;
}

interface AllocatorParts {
  readonly self: PeerId;
  readonly range: Range;
  readonly membership: Pick<Membership, 'isRemoved'>;
  readonly ledger: Ledger;
  readonly state: SpaceState;
  readonly records: Records;
  readonly keeper: Keeper;
  readonly asker: Asker;
  readonly donor: Donor;
  readonly clock: Clock;
  readonly waiting: Waiting;
  readonly networks: NetworkPlans;
}

const DEFAULT_TIMEOUT = 10_000;
/** While nothing changes in the ring, the owner of a wanted address is asked again this often, ms. */
const ASK_AGAIN = 500;
/** A grant that was answered but whose history is not known here yet is waited for this long, ms. */
const GRANT_ARRIVES = 1_000;

export function createAllocator(parts: AllocatorParts): Allocator {
  const { self, range, membership, ledger, state, records, keeper, asker, donor, clock, waiting, networks } =
    parts;
  /** By network: every request that finds nothing free waits for the same one. */
  const refills = new Map<NetworkId, Promise<void>>();

  function toAllocation({ endpoint, network, address }: Lease): Allocation {
    const subnet = networks.plan(network)?.subnet ?? range;
    return { endpoint, network, address: formatIpv4(address), prefix: prefixOf(subnet) ?? 32 };
  }

  async function allocate(request: AllocationRequest): Promise<Allocation> {
    const { endpoint, network } = request;
    const wanted =
      request.wanted === undefined ? undefined : readWanted(request.wanted, planOf(network).subnet);
    const deadline = clock.now() + (request.timeout ?? DEFAULT_TIMEOUT);
    for (;;) {
      if (waiting.closed) throw new SpaceError('closed', 'the daemon is stopping');
      if (membership.isRemoved(self)) {
        throw new SpaceError(
          'removed',
          'this host was removed from the mesh, and its addresses are given to others',
        );
      }
      const known = leaseOf(state.leases.get(), endpoint, network);
      if (known !== undefined) {
        await keeper.flush();
        return toAllocation(known);
      }
      const plan = planOf(network);
      const address = wanted === undefined ? pick(network, plan) : claimable(wanted, network);
      if (address !== undefined) return hold({ endpoint, network, address }, wanted === undefined);
      if (wanted === undefined) await getBlock(network, deadline);
      else await getAddress(wanted, network, deadline);
    }
  }

  /** Asked again after each wait: a network may be removed meanwhile. */
  function planOf(network: NetworkId): NetworkPlan {
    const plan = networks.plan(network);
    if (plan !== undefined) return plan;
    throw new SpaceError(
      'unknown-network',
      `there is no network ${network} on this host, or it is being removed`,
    );
  }

  function readWanted(text: string, subnet: Range): number {
    const parsed = parseIpv4(text);
    if (!parsed.ok) throw new SpaceError('bad-address', parsed.message);
    const whose = subnet.start === range.start && subnet.last === range.last ? 'the mesh' : 'the network';
    if (!includes(subnet, parsed.value)) {
      throw new SpaceError(
        'outside-range',
        `${text} is outside the range of ${whose}, ${formatRange(subnet)}`,
      );
    }
    if (parsed.value === subnet.start || parsed.value === subnet.last) {
      throw new SpaceError(
        'reserved',
        `${text} is reserved: first and last address of the range of ${whose} are not given out`,
      );
    }
    return parsed.value;
  }

  function pick(network: NetworkId, { automatic, subnet }: NetworkPlan): number | undefined {
    const own = ledger.own().filter((block) => block.network === network);
    const parts = network === DEFAULT_NETWORK ? own : automatic.flatMap((part) => clip(own, part));
    return nextFree(parts, subnet, state.leases.get(), network);
  }

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

  async function getBlock(network: NetworkId, deadline: number): Promise<void> {
    const left = deadline - clock.now();
    if (left <= 0) throw new SpaceError('timeout', 'no addresses of another member arrived in time');
    const under = refills.get(network);
    const mine = under === undefined;
    const refill = under ?? askForBlock(network, deadline).finally(() => refills.delete(network));
    refills.set(network, refill);
    try {
      await waiting.atMost(refill, left);
    } catch (error) {
      // Somebody else's patience has ended, not this request's.
      if (!mine && error instanceof SpaceError && error.code === 'timeout') return;
      throw error;
    }
  }

  async function askForBlock(network: NetworkId, deadline: number): Promise<void> {
    const before = ledger.segments();
    const { donor: from, reply } = await asker.askBest(self, network, deadline);
    ledger.learn(reply.granted);
    if (ledger.segments() !== before) return;
    await waiting.change(ledger.watch, Math.min(GRANT_ARRIVES, Math.max(0, deadline - clock.now())));
    if (clock.now() < deadline) return;
    throw new SpaceError(
      'timeout',
      `waited for the history of the addresses that ${describePeer(records, from)} gave`,
    );
  }

  async function getAddress(address: number, network: NetworkId, deadline: number): Promise<void> {
    const text = formatIpv4(address);
    const under = donor.pendingAt(address);
    if (under !== undefined) {
      throw new SpaceError('in-use', `${text} is being given to ${describePeer(records, under.to)}`);
    }
    const owner = ledger.ownerOf(address);
    let obstacle = `nobody is known to own ${text} (yet), or its owner is disputed: weft status ipam shows it`;
    if (owner !== undefined && owner !== self) {
      const name = describePeer(records, owner);
      const outcome = await asker.ask(owner, { for: self, wanted: address, owned: 0, network }, deadline);
      if ('granted' in outcome) {
        ledger.learn(outcome.granted);
        if (ledger.ownerOf(address) === self) return;
      }
      if ('refused' in outcome && outcome.refused === 'in-use') {
        throw new SpaceError('in-use', `${text} is in use on ${name}`);
      }
      if ('refused' in outcome && outcome.refused === 'other-network') {
        throw new SpaceError('in-use', `${text} belongs to another network`);
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
    refill: getBlock,
  };
}
