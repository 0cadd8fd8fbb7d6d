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
 * An heir that is to leave may hand its role for a peer to another, as long as it has not removed that peer: from then on it neither
 * witnesses for it nor removes it. The other has not witnessed what came before, so it takes over like anybody further down the line:
 * with the promises of all (core/takeover.ts). Who stands behind the old heir may not know of it and act meanwhile, and may stand behind the
 * new one as well: so one peer may have several places in a line. Who has the last of all places acts.
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
  /** To whom its heir has handed its role for the peer, and that one in turn, and so on: nobody twice. */
  handedFor(peer: PeerId): readonly PeerId[];
}

export interface Successor {
  readonly peer: PeerId;
  /**
   * Tells the place in the line, of which one peer may have several: 1 is the heir, 2 its heir. A step by the root key counts BY_ROOT, to the
   * nth named heir n × BY_NAME; to whom the role was handed nth, n × BY_HAND × 4^(4 - i) where i peers lie between. So no place has the
   * number of another, and who comes later has the greater one, but for BY_ROOT (`isLater`).
   */
  readonly depth: number;
}

/** More than a line of heirs may have. */
export const BY_HAND = 256;
/** So often may the heir of one peer change. */
export const MAX_HANDED = 3;
/** Behind so many peers that are gone nobody looks any more to whom a role was handed: the certificates say who comes. */
const HANDED_STEPS = 5;
/** More than all of that. */
export const BY_ROOT = BY_HAND * (MAX_HANDED + 1) ** HANDED_STEPS;
/** Likewise more than the root key has to step in. */
export const BY_NAME = 64 * BY_ROOT;

/** Whether the successor at depth `a` acts after the one at `b`: of one line the deeper, and whom the root key names after all others. */
export function isLater(a: number, b: number): boolean {
  return rootSteps(a) === rootSteps(b) ? a > b : rootSteps(a) > rootSteps(b);
}

const rootSteps = (depth: number) => Math.floor((depth % BY_NAME) / BY_ROOT);

/** A successor, and the way to it from the peer that is succeeded: both ends included. */
interface Place extends Successor {
  readonly way: readonly PeerId[];
}

const startOf = (peer: PeerId): Place => ({ peer, depth: 0, way: [peer] });

const step = ({ depth, way }: Place, peer: PeerId, by: number): Place => ({
  peer,
  depth: depth + by,
  way: [...way, peer],
});

function heirPlace(place: Place, lineage: Lineage): Place | undefined {
  const heir = lineage.heirOf(place.peer);
  return heir === undefined || place.depth % BY_HAND === BY_HAND - 1 ? undefined : step(place, heir, 1);
}

/** To whom the role for a peer of the line was handed; a way that comes back to where it was ends. */
function handedPlaces(place: Place, lineage: Lineage): readonly Place[] {
  const left = HANDED_STEPS - place.way.length;
  if (left < 0) return [];
  const unit = BY_HAND * (MAX_HANDED + 1) ** left;
  const handed = lineage.handedFor(place.peer).slice(0, MAX_HANDED);
  const places = handed.map((to, nth) => step(place, to, (nth + 1) * unit));
  return places.filter(({ peer }) => !place.way.includes(peer));
}

/** Every place in the line for `peer`, earlier ones first: one counts where all before it on its way are removed, or have handed their role on. */
export function lineOf(peer: PeerId, lineage: Lineage): readonly Successor[] {
  const line: Place[] = [];
  const open = [startOf(peer)];
  for (const first of open) open.push(...follow(first, lineage, line));
  return line.map(({ peer: who, depth }) => ({ peer: who, depth })).sort(byTurn);
}

const byTurn = (a: Successor, b: Successor) => (isLater(a.depth, b.depth) ? 1 : -1);

/** Adds to `line` who stands behind `first`, which acts no more. Returns those to whom roles were handed and behind whom it goes on. */
function follow(first: Place, lineage: Lineage, line: Place[]): readonly Place[] {
  const seen = new Set(first.way);
  const open = [first];
  const handed: Place[] = [];
  for (const at of open) {
    const next = [
      heirPlace(at, lineage),
      ...adopterPlaces(at, lineage),
      ...namesThatCount(at.peer, lineage).map((named, nth) => step(at, named, (nth + 1) * BY_NAME)),
    ];
    for (const place of next) {
      if (place === undefined || seen.has(place.peer)) continue;
      seen.add(place.peer);
      line.push(place);
      if (lineage.isRemoved(place.peer)) open.push(place);
    }
    for (const place of handedPlaces(at, lineage)) {
      line.push(place);
      if (lineage.isRemoved(place.peer)) handed.push(place);
    }
  }
  return handed;
}

function adopterPlaces(place: Place, lineage: Lineage): readonly Place[] {
  const adopter = lineage.adopterOf(place.peer);
  return adopter === undefined ? [] : [step(place, adopter, BY_ROOT)];
}

/** Who inherits a removed peer now. Undefined: the peer was not removed, or heirs of each other are all gone, which needs the root key. */
export function takerOf(peer: PeerId, lineage: Lineage): Successor | undefined {
  return lineage.isRemoved(peer) ? successorOf(peer, lineage) : undefined;
}

/** Who witnesses the donations of `peer` now, and would inherit it. */
export function successorOf(peer: PeerId, lineage: Lineage): Successor | undefined {
  const { place, end } = actingFor(startOf(peer), lineage, new Set([peer]));
  return end === 'somebody' ? { peer: place.peer, depth: place.depth } : undefined;
}

/** How far a line goes. `nobody`: it has come back to where it was. `unknown`: it goes on where nothing is known (yet). */
interface Found {
  readonly place: Place;
  readonly end: 'somebody' | 'nobody' | 'unknown';
}

function actingFor(place: Place, lineage: Lineage, passed: Set<PeerId>): Found {
  const [adopter] = adopterPlaces(place, lineage);
  if (adopter !== undefined) return reached(adopter, lineage, passed);
  let found = heirFor(place, lineage, passed);
  for (const [nth, named] of lineage.namedBy(place.peer).entries()) {
    if (found.end !== 'nobody') break;
    found = reached(step(place, named, (nth + 1) * BY_NAME), lineage, passed);
  }
  return found;
}

/** By the certificate or handed the role: whose way leads to the later place, so that what is learned never leads back to an earlier one. */
function heirFor(place: Place, lineage: Lineage, passed: Set<PeerId>): Found {
  const heir = heirPlace(place, lineage);
  let found: Found = heir === undefined ? { place, end: 'unknown' } : reached(heir, lineage, passed);
  for (const handed of handedPlaces(place, lineage)) {
    const other = reached(handed, lineage, new Set(place.way));
    if (isLater(other.place.depth, found.place.depth)) found = other;
  }
  return found;
}

function reached(place: Place, lineage: Lineage, passed: Set<PeerId>): Found {
  if (passed.has(place.peer)) return { place, end: 'nobody' };
  if (!lineage.isRemoved(place.peer)) return { place, end: 'somebody' };
  passed.add(place.peer);
  return actingFor(place, lineage, passed);
}

/** Whom the root key names takes nothing from who may act already, so adopters do not matter here. */
function namesThatCount(peer: PeerId, lineage: Lineage): readonly PeerId[] {
  const named = lineage.namedBy(peer);
  if (named.length === 0) return named;
  const heirs: Lineage = { ...lineage, adopterOf: () => undefined };
  const start = startOf(peer);
  const passed = new Set([peer]);
  let count = 0;
  let found = heirFor(start, heirs, passed);
  for (; count < named.length && found.end === 'nobody'; count += 1) {
    found = reached(step(start, named[count] as PeerId, BY_NAME), heirs, passed);
  }
  return named.slice(0, count);
}

/** The places of `by` in the line for `peer`; none when it may not act for it (as far as is known). */
export function depthsOf(peer: PeerId, by: PeerId, lineage: Lineage): readonly number[] {
  return lineOf(peer, lineage).flatMap((successor) => (successor.peer === by ? [successor.depth] : []));
}

/** Whether `by` has a place in the line for `peer`. */
export function mayAct(peer: PeerId, by: PeerId, lineage: Lineage): boolean {
  return lineOf(peer, lineage).some((successor) => successor.peer === by);
}

/** The same questions, asked of one lineage. */
export function successionOf(lineage: Lineage) {
  return {
    witnessOf: (peer: PeerId) => successorOf(peer, lineage)?.peer,
    takerOf: (peer: PeerId) => takerOf(peer, lineage),
    lineOf: (peer: PeerId) => lineOf(peer, lineage),
    depthsOf: (peer: PeerId, by: PeerId) => depthsOf(peer, by, lineage),
    mayAct: (peer: PeerId, by: PeerId) => mayAct(peer, by, lineage),
  };
}
