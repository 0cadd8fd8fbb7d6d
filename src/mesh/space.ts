import type { Range } from '../core/address.ts';
import type { Crypto, Identity } from '../core/crypto.ts';
import { livePromises } from '../core/donation.ts';
import { DEFAULT_NETWORK, type EndpointId, type MeshId, type NetworkId, type PeerId } from '../core/ids.ts';
import { freeCount } from '../core/ipam.ts';
import type { NetworkPlans } from '../core/network.ts';
import { includes } from '../core/ranges.ts';
import { witnessFault } from '../core/ring.ts';
import { genesisChange, isDonorsWord, type RingEntry, ringKey, signChange } from '../core/ring-entry.ts';
import { clip } from '../core/subnets.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Keeper } from './keeper.ts';
import type { Membership, OpenMembership } from './membership.ts';
import type { Messenger } from './messenger.ts';
import type { Records } from './records.ts';
import { createAllocator } from './space/allocator.ts';
import { createAsker, inWords } from './space/asker.ts';
import { createClosings } from './space/closings.ts';
import { createDonor } from './space/donor.ts';
import { SpaceError } from './space/errors.ts';
import { createGiver } from './space/giver.ts';
import { createHolds, type Holds } from './space/holds.ts';
import { createInheritor, type Inheritor } from './space/inheritor.ts';
import { createLabels, type Labels } from './space/labels.ts';
import { createLedger, type Quarantined } from './space/ledger.ts';
import { describePeer } from './space/names.ts';
import { readEntries } from './space/protocol.ts';
import { openState } from './space/state.ts';
import { createWaiting } from './space/waiting.ts';
import { serveWitness } from './space/witness.ts';

export { SpaceError, type SpaceErrorCode } from './space/errors.ts';
export type { Quarantined } from './space/ledger.ts';

/** The addresses of this peer: its part of the ring, what is allocated in it, and the donations that change it. */
export interface Space {
  /** The ring as known here, sorted, not overlapping. Unowned or disputed parts have no owner. */
  ring(): readonly RingSegment[];
  /** Called after each change of the ring. Returns the way to stop. */
  watch(handler: () => void): () => void;
  /**
   * An address for `endpoint`: the one it has already, else `wanted`, else a free one of this peer's own space. Asks other peers for
   * space or for the wanted address when need be, for at most `timeout` ms (default 10,000). On disk when it resolves.
   * Rejects with SpaceError.
   */
  allocate(request: AllocationRequest): Promise<Allocation>;
  /** Gives the endpoint's addresses back. Fine when it has none. On disk when it resolves. */
  release(endpoint: EndpointId): Promise<void>;
  allocations(): readonly Allocation[];
  /** Called after each change of `allocations`. Returns the way to stop. */
  watchAllocations(handler: () => void): () => void;
  /** Free addresses in own space, of `weft` when no network is named. */
  free(network?: NetworkId): number;
  /** For networks.ts: which network own space belongs to. */
  readonly labels: Labels;
  readonly holds: Holds;
  /** For networks.ts: waits until this peer has been given more addresses of the network. Rejects with SpaceError. */
  refill(network: NetworkId, deadline: number): Promise<void>;
  /** For networks.ts: takes ring entries that came in an answer, ahead of their authors' records. */
  learn(entries: readonly RingEntry[]): void;
  /**
   * Donates about half of the largest free block (at least one address) to `to`, which need not be a member yet; resolves once the donation is witnessed
   * and on disk. `firstHeir` makes `to` its own witness: only where this peer needs an heir (Membership). Used by join.
   */
  grant(to: PeerId, options?: { firstHeir?: boolean }): Promise<readonly RingEntry[]>;
  /**
   * Asks the member with the largest known free space (this one included) to grant to `to`; resolves to the donor and its ring entries.
   * A second call for a peer that is no member yet resolves to what it was given before.
   */
  grantFromBest(to: PeerId): Promise<{ donor: PeerId; entries: readonly RingEntry[] }>;
  /** On a peer that has just joined: takes the entries (unchecked input) that `grant` or `grantFromBest` gave. On disk when it resolves. */
  adopt(entries: unknown): Promise<void>;
  /** Ring records that do not count here, and why: for status. */
  quarantine(): readonly Quarantined[];
  /** Donations that this peer has promised and whose witness has not answered yet. */
  pendingDonations(): readonly RingEntry[];
  /** Of the addresses of removed peers. */
  readonly inheritance: Inheritor;
  /** Writes the genesis entry where this peer is the creator, and goes on with donations that an earlier life began. */
  start(): Promise<void>;
  /** Waiting requests reject with `closed`; what is on disk stays for the next start. */
  close(): void;
}

export interface RingSegment {
  /** First and last IPv4 address as unsigned 32-bit numbers. */
  readonly start: number;
  readonly last: number;
  readonly owner: PeerId | undefined;
  readonly network: NetworkId;
}

export interface AllocationRequest {
  readonly endpoint: EndpointId;
  readonly network: NetworkId;
  /** IPv4 text. */
  readonly wanted?: string;
  readonly timeout?: number;
}

export interface Allocation {
  readonly endpoint: EndpointId;
  readonly network: NetworkId;
  /** IPv4 text. */
  readonly address: string;
  /** Length of the network's prefix. */
  readonly prefix: number;
}

export interface SpaceParts {
  readonly self: PeerId;
  /** The whole range of the mesh: one CIDR block. */
  readonly range: Range;
  readonly records: Records;
  readonly messenger: Messenger;
  readonly membership: Membership & Pick<OpenMembership, 'issuedBy'>;
  readonly keeper: Keeper;
  readonly crypto: Crypto;
  readonly identity: Identity;
  readonly clock: Clock;
  readonly networks: NetworkPlans;
  readonly log: Log;
}

/** How long `grant` and `grantFromBest` look for space and witness, ms. */
const GRANT_TIMEOUT = 10_000;

export function createSpace(parts: SpaceParts): Space {
  const { self, range, records, membership, crypto, identity, clock, networks } = parts;
  const waiting = createWaiting(clock);
  const state = openState(parts.keeper);
  const holds = createHolds(clock);
  const closings = createClosings(parts);
  const ledger = createLedger({ ...parts, state, holds, closings });
  // What is in the ring now came from the disk: a promise that it has come past has served.
  const live = livePromises(ledger.segments(), state.promises.get());
  if (live.length < state.promises.get().length) state.promises.set(live).catch(() => {});
  const inheritor = createInheritor({ ...parts, ledger, closings, state, waiting });
  const donor = createDonor({ ...parts, ledger, state, waiting });
  serveWitness({ ...parts, ledger, closings, state });
  const giver = createGiver({ ...parts, ledger, state, donor, waiting });
  function free(network: NetworkId = DEFAULT_NETWORK): number {
    const own = ledger.own().filter((block) => block.network === network);
    const plan = networks.plan(network);
    if (plan === undefined) return 0;
    const blocks = network === DEFAULT_NETWORK ? own : plan.automatic.flatMap((part) => clip(own, part));
    return freeCount(blocks, plan.subnet, state.leases.get());
  }
  const asker = createAsker({ ...parts, ledger, free, waiting });
  const allocator = createAllocator({ ...parts, ledger, state, asker, donor, waiting });

  async function grant(to: PeerId, { firstHeir = false } = {}): Promise<readonly RingEntry[]> {
    const witness = membership.witnessOf(self);
    if (firstHeir && !membership.needsHeir() && witness !== to) {
      throw new SpaceError('no-witness', 'only who becomes the heir of this peer is its own witness');
    }
    const reply = await giver.give(request(to), firstHeir);
    if ('granted' in reply) return reply.granted;
    const code =
      reply.refused === 'none' ? 'no-space' : reply.refused === 'pending' ? 'timeout' : 'no-witness';
    const who =
      witness === undefined ? 'no witness is known' : `the witness is ${describePeer(records, witness)}`;
    throw new SpaceError(code, `no addresses for the new peer: this one ${inWords(reply)}; ${who}`);
  }

  const request = (to: PeerId) => ({
    for: to,
    owned: membership.isMember(to) ? ledger.ownedBy(to) : 0,
    wait: GRANT_TIMEOUT,
  });

  async function grantFromBest(to: PeerId): Promise<{ donor: PeerId; entries: readonly RingEntry[] }> {
    const given = membership.isMember(to) ? [] : ledger.entriesOf(to);
    const [known, ...others] = given.filter(({ donor }) => !membership.isRemoved(donor));
    if (known !== undefined) return { donor: known.donor, entries: [known, ...others] };
    const give = (until: number) => giver.give({ ...request(to), wait: until - clock.now() });
    const deadline = clock.now() + GRANT_TIMEOUT;
    const { donor: from, reply } = await asker.askBest(to, DEFAULT_NETWORK, deadline, give);
    return { donor: from, entries: reply.granted };
  }

  async function adopt(data: unknown): Promise<void> {
    const entries = readEntries(data);
    if (entries === undefined || !entries.every((entry) => isGrantFor(entry, parts))) {
      throw new SpaceError(
        'bad-grant',
        'what came with the invitation is no grant of addresses to this peer',
      );
    }
    ledger.trust(entries);
    await state.held.set(state.held.get());
  }

  async function start(): Promise<void> {
    const genesis = genesisRecord({ crypto, identity, mesh: membership.mesh, range });
    if (self === membership.creator && records.get(self, genesis.key) === undefined) {
      await records.put(genesis.key, genesis.value);
    }
    donor.resume();
  }

  return {
    ring: ledger.ring,
    watch: ledger.watch,
    allocate: allocator.allocate,
    release: allocator.release,
    allocations: allocator.allocations,
    watchAllocations: state.watchLeases,
    free,
    labels: createLabels({ ledger, state, donor, holds }),
    holds,
    refill: allocator.refill,
    learn: ledger.learn,
    grant,
    grantFromBest,
    adopt,
    quarantine: ledger.quarantine,
    pendingDonations: state.intents.get,
    inheritance: inheritor,
    start,
    close() {
      waiting.close();
      ledger.close();
    },
  };
}

/** The record with which the creator of a mesh takes the whole range. */
export function genesisRecord(parts: {
  readonly crypto: Crypto;
  readonly identity: Identity;
  readonly mesh: MeshId;
  readonly range: Range;
}): { readonly key: string; readonly value: RingEntry } {
  const { crypto, identity, mesh, range } = parts;
  const value = signChange(crypto, identity, mesh, genesisChange(range, identity.peer));
  return { key: ringKey(value), value };
}

/**
 * Signed by its donor and by a witness. That the witness is the donor's heir is checked where the membership of the donor is known: that
 * this peer is to be it, is written down when this peer has stored the grant.
 */
function isGrantFor(entry: RingEntry, { self, range, membership, crypto }: SpaceParts): boolean {
  const heir = entry.witness === self ? self : (membership.heirOf(entry.donor) ?? entry.witness);
  return (
    entry.owner === self &&
    entry.donor !== self &&
    includes(range, entry.start) &&
    includes(range, entry.last) &&
    isDonorsWord(crypto, membership.mesh, entry) &&
    witnessFault(crypto, membership.mesh, entry, () => heir, membership.mayAct) === undefined
  );
}
