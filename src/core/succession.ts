import type { PeerId } from './ids.ts';

/**
 * Who stands in for whom. Each peer has one heir, which witnesses its donations and takes over its addresses when it is removed. Where
 * the heir was removed too, the heir's heir stands in, and so on: at each moment one peer at most may act, and whoever may act once
 * may act for ever, because a removal is never undone.
 *
 * A line of removed heirs comes back to where it has been, and ends. Then its first peer may name another heir: the next that joins
 * through it, and only as the last member of the mesh. The newcomer's certificate hangs on the peer, so where a removed heir has, unknown
 * to it, removed the peer as well, the newcomer is no member either (core/roster.ts), whatever it was given.
 *
 * The root key may name another successor, its adopter: the way out where two heirs of each other are both lost.
 */
export interface Lineage {
  isRemoved(peer: PeerId): boolean;
  /** As its certificate says, or, for the creator, its first joiner. */
  heirOf(peer: PeerId): PeerId | undefined;
  /** Named by a tombstone of the root key. */
  adopterOf(peer: PeerId): PeerId | undefined;
  /** The heirs that the peer itself has named since, the first first: each counts when everybody before it is removed. */
  namedBy(peer: PeerId): readonly PeerId[];
}

export interface Successor {
  readonly peer: PeerId;
  /** Steps from the peer that is succeeded: 1 is its heir, 2 its heir's heir. A step by the root key counts BY_ROOT, to the nth named heir n × BY_NAME. */
  readonly depth: number;
}

/** More than any line of heirs has steps that matter: so two ways to a successor never give one epoch to two peers. */
export const BY_ROOT = 1_024;
/** Likewise more than the root key has to step in. */
export const BY_NAME = 65_536;

/** Everybody who may act for `peer`, nearest first: a successor counts where all before it are removed. */
export function lineOf(peer: PeerId, lineage: Lineage): readonly Successor[] {
  const line: Successor[] = [];
  const seen = new Set([peer]);
  const open: Successor[] = [{ peer, depth: 0 }];
  for (let at = open.shift(); at !== undefined; at = open.shift()) {
    const next = [
      { peer: lineage.heirOf(at.peer), depth: at.depth + 1 },
      { peer: lineage.adopterOf(at.peer), depth: at.depth + BY_ROOT },
      ...namesThatCount(at.peer, lineage).map((peer, nth) => ({
        peer,
        depth: at.depth + (nth + 1) * BY_NAME,
      })),
    ];
    for (const { peer: who, depth } of next) {
      if (who === undefined || seen.has(who)) continue;
      seen.add(who);
      line.push({ peer: who, depth });
      if (lineage.isRemoved(who)) open.push({ peer: who, depth });
    }
  }
  return line;
}

/** Who inherits a removed peer now. Undefined: the peer was not removed, or heirs of each other are all gone, which needs the root key. */
export function takerOf(peer: PeerId, lineage: Lineage): Successor | undefined {
  return lineage.isRemoved(peer) ? successorOf(peer, lineage) : undefined;
}

/** Who witnesses the donations of `peer` now, and would inherit it. */
export function successorOf(peer: PeerId, lineage: Lineage): Successor | undefined {
  const found = actingFor({ peer, depth: 0 }, lineage, new Set([peer]));
  return typeof found === 'string' ? undefined : found;
}

/** `nobody`: the line has come back to where it was. `unknown`: it goes on where nothing is known (yet). */
type Found = Successor | 'nobody' | 'unknown';

function actingFor({ peer, depth }: Successor, lineage: Lineage, passed: Set<PeerId>): Found {
  const adopter = lineage.adopterOf(peer);
  if (adopter !== undefined) return reached(adopter, depth + BY_ROOT, lineage, passed);
  let found = reached(lineage.heirOf(peer), depth + 1, lineage, passed);
  for (const [nth, named] of lineage.namedBy(peer).entries()) {
    if (found !== 'nobody') break;
    found = reached(named, depth + (nth + 1) * BY_NAME, lineage, passed);
  }
  return found;
}

function reached(peer: PeerId | undefined, depth: number, lineage: Lineage, passed: Set<PeerId>): Found {
  if (peer === undefined) return 'unknown';
  if (passed.has(peer)) return 'nobody';
  if (!lineage.isRemoved(peer)) return { peer, depth };
  passed.add(peer);
  return actingFor({ peer, depth }, lineage, passed);
}

/** Whom the root key names takes nothing from who may act already, so adopters do not matter here. */
function namesThatCount(peer: PeerId, lineage: Lineage): readonly PeerId[] {
  const named = lineage.namedBy(peer);
  if (named.length === 0) return named;
  const heirs: Lineage = { ...lineage, adopterOf: () => undefined };
  const passed = new Set([peer]);
  let count = 0;
  for (let next = lineage.heirOf(peer); count < named.length; count += 1) {
    if (reached(next, 0, heirs, passed) !== 'nobody') break;
    next = named[count];
  }
  return named.slice(0, count);
}

/** The step at which `by` stands in the line of `peer`; undefined when it may not act for it (as far as is known). */
export function depthOf(peer: PeerId, by: PeerId, lineage: Lineage): number | undefined {
  return lineOf(peer, lineage).find((successor) => successor.peer === by)?.depth;
}

/** The same questions, asked of one lineage. */
export function successionOf(lineage: Lineage) {
  return {
    witnessOf: (peer: PeerId) => successorOf(peer, lineage)?.peer,
    takerOf: (peer: PeerId) => takerOf(peer, lineage),
    depthOf: (peer: PeerId, by: PeerId) => depthOf(peer, by, lineage),
  };
}
