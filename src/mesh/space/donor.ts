import type { Range } from '../../core/address.ts';
import type { Crypto, Identity } from '../../core/crypto.ts';
import { type Block, isSettled, planDonation } from '../../core/donation.ts';
import type { NetworkId, PeerId } from '../../core/ids.ts';
import {
  decodeEntry,
  isSignedBy,
  type RingEntry,
  ringKey,
  signChange,
  witnessBytes,
} from '../../core/ring-entry.ts';
import type { Keeper } from '../keeper.ts';
import type { Membership } from '../membership.ts';
import type { Messenger } from '../messenger.ts';
import type { Records } from '../records.ts';
import type { Ledger } from './ledger.ts';
import { readWitnessReply, WITNESS } from './protocol.ts';
import type { SpaceState } from './state.ts';
import type { Waiting } from './waiting.ts';

/** Carries donations from the intent to the published entry, over lost messages, restarts and absent heirs. */
export interface Donor {
  /**
   * Gives `part` of an own block away. Synchronous up to the intent, so between looking for what is free and promising it nothing can
   * come. Resolves when the entry is published; that may take as long as the heir is away. `ownWitness`: the new owner is the heir.
   */
  donate(block: Block, part: Range, to: PeerId, ownWitness?: boolean): Promise<RingEntry>;
  /** Puts an own block into another network. Like `donate`, but nobody else need agree to what stays with its owner. */
  relabel(block: Block, network: NetworkId): Promise<RingEntry>;
  /** The donation under way that includes the address. */
  pendingAt(address: number): Pending | undefined;
  /** The block donation to `to` that is under way. */
  pendingTo(to: PeerId): Pending | undefined;
  /** A donation to `to` that is published but does not count yet: to who is to be this peer's heir, until that is written. */
  publishedTo(to: PeerId): RingEntry | undefined;
  /** Whether the heir answers, which it must before a donation is worth beginning: what is promised away cannot be taken back. */
  heirAnswers(to: PeerId, timeout: number): Promise<boolean>;
  /** Goes on with what an earlier life left. */
  resume(): void;
}

export interface Pending {
  readonly to: PeerId;
  readonly published: Promise<RingEntry>;
}

interface DonorParts {
  readonly self: PeerId;
  readonly ledger: Ledger;
  readonly state: SpaceState;
  readonly records: Records;
  readonly keeper: Keeper;
  readonly membership: Membership;
  readonly messenger: Messenger;
  readonly crypto: Crypto;
  readonly identity: Identity;
  readonly waiting: Waiting;
}

const WITNESS_TIMEOUT = 2_000;
/** Between two attempts, ms: doubled each time up to the longest. */
const FIRST_RETRY = 200;
const LONGEST_RETRY = 10_000;

export function createDonor(parts: DonorParts): Donor {
  const { self, ledger, state, records, keeper, membership, messenger, crypto, identity, waiting } = parts;
  const pending = new Map<string, { readonly entry: RingEntry; readonly published: Promise<RingEntry> }>();

  function begin(entry: RingEntry, stored: Promise<void>): Promise<RingEntry> {
    const published = carry(entry, stored);
    pending.set(ringKey(entry), { entry, published });
    // Nobody may be waiting (any more); the attempt goes on all the same.
    published.catch(() => {});
    return published;
  }

  async function carry(intent: RingEntry, stored: Promise<void>): Promise<RingEntry> {
    let retry = FIRST_RETRY;
    let onDisk = settled(stored);
    while (!waiting.closed && !isLost(intent)) {
      const entry = await attempt(intent, onDisk);
      if (entry !== undefined) return entry;
      await waiting.change(membership.watch, retry);
      // Writes again what may have failed; costs nothing when there is nothing to write.
      onDisk = settled(keeper.flush());
      retry = Math.min(2 * retry, LONGEST_RETRY);
    }
    throw new Error(waiting.closed ? 'the daemon is stopping' : 'the donation was taken back');
  }

  /** At the end of this peer nobody asks any more how it went. */
  function settled(stored: Promise<void>): Promise<void> {
    stored.catch(() => {});
    return stored;
  }

  async function attempt(intent: RingEntry, onDisk: Promise<void>): Promise<RingEntry | undefined> {
    try {
      // Before anybody hears of it: whoever has heard may use the range although this peer has forgotten.
      await onDisk;
      const entry = await witnessed(intent);
      if (entry === undefined || waiting.closed) return undefined;
      await records.put(ringKey(entry), entry);
      pending.delete(ringKey(entry));
      return entry;
    } catch {
      // No route, no answer, a full disk: the next attempt may find it otherwise.
      return undefined;
    }
  }

  async function witnessed(intent: RingEntry): Promise<RingEntry | undefined> {
    if (intent.owner === self) return intent;
    if (intent.witness !== undefined) return isLost(intent) ? undefined : intent;
    const witness = membership.witnessOf(self);
    if (witness === undefined) return undefined;
    if (witness === intent.owner) return { ...intent, witness };
    const answer = await messenger.request(witness, WITNESS, { entry: intent }, { timeout: WITNESS_TIMEOUT });
    const reply = readWitnessReply(answer);
    if (reply === undefined || !('signature' in reply)) return undefined;
    const bytes = witnessBytes(membership.mesh, intent, witness);
    if (!isSignedBy(crypto, witness, bytes, reply.signature)) return undefined;
    return { ...intent, witness, witnessSignature: reply.signature };
  }

  /** An entry that counts does what its intent did: keep the range from being used here. */
  function dropSettled(): void {
    const intents = state.intents.get();
    const left = intents.filter((intent) => !isSettled(ledger.segments(), intent));
    // One that stays on disk by accident is dropped at the next start.
    if (left.length < intents.length) state.intents.set(left).catch(() => {});
  }

  /** To a joiner that was to become the heir and did not, because another has: nobody will ever count it. */
  function isLost({ witness }: RingEntry): boolean {
    if (witness === undefined || membership.witnessOf(self) === undefined) return false;
    return !membership.mayAct(self, witness);
  }

  /** That another peer is the heir goes to disk before this does, in the same file. */
  function takeBackLost(): void {
    const intents = state.intents.get();
    const lost = intents.filter(isLost);
    if (lost.length === 0) return;
    for (const entry of lost) pending.delete(ringKey(entry));
    state.intents.set(intents.filter((intent) => !lost.includes(intent))).catch(() => {});
    const published = lost.map(ringKey).filter((key) => records.get(self, key) !== undefined);
    for (const key of published) records.put(key, undefined).catch(() => {});
  }

  const found = (match: (entry: RingEntry) => boolean): Pending | undefined => {
    for (const { entry, published } of pending.values()) {
      if (match(entry)) return { to: entry.owner, published };
    }
    return undefined;
  };

  ledger.watch(dropSettled);
  membership.watch(takeBackLost);
  return {
    donate(block, part, to, ownWitness = false) {
      const signed = signChange(crypto, identity, membership.mesh, planDonation(block, part, self, to));
      const intent = ownWitness ? { ...signed, witness: to } : signed;
      return begin(intent, state.intents.set([...state.intents.get(), intent]));
    },
    relabel(block, network) {
      const change = planDonation(block, block, self, self, network);
      const intent = signChange(crypto, identity, membership.mesh, change);
      return begin(intent, state.intents.set([...state.intents.get(), intent]));
    },
    publishedTo(to) {
      // With another heir than `to` it will never count.
      if (membership.witnessOf(self) !== undefined) return undefined;
      const intent = state.intents.get().find(({ owner, donor }) => owner === to && donor === self);
      const decoded = intent && decodeEntry(records.get(self, ringKey(intent)));
      return decoded?.ok ? decoded.value : undefined;
    },
    pendingAt: (address) => found(({ start, last }) => start <= address && address <= last),
    pendingTo: (to) => found(({ owner, start, last }) => owner === to && start < last),
    async heirAnswers(to, timeout) {
      const heir = membership.witnessOf(self);
      if (heir === undefined || heir === to) return heir === to;
      try {
        const answer = readWitnessReply(await messenger.request(heir, WITNESS, {}, { timeout }));
        return answer !== undefined && 'ready' in answer;
      } catch {
        return false;
      }
    },
    resume() {
      dropSettled();
      takeBackLost();
      for (const intent of state.intents.get()) {
        if (records.get(self, ringKey(intent)) === undefined) begin(intent, keeper.flush());
      }
    },
  };
}
