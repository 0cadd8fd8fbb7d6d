import type { Range } from '../../core/address.ts';
import type { Crypto } from '../../core/crypto.ts';
import { DEFAULT_NETWORK, type NetworkId, type PeerId } from '../../core/ids.ts';
import { donationPart, freeCount, largestFree, leaseAt } from '../../core/ipam.ts';
import type { NetworkPlans } from '../../core/network.ts';
import { itemAt, sizeOf } from '../../core/ranges.ts';
import type { RingEntry } from '../../core/ring-entry.ts';
import { clip } from '../../core/subnets.ts';
import type { Membership } from '../membership.ts';
import type { Messenger } from '../messenger.ts';
import type { Donor } from './donor.ts';
import type { Ledger } from './ledger.ts';
import { MAX_ENTRIES, REQUEST, readRequest, type SpaceReply, type SpaceRequest } from './protocol.ts';
import type { SpaceState } from './state.ts';
import type { Waiting } from './waiting.ts';

/** Answers who asks this peer for addresses. */
export interface Giver {
  /** Never rejects for want of space or witness: the reply says it. `ownWitness`: `for` becomes this peer's heir. */
  give(request: SpaceRequest, ownWitness?: boolean): Promise<SpaceReply>;
}

interface GiverParts {
  readonly self: PeerId;
  readonly ledger: Ledger;
  readonly state: SpaceState;
  readonly donor: Donor;
  readonly membership: Membership;
  readonly messenger: Messenger;
  readonly crypto: Crypto;
  readonly waiting: Waiting;
  readonly networks: NetworkPlans;
}

/** Of the asker's patience this much is left for the way back, ms. */
const WAY_BACK = 300;
const HEIR_TIMEOUT = 1_500;
/** Of the ring that one peer may own when it asks for a single address: each is a record for ever, and of those a donor may write only so many. */
export const MAX_PIECES = 256;
/** So many free addresses a host keeps for itself, whoever asks and however often; of a range that is small all are given. */
const RESERVE = 256;
const SMALL_RANGE = 65_536;
/** Of a free run, for who owns more than this host already: nobody needs half of everybody's. */
const RICH_PART = 1 / 16;

export function createGiver(parts: GiverParts): Giver {
  const { self, ledger, state, donor, membership, messenger, crypto, waiting, networks } = parts;

  async function give(request: SpaceRequest, ownWitness = false): Promise<SpaceReply> {
    const wait = Math.max(0, request.wait - WAY_BACK);
    const early = answered(request);
    if (early !== undefined) return finish(early, wait);
    if (!ownWitness && !(await donor.heirAnswers(request.for, Math.min(wait, HEIR_TIMEOUT)))) {
      return { refused: 'no-witness' };
    }
    // Things may have changed meanwhile; from here to the intent nothing can.
    return finish(answered(request) ?? begin(request, ownWitness), wait);
  }

  /** What can be said without giving anything (more): known before, under way, or impossible. */
  function answered(request: SpaceRequest): SpaceReply | Promise<RingEntry> | undefined {
    const { for: to, wanted, owned, network = DEFAULT_NETWORK } = request;
    if (wanted !== undefined) return answeredAddress(to, wanted, network);
    const under = donor.pendingTo(to);
    if (under !== undefined) return under.published;
    const published = donor.publishedTo(to);
    if (published !== undefined) return { granted: [published] };
    if (ledger.ownedBy(to) <= owned) return undefined;
    return { granted: ledger.entriesOf(to).slice(0, MAX_ENTRIES) };
  }

  function answeredAddress(
    to: PeerId,
    address: number,
    network: NetworkId,
  ): SpaceReply | Promise<RingEntry> | undefined {
    const under = donor.pendingAt(address);
    if (under !== undefined) return under.to === to ? under.published : { refused: 'not-owner' };
    const owner = ledger.ownerOf(address);
    if (owner === to) {
      return {
        granted: ledger.entriesOf(to).filter(({ start, last }) => start <= address && address <= last),
      };
    }
    if (owner !== self) return { refused: 'not-owner' };
    if (leaseAt(state.leases.get(), address) !== undefined) return { refused: 'in-use' };
    const block = itemAt(ledger.own(), address);
    return block === undefined || block.network === network ? undefined : { refused: 'other-network' };
  }

  function begin(request: SpaceRequest, ownWitness: boolean): SpaceReply | Promise<RingEntry> {
    const { for: to, wanted, network = DEFAULT_NETWORK } = request;
    const plan = networks.plan(network);
    if (plan === undefined) return { refused: 'none' };
    const own = ledger.own().filter((block) => block.network === network);
    if (wanted !== undefined) {
      const block = itemAt(own, wanted);
      if (block === undefined) return { refused: 'not-owner' };
      if (ledger.entriesOf(to).length >= MAX_PIECES) return { refused: 'none' };
      return donor.donate(block, { start: wanted, last: wanted }, to);
    }
    // Of the default network first and last address go along with their block, as ever.
    const parts = network === DEFAULT_NETWORK ? own : plan.automatic.flatMap((part) => clip(own, part));
    const free = largestFree(parts, plan.subnet, state.leases.get());
    if (free === undefined) return { refused: 'none' };
    const part = partFor(to, free.run, plan.subnet);
    if (network === DEFAULT_NETWORK && sizeOf(free.run) - sizeOf(part) < reserve(own, plan.subnet)) {
      return { refused: 'none' };
    }
    return donor.donate(free.block, part, to, ownWitness);
  }

  function partFor(to: PeerId, run: Range, subnet: Range): Range {
    const part = donationPart(run, subnet);
    if (ledger.ownedBy(to) <= ledger.ownedBy(self)) return part;
    const size = Math.max(1, Math.floor(sizeOf(run) * RICH_PART));
    return { start: Math.max(part.start, run.last - size + 1), last: run.last };
  }

  /** What the largest run has to keep, beside what is free elsewhere. */
  function reserve(own: readonly Range[], subnet: Range): number {
    const wanted = sizeOf(subnet) < SMALL_RANGE ? 0 : RESERVE;
    const largest = largestFree(own, subnet, state.leases.get());
    const elsewhere = freeCount(own, subnet, state.leases.get()) - (largest ? sizeOf(largest.run) : 0);
    return Math.max(0, wanted - elsewhere);
  }

  async function finish(answer: SpaceReply | Promise<RingEntry>, wait: number): Promise<SpaceReply> {
    if (!(answer instanceof Promise)) return answer;
    const entry = await waiting.atMost(answer, wait);
    return entry === undefined ? { refused: 'pending' } : { granted: [entry] };
  }

  messenger.handle(REQUEST, (from, body) => {
    const request = readRequest(body);
    if (request === undefined) throw new Error('malformed request for space');
    if (!membership.isMember(from)) throw new Error('only members are given space');
    const stranger = crypto.publicKeyOf(request.for) === undefined || membership.isRemoved(request.for);
    if (stranger || request.for === self) throw new Error('no space for this peer');
    // A block may be asked for who joins at the asker's.
    if (request.wanted !== undefined && request.for !== from)
      throw new Error('an address is given to nobody but the asker');
    return give(request);
  });
  return { give };
}
