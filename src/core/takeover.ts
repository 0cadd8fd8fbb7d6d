import { DEFAULT_NETWORK, type PeerId } from './ids.ts';
import type { Segment } from './ring.ts';
import { isTakeover, type RingChange, type RingEntry } from './ring-entry.ts';
import { isLater } from './succession.ts';

/**
 * How the addresses of a removed peer x pass on, so that no two admitted peers ever use one address:
 *
 *   1. x's successor (core/succession.ts) writes the tombstone to disk: from then on it witnesses nothing for x. This is the fence.
 *   2. The heir itself (depth 1) has witnessed every donation of x, so it knows all of them: it takes what is left, at once.
 *   3. Anybody further down the line (depth 2 and more, the root key's adopter) knows less: donations may be on their way that only
 *      the lost heir had witnessed. It waits until every admitted peer has promised to it: of the entries of x only those that it lists,
 *      and takeovers from here on down the line, will ever count here (`Promised`). What all of them list together is what stands
 *      (`Closing`); the rest is void everywhere, and taken.
 *   4. Is that one removed as well, then who comes after it collects anew: peers may rely by now on what it had taken and given away.
 *
 * A takeover is an entry of version 0 in a later epoch: as many epochs later as its writer's place in the line says, so that each epoch has
 * one writer, and one with several places says at which it has written.
 */
export interface Closing {
  /** Of the taker that wrote it. The closing of the latest one (`isLater`) counts. */
  readonly depth: number;
  /** Tags of the entries with donor x that count. */
  readonly standing: ReadonlySet<string>;
}

/** The promise of one admitted peer, to one successor; the latest (`isLater`) counts. */
export interface Promised {
  /** Of the successor. */
  readonly depth: number;
  /** Tags of the entries with donor x that it knew when it promised; it takes no others. */
  readonly known: ReadonlySet<string>;
  /** Tags of the peers that it has let in: they have to promise too. */
  readonly issued: ReadonlySet<string>;
}

/** At this depth a taker needs the promises of all. */
export const NEEDS_PROMISES = 2;

/** The changes by which `self` takes what `depthFor` says it may. Each is written once: afterwards the segments are its own. */
export function planTakeovers(
  segments: readonly Segment[],
  self: PeerId,
  depthFor: (owner: PeerId) => number | undefined,
): readonly RingChange[] {
  const changes: RingChange[] = [];
  for (const segment of segments) {
    const owner = takenFrom(segment);
    const depth = depthFor(owner);
    if (depth === undefined || owner === self) continue;
    const network = segment.entry?.network ?? DEFAULT_NETWORK;
    const { start, last } = segment;
    const change = {
      start,
      last,
      network,
      owner: self,
      epoch: segment.epoch + depth,
      version: 0,
      donor: owner,
    };
    const before = changes.at(-1);
    if (before !== undefined && before.last + 1 === start && continues(before, change)) {
      changes[changes.length - 1] = { ...before, last };
    } else changes.push(change);
  }
  return changes;
}

/** What a donor gave to two peers at once is nobody's, and falls to who succeeds that donor. */
export function takenFrom({ entry, donor }: Segment): PeerId {
  return entry?.owner ?? donor;
}

function continues(a: RingChange, b: RingChange): boolean {
  return a.network === b.network && a.epoch === b.epoch && a.donor === b.donor;
}

/**
 * Whether an entry whose donor is being taken over counts. `depth`: where the taker stood, when the entry is a takeover. `own`: what this
 * peer has promised, when it has.
 */
export function stands(
  entry: RingEntry,
  tag: string,
  closing: Closing | undefined,
  own: Promised | undefined,
  depth: number | undefined,
): boolean {
  const isClosed = closing !== undefined && (own === undefined || !isLater(own.depth, closing.depth));
  const word = isClosed
    ? { depth: closing.depth, tags: closing.standing }
    : own && { depth: own.depth, tags: own.known };
  if (word === undefined || word.tags.has(tag)) return true;
  return isTakeover(entry) && depth !== undefined && !isLater(word.depth, depth);
}

/** What a taker still waits for: peers that have not promised to it, and entries, members or removals that it has not heard of. */
export interface Collect {
  readonly missing: readonly PeerId[];
  readonly unheard: number;
}

/**
 * `depth`: of the taker; `seen`: tags of all entries of x that this peer has heard of; `peers`: tags of all peers that were ever members,
 * as known here.
 */
export function collect(parts: {
  readonly depth: number;
  readonly admitted: readonly PeerId[];
  readonly promises: ReadonlyMap<PeerId, Promised>;
  readonly seen: ReadonlySet<string>;
  readonly peers: ReadonlySet<string>;
}): Collect {
  const { depth, admitted, promises, seen, peers } = parts;
  const missing = admitted.filter((peer) => isLater(depth, promises.get(peer)?.depth ?? 0));
  const unheard = new Set<string>();
  for (const peer of admitted) {
    const promised = promises.get(peer);
    // It knows of a later successor, so of a removal that is not known here.
    if (isLater(promised?.depth ?? 0, depth)) unheard.add(`successor ${promised?.depth}`);
    for (const tag of promised?.known ?? []) if (!seen.has(tag)) unheard.add(`entry ${tag}`);
    for (const tag of promised?.issued ?? []) if (!peers.has(tag)) unheard.add(`peer ${tag}`);
  }
  return { missing, unheard: unheard.size };
}

/**
 * Tags of what counts of a removed peer's entries from now on: what anybody promised to take, this peer included, and an earlier taker has
 * not declared void. `depths`: where the taker may have stood, of a takeover.
 */
export function accountOf(
  heard: Iterable<{
    readonly entry: RingEntry;
    readonly tag: string;
    readonly depths: readonly number[] | undefined;
  }>,
  promises: Iterable<Promised>,
  earlier: Closing | undefined,
): ReadonlySet<string> {
  const promised = [...promises];
  const standing = new Set<string>();
  for (const { entry, tag, depths = [undefined] } of heard) {
    const relied = promised.some(({ known }) => known.has(tag));
    if (relied && depths.some((depth) => stands(entry, tag, earlier, undefined, depth))) standing.add(tag);
  }
  return standing;
}

/** After a restart a taker may have to hear again what it has found to stand. Without a closing it is the heir, which forgets nothing. */
export function mayTake(closing: Closing | undefined, seen: ReadonlySet<string>): boolean {
  return closing === undefined || [...closing.standing].every((tag) => seen.has(tag));
}

export function isComplete({ missing, unheard }: Collect): boolean {
  return missing.length === 0 && unheard === 0;
}
