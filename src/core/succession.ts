import type { PeerId } from './ids.ts';

/**
 * Who stands in for whom. Each peer has one heir, which witnesses its donations and takes over its addresses when it is removed. Where
 * the heir was removed too, the heir's heir stands in, and so on: at each moment one peer at most may act, and whoever may act once
 * may act for ever, because a removal is never undone.
 *
 * The root key may name another successor, its adopter: the way out where two heirs of each other are both lost.
 */
export interface Lineage {
  isRemoved(peer: PeerId): boolean;
  /** As its certificate says, or, for the creator, its first joiner. */
  heirOf(peer: PeerId): PeerId | undefined;
  /** Named by a tombstone of the root key. */
  adopterOf(peer: PeerId): PeerId | undefined;
}

export interface Successor {
  readonly peer: PeerId;
  /** Steps from the peer that is succeeded: 1 is its heir, 2 its heir's heir. A step by the root key counts BY_ROOT. */
  readonly depth: number;
}

/** More than any line of heirs has steps that matter: so two ways to a successor never give one epoch to two peers. */
export const BY_ROOT = 1_024;

/** Everybody who may act for `peer`, nearest first: a successor counts where all before it are removed. */
export function lineOf(peer: PeerId, lineage: Lineage): readonly Successor[] {
  const line: Successor[] = [];
  const seen = new Set([peer]);
  const open: Successor[] = [{ peer, depth: 0 }];
  for (let at = open.shift(); at !== undefined; at = open.shift()) {
    const next = [
      { peer: lineage.heirOf(at.peer), depth: at.depth + 1 },
      { peer: lineage.adopterOf(at.peer), depth: at.depth + BY_ROOT },
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
  const seen = new Set([peer]);
  let depth = 0;
  for (let at = peer; ; ) {
    const adopter = lineage.adopterOf(at);
    const next = adopter ?? lineage.heirOf(at);
    if (next === undefined || seen.has(next)) return undefined;
    depth += adopter === undefined ? 1 : BY_ROOT;
    if (!lineage.isRemoved(next)) return { peer: next, depth };
    seen.add(next);
    at = next;
  }
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
