import type { PeerId } from '../../core/ids.ts';

/**
 * Whom to dial. Up to ALL_LINKED other members: everybody. Beyond that a random graph as HyParView keeps one (Leitão, Pereira, Rodrigues,
 * DSN 2007), except that the passive view is simply the list of members:
 *  - at least FEWEST links, to random members that are up;
 *  - one link to the next member by id, so that the whole is one ring whatever chance does;
 *  - one try at a time to a member that nobody reaches: the two sides of a healed partition find each other by nothing else. In a large
 *    mesh peers take turns: thousands that all try would all be linked across at once, and each would compare and tell of it.
 */
export const ALL_LINKED = 8;
export const FEWEST = 6;
export const MOST = 8;
/** The reason for the end of a link that neither side needs, and of which others have been told that it goes. */
export const SURPLUS = 'surplus';
/** Dialled at once: while they answer, others dial this peer, and then fewer of its own are needed. */
const AT_ONCE = 2;

export interface Situation {
  readonly self: PeerId;
  /** Nothing has just happened: it is worth looking for the next member by id and for lost ones, which a burst of news would misplace. */
  readonly settled: boolean;
  /** It is this peer's turn to try a member that nobody reaches. */
  readonly isSearching: boolean;
  /** All members but this one, sorted. */
  readonly others: readonly PeerId[];
  isLinked(peer: PeerId): boolean;
  /** Somebody reaches it. */
  isUp(peer: PeerId): boolean;
  /** An address is known. */
  isDialable(peer: PeerId): boolean;
  /** Being dialled, or about to be for the first time. */
  isTried(peer: PeerId): boolean;
  /** Neither that nor resting after a failure. */
  isReady(peer: PeerId): boolean;
  /** Uniform in [0, 1). */
  fraction(): number;
}

export function chooseTargets(situation: Situation): readonly PeerId[] {
  const { others, isLinked, isDialable } = situation;
  if (others.length > ALL_LINKED) return chooseSome(situation);
  return others.filter((peer) => !isLinked(peer) && isDialable(peer));
}

/** Looks at each of the thousands once. */
function chooseSome(situation: Situation): readonly PeerId[] {
  const { settled, isSearching, others, isLinked, isDialable, isUp, isReady, isTried } = situation;
  const chosen = new Set<PeerId>();
  const [up, lost]: [PeerId[], PeerId[]] = [[], []];
  let linked = 0;
  for (const peer of others) {
    if (isLinked(peer)) linked++;
    else if (!isDialable(peer)) continue;
    else if (isTried(peer)) chosen.add(peer);
    else if (isReady(peer)) (isUp(peer) ? up : lost).push(peer);
  }

  const next = settled ? successor(situation) : undefined;
  if (next !== undefined && !isLinked(next) && isDialable(next) && isReady(next)) chosen.add(next);
  // Without a link nobody is known to be up: then everybody may be.
  const useful = linked === 0 ? [...up, ...lost] : up;
  const busy = [...chosen].filter((peer) => linked === 0 || isUp(peer)).length;
  pick(useful, Math.min(FEWEST - linked, AT_ONCE) - busy, chosen, situation);

  const probing = [...chosen].some((peer) => !isUp(peer));
  if (settled && isSearching && linked > 0 && !probing) pick(lost, 1, chosen, situation);
  return [...chosen];
}

function pick(from: readonly PeerId[], count: number, into: Set<PeerId>, { fraction }: Situation): void {
  if (count <= 0) return;
  const pool = from.filter((peer) => !into.has(peer));
  for (let left = count; left > 0 && pool.length > 0; left--) {
    const [peer] = pool.splice(Math.floor(fraction() * pool.length), 1);
    if (peer !== undefined) into.add(peer);
  }
}

/** The next member by id that is up, after the last one the first. */
export function successor({ self, others, isUp, isLinked }: Situation): PeerId | undefined {
  return following(others, self, (peer) => isLinked(peer) || isUp(peer));
}

/** The next one by id in the sorted list that is alive, after the last one the first; undefined when there is no other. */
export function following(
  members: readonly PeerId[],
  self: PeerId,
  isAlive: (peer: PeerId) => boolean,
): PeerId | undefined {
  let [low, high] = [0, members.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((members[middle] as PeerId) <= self) low = middle + 1;
    else high = middle;
  }
  for (let step = 0; step < members.length; step++) {
    const peer = members[(low + step) % members.length] as PeerId;
    if (peer !== self && isAlive(peer)) return peer;
  }
  return undefined;
}

/**
 * A link that may be given up: one of more than MOST, dialled from here, not to the successor, to a peer that has more than MOST itself,
 * so that neither side falls below FEWEST when both do this at once.
 */
export function chooseSurplus(
  situation: Situation,
  dialled: readonly PeerId[],
  degree: (peer: PeerId) => number,
): PeerId | undefined {
  const { others, isLinked, fraction } = situation;
  if (others.length <= ALL_LINKED || others.filter(isLinked).length <= MOST) return undefined;
  const next = successor(situation);
  const pool = dialled.filter((peer) => peer !== next && degree(peer) > MOST);
  return pool[Math.floor(fraction() * pool.length)];
}
