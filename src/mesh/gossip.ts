import type { Crypto } from '../core/crypto.ts';
import type { MeshId, PeerId } from '../core/ids.ts';
import {
  type Delta,
  decodeDelta,
  type SignedDelta,
  type VerifiedDelta,
  verifyDelta,
} from '../core/wire/delta.ts';
import type { VectorPart } from '../core/wire/vector.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Random } from '../ports/random.ts';
import { createComparisons } from './comparisons.ts';
import type { Links, Neighbour } from './links.ts';
import type { Membership } from './membership.ts';
import { createOutbox, type Outbox } from './outbox.ts';
import type { OpenRecords } from './replicated.ts';
import { createRequests } from './requests.ts';

/**
 * How records get around.
 *
 * 1. A new delta goes to every neighbour but the one that brought it, in batches. A large batch is only offered, and each asks (`want`)
 *    one of those that offer it (requests.ts).
 * 2. The dialler of a new link tells its whole state in three numbers (`summary`). If the other side's differ, it says what it holds of
 *    every author (`vector`), gets or is offered what is lacking there and is asked for the rest. So two halves of a healed mesh are
 *    equal within a second. One comparison at a time (comparisons.ts): after the first there is little left for the next.
 * 3. Every ten seconds one random neighbour is told the summary. This finds what 1 and 2 have lost; there are no acknowledgements and
 *    no gaps to be repaired otherwise.
 *
 * What cannot be read, is not signed by its author or is over a limit is counted under its author and dropped; the link stays.
 */
export interface Gossip {
  readonly counters: GossipCounters;
  /** Sends what waits, without waiting for the batch. */
  flush(): void;
  close(): void;
}

export interface GossipCounters {
  /** Deltas received that were new, and that were not. */
  fresh: number;
  duplicates: number;
  rejected: number;
  /** Signatures that had to be checked. */
  verifications: number;
  sent: number;
  /** Summaries that differed. */
  repairs: number;
}

export interface GossipParts {
  readonly mesh: MeshId;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  readonly links: Links;
  readonly membership: Pick<Membership, 'isMember' | 'isRemoved' | 'watch'>;
  readonly records: OpenRecords;
  readonly log: Log;
}

/**
 * At most one batch to a neighbour in this time; the first one after a quiet time leaves sooner. A host of a thousand pays for messages,
 * not for bytes: with 50 ms it sends half as many more, with 150 ms a change takes twice as long (test/sim/times.ts).
 */
export const BATCH = 100;
const FIRST_BATCH = 5;
/** Where one batch follows the other, a quarter of the messages is saved for half as much time again. */
const BUSY_BATCH = 150;
const BUSY_AFTER = 10;
export const SUMMARY_EVERY = 10_000;
/** Deltas that wait for their author to become a member. Its certificate is usually some messages behind. */
const MAX_STRANGERS = 4_096;
const MAX_STRANGER_BYTES = 4 << 20;

export function createGossip(parts: GossipParts): Gossip {
  const { mesh, crypto, clock, random, links, membership, records, log } = parts;
  const { replica } = records;
  const outboxes = new Map<Neighbour, Outbox>();
  const counters: GossipCounters = {
    fresh: 0,
    duplicates: 0,
    rejected: 0,
    verifications: 0,
    sent: 0,
    repairs: 0,
  };
  const strangers = createStrangers();
  const requests = createRequests({
    clock,
    stillLacking: replica.stillLacking,
    onFailure: () => comparisons.begin(anyNeighbour()),
  });
  const comparisons = createComparisons({ clock, digest: replica.digest, vector: replica.vector });
  /** For the next batch, once for all neighbours: thousands come at once. With those that have it, or are about to. */
  const news = new Map<VerifiedDelta, Neighbour[]>();
  let batch: Timer | undefined;
  let lastBatch = -BATCH;
  let batchesInARow = 0;
  let reconsidering: Timer | undefined;

  function push(delta: VerifiedDelta, from?: Neighbour): void {
    news.set(delta, from === undefined ? [] : [from]);
    const pace = batchesInARow < BUSY_AFTER ? BATCH : BUSY_BATCH;
    const wait = Math.max(FIRST_BATCH, lastBatch + pace - clock.now());
    batch ??= clock.setTimer(wait, flush);
  }

  function flush(): void {
    batch?.cancel();
    batch = undefined;
    batchesInARow = clock.now() - lastBatch <= 2 * BUSY_BATCH ? batchesInARow + 1 : 0;
    lastBatch = clock.now();
    for (const [neighbour, outbox] of outboxes) {
      for (const [delta, holders] of news) if (!holders.includes(neighbour)) outbox.add(delta);
      outbox.flush();
    }
    news.clear();
  }

  // --- what arrives

  function receive(from: Neighbour, signed: SignedDelta): void {
    const held = replica.held(signed.signature);
    if (held !== undefined) {
      counters.duplicates++;
      requests.arrived(from, held);
      news.get(held)?.push(from);
      outboxes.get(from)?.remove(held);
      return;
    }
    const known = replica.known(signed);
    const decoded = known === undefined ? decodeDelta(crypto, signed) : { ok: true as const, delta: known };
    if (!decoded.ok) {
      reject(undefined, decoded.problem, from);
      return;
    }
    const { delta } = decoded;
    requests.arrived(from, delta);
    if (!replica.isNews(delta)) counters.duplicates++;
    else if (isKnown(delta.author)) take(delta, from, known);
    else strangers.add(delta);
  }

  /** `known`: the same delta, when this process has checked it before. */
  function take(delta: Delta, from: Neighbour | undefined, known?: VerifiedDelta): void {
    counters.verifications++;
    const verified = known ?? verifyDelta(crypto, mesh, delta);
    const merged = verified === undefined ? undefined : records.merge(verified);
    if (verified === undefined || merged === undefined) reject(delta.author, 'bad-signature', from);
    else if (!merged.ok) reject(delta.author, merged.problem, from);
    else {
      counters.fresh++;
      push(verified, from);
    }
  }

  function reject(author: PeerId | undefined, problem: string, from: Neighbour | undefined): void {
    counters.rejected++;
    records.quarantine(author, problem);
    log.debug('did not take a record', { author, problem, from: from?.peer });
  }

  /** Removed peers too: what they wrote while they were members stays part of the state on all peers. */
  function isKnown(author: PeerId): boolean {
    return membership.isMember(author) || membership.isRemoved(author);
  }

  function reconsider(): void {
    reconsidering = undefined;
    for (const delta of strangers.release(isKnown)) if (replica.isNews(delta)) take(delta, undefined);
  }

  // --- comparing

  function compare(from: Neighbour, part: VectorPart): void {
    const { send, lacking } = replica.compare(part);
    const outbox = outboxes.get(from);
    for (const delta of send) {
      news.get(delta)?.push(from);
      outbox?.add(delta);
    }
    outbox?.flush();
    requests.offered(from, lacking);
  }

  function give(to: Neighbour, want: Uint8Array): void {
    const outbox = outboxes.get(to);
    for (const delta of replica.wanted(want)) {
      news.get(delta)?.push(to);
      outbox?.give(delta);
    }
    outbox?.flush();
  }

  function anyNeighbour(): Neighbour | undefined {
    const all = links.neighbours();
    return all[Math.floor(random.fraction() * all.length)];
  }

  function summarise(): void {
    timer = clock.setTimer(SUMMARY_EVERY * (0.8 + 0.4 * random.fraction()), summarise);
    comparisons.begin(anyNeighbour());
  }

  links.handle('deltas', (from, { deltas }) => {
    for (const signed of deltas) receive(from, signed);
    requests.proceed();
  });
  links.handle('vector', compare);
  links.handle('want', (from, { want }) => give(from, want));
  links.handle('offer', (from, { entries }) => requests.offered(from, replica.lacking(entries)));
  links.handle('summary', (from, theirs) => {
    if (comparisons.answer(from, theirs)) counters.repairs++;
  });

  function up(neighbour: Neighbour): void {
    const onSent = (count: number) => {
      counters.sent += count;
    };
    outboxes.set(
      neighbour,
      createOutbox({
        neighbour,
        isLive: ({ signature }) => replica.held(signature) !== undefined,
        offer: replica.offer,
        onSent,
      }),
    );
    if (neighbour.direction === 'dialled') comparisons.begin(neighbour);
  }

  function down(neighbour: Neighbour): void {
    outboxes.delete(neighbour);
    comparisons.gone(neighbour);
    requests.gone(neighbour);
  }

  const stops = [
    links.watch({
      up,
      down,
      room: (neighbour) => outboxes.get(neighbour)?.flush(),
    }),
    records.onWritten((delta) => push(delta)),
    // Later, because a change of membership may come out of the middle of a merge.
    membership.watch(() => {
      reconsidering ??= clock.setTimer(0, reconsider);
    }),
  ];
  let timer = clock.setTimer(SUMMARY_EVERY * random.fraction(), summarise);
  for (const neighbour of links.neighbours()) up(neighbour);

  return {
    counters,
    flush,
    close() {
      flush();
      timer.cancel();
      batch?.cancel();
      reconsidering?.cancel();
      requests.close();
      comparisons.close();
      for (const stop of stops) stop();
    },
  };
}

/** A waiting room that forgets the first when it is full; what is forgotten comes again with a comparison. */
function createStrangers() {
  const waiting = new Map<string, Delta>();
  let bytes = 0;

  function remove(name: string, delta: Delta): void {
    if (waiting.delete(name)) bytes -= delta.body.length;
  }

  return {
    add(delta: Delta): void {
      // With the signature, so that a forgery does not take the place of the real one.
      const name = `${delta.author} ${delta.seq} ${delta.signature}`;
      if (waiting.has(name)) return;
      waiting.set(name, delta);
      bytes += delta.body.length;
      for (const [oldest, first] of waiting) {
        if (waiting.size <= MAX_STRANGERS && bytes <= MAX_STRANGER_BYTES) break;
        remove(oldest, first);
      }
    },
    release(isKnown: (author: PeerId) => boolean): readonly Delta[] {
      const released = [...waiting].filter(([, delta]) => isKnown(delta.author));
      for (const [name, delta] of released) remove(name, delta);
      return released.map(([, delta]) => delta);
    },
  };
}
