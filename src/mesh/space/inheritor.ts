import type { Crypto, Identity } from '../../core/crypto.ts';
import type { PeerId } from '../../core/ids.ts';
import { sizeOf } from '../../core/ranges.ts';
import { type RingChange, type RingEntry, ringKey, signChange, witnessBytes } from '../../core/ring-entry.ts';
import { isLater } from '../../core/succession.ts';
import {
  accountOf,
  type Collect,
  collect,
  isComplete,
  mayTake,
  NEEDS_PROMISES,
  planTakeovers,
  takenFrom,
} from '../../core/takeover.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import type { Membership, OpenMembership } from '../membership.ts';
import type { Records } from '../records.ts';
import type { Closings } from './closings.ts';
import type { Ledger } from './ledger.ts';
import type { SpaceState } from './state.ts';
import type { Waiting } from './waiting.ts';

/**
 * Takes over the addresses of removed peers (core/takeover.ts), as far as it is this peer's to do, and promises what others need for it.
 * Everything follows from records on disk, so it does not matter where it was interrupted.
 */
export interface Inheritor {
  /** Removed peers whose addresses have not passed on yet, as far as is known here: on every peer. */
  waiting(): readonly Waits[];
  /** Takes over without the promises of those who are silent. Only for a peer that the root key made the successor. On disk when it resolves. */
  force(peer: PeerId): Promise<void>;
}

export interface Waits extends Collect {
  readonly peer: PeerId;
  /** Who takes its addresses over; undefined where only the root key can name somebody. */
  readonly taker: PeerId | undefined;
}

export interface InheritorParts {
  readonly self: PeerId;
  readonly ledger: Ledger;
  readonly closings: Closings;
  readonly state: SpaceState;
  readonly records: Records;
  readonly membership: Membership & Pick<OpenMembership, 'issuedBy'>;
  readonly crypto: Crypto;
  readonly identity: Identity;
  readonly clock: Clock;
  readonly waiting: Waiting;
  readonly log: Log;
}

/** After a disk that failed, ms. */
const TRY_AGAIN = 5_000;

export function createInheritor(parts: InheritorParts): Inheritor {
  const { self, ledger, closings, state, records, membership, crypto, identity, clock, log } = parts;
  const forced = new Set<PeerId>();
  let running = false;
  let again = false;

  const depthFor = (peer: PeerId) => {
    const taker = membership.takerOf(peer);
    return taker?.peer === self ? taker.depth : undefined;
  };

  /** One at a time; what changes meanwhile is looked at afterwards. */
  async function run(): Promise<void> {
    again = true;
    if (running || parts.waiting.closed) return;
    running = true;
    try {
      while (again && !parts.waiting.closed) {
        again = false;
        await step();
      }
    } catch (error) {
      log.warn('a takeover is held up', { error: String(error) });
      clock.setTimer(TRY_AGAIN, soon);
    } finally {
      running = false;
    }
  }

  function soon(): void {
    void run();
  }

  async function step(): Promise<void> {
    if (membership.isRemoved(self)) return;
    for (const peer of membership.removed()) {
      await promiseAbout(peer);
      const depth = depthFor(peer);
      if (depth === undefined) continue;
      if (depth < NEEDS_PROMISES) ledger.learn(witnessed(peer));
      else if (!(await close(peer, depth))) continue;
      await take(peer, depth);
    }
  }

  /** Donations that this peer has signed for and that their donor may not have published. */
  function witnessed(donor: PeerId): readonly RingEntry[] {
    const promises = state.promises.get().filter((promise) => promise.donor === donor);
    return promises.map((promise) => {
      const bytes = witnessBytes(membership.mesh, promise, self);
      return { ...promise, witness: self, witnessSignature: crypto.sign(identity.seed, bytes) };
    });
  }

  /** What counts here must be known to all before it may count anywhere, so entries that came in a message are published along with it. */
  async function promiseAbout(peer: PeerId): Promise<void> {
    const taker = membership.takerOf(peer);
    if (taker === undefined || taker.depth < NEEDS_PROMISES || !membership.isMember(self)) return;
    const begun = closings.ownPromise(peer)?.depth ?? 0;
    // After a restart the removal of the last successor may not be known again.
    const depth = isLater(begun, taker.depth) ? begun : taker.depth;
    const written = closings.promiseBy(peer, self);
    if (written !== undefined && !isLater(depth, written.depth)) return;
    ledger.learn(witnessed(peer));
    const entries = ledger.heardOf(peer).filter(({ counts }) => counts);
    await publish(entries.map(({ entry }) => entry));
    // Synchronous from here: what has come during the write is promised as well, and nothing after it.
    const known = ledger.heardOf(peer).filter(({ counts }) => counts);
    const issued = membership.issuedBy(self).map(closings.tagOfPeer);
    await closings.promise(peer, {
      depth,
      known: new Set(known.map(({ tag }) => tag)),
      issued: new Set(issued),
    });
  }

  /** What its writer's records do not hold. */
  async function publish(entries: readonly RingEntry[]): Promise<void> {
    const unpublished = entries.filter((entry) => !ledger.isPublished(entry));
    if (unpublished.length > 0)
      await records.putAll(new Map(unpublished.map((entry) => [ringKey(entry), entry])));
  }

  function collected(peer: PeerId, depth: number): Collect {
    const peers = [...membership.members(), ...membership.removed()].map(closings.tagOfPeer);
    return collect({
      depth,
      admitted: membership.members(),
      promises: closings.promisesAbout(peer),
      seen: new Set(ledger.heardOf(peer).map(({ tag }) => tag)),
      peers: new Set(peers),
    });
  }

  /** Whether it is settled what counts of the peer's entries. */
  async function close(peer: PeerId, depth: number): Promise<boolean> {
    if (closings.closingBy(peer, self, depth) !== undefined) return true;
    if (!forced.has(peer) && !isComplete(collected(peer, depth))) return false;
    const standing = accountOf(
      ledger.heardOf(peer),
      closings.promisesAbout(peer).values(),
      closings.closingOf(peer),
    );
    await keepWith(closings.closingRecords(peer, { depth, standing }));
    return true;
  }

  /** A takeover counts where the history before it is known, which nobody but this peer may be left to tell. */
  async function keepWith(changes: ReadonlyMap<string, unknown>): Promise<void> {
    await Promise.all([records.keep(), records.putAll(changes)]);
  }

  async function take(peer: PeerId, depth: number): Promise<void> {
    const seen = new Set(ledger.heardOf(peer).map(({ tag }) => tag));
    if (!mayTake(closings.closingBy(peer, self, depth), seen)) return;
    await publish(witnessed(peer));
    const changes = planTakeovers(ledger.segments(), self, (owner) => (owner === peer ? depth : undefined));
    if (changes.length === 0) return;
    const entries = changes.map((change: RingChange) =>
      signChange(crypto, identity, membership.mesh, change),
    );
    await keepWith(new Map(entries.map((entry) => [ringKey(entry), entry])));
    const addresses = changes.reduce((sum, change) => sum + sizeOf(change), 0);
    log.info('took over the addresses of a removed peer', { peer, addresses });
  }

  ledger.watch(soon);
  membership.watch(soon);
  closings.watch(soon);
  soon();

  function waitsFor(peer: PeerId, owners: ReadonlySet<PeerId>): readonly Waits[] {
    const taker = membership.takerOf(peer);
    const settled = { missing: [], unheard: 0 };
    if (taker === undefined) return owners.has(peer) ? [{ peer, taker, ...settled }] : [];
    const { peer: by, depth } = taker;
    if (depth >= NEEDS_PROMISES && closings.closingBy(peer, by, depth) === undefined) {
      return [{ peer, taker: by, ...collected(peer, depth) }];
    }
    return owners.has(peer) ? [{ peer, taker: by, ...settled }] : [];
  }

  return {
    waiting() {
      if (membership.isRemoved(self)) return [];
      const owners = new Set(ledger.segments().map(takenFrom));
      return membership.removed().flatMap((peer) => waitsFor(peer, owners));
    },
    async force(peer) {
      forced.add(peer);
      const depth = depthFor(peer);
      if (depth === undefined) return;
      await close(peer, depth);
      await run();
    },
  };
}
