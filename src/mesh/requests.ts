import { readU48, type VerifiedDelta } from '../core/wire/delta.ts';
import {
  createOffer,
  createWant,
  type Lacking,
  type Offered,
  offeredIn,
  readOffered,
} from '../core/wire/vector.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Neighbour } from './links.ts';

/**
 * What neighbours have offered and this peer lacks, asked for of one of them at a time. When the two halves of a large mesh find each
 * other, every neighbour soon offers the same thousands of records: so each comes over one link, and no more is on its way to a peer
 * than it has asked for.
 */
export interface Requests {
  /** A neighbour has what is lacking here. */
  offered(from: Neighbour, lacking: readonly Lacking[]): void;
  /** A neighbour has sent a delta, whether it was news or not. */
  arrived(from: Neighbour, delta: Pick<VerifiedDelta, 'key' | 'seq'>): void;
  /** Asks for more if there is room: after `arrived` for all of a message. */
  proceed(): void;
  gone(neighbour: Neighbour): void;
  close(): void;
}

export interface RequestsParts {
  readonly clock: Clock;
  /** As things stand now; undefined when it is here meanwhile. */
  readonly stillLacking: (offered: Offered) => Lacking | undefined;
  /** What was asked for or offered will not come from where it was: time to compare with somebody else. */
  readonly onFailure: () => void;
}

/** Authors whose records are on their way here: of all neighbours, and of one. */
const MOST_ASKED = 512;
const MOST_OF_ONE = 256;
/** Authors that one neighbour may have offered and was not asked for yet; comparisons bring what is left out. */
const MOST_OFFERED = 65_536;
/** Who was asked and has sent nothing for so long is asked no more until something comes after all, or for a while. */
export const PATIENCE = 6_000;
const DISTRUST = 30_000;

interface Source {
  readonly offers: Offers;
  /** Tags that it was asked for. */
  asked: number;
  /** When it was asked or answered last. */
  heard: number;
}

export function createRequests({ clock, stillLacking, onFailure }: RequestsParts): Requests {
  const sources = new Map<Neighbour, Source>();
  const asked = new Map<number, { readonly from: Neighbour; readonly seq: number }>();
  const distrusted = new WeakMap<Neighbour, number>();
  let timer: Timer | undefined;

  function sourceOf(neighbour: Neighbour): Source {
    let source = sources.get(neighbour);
    if (source === undefined) {
      source = { offers: createOffers(), asked: 0, heard: clock.now() };
      sources.set(neighbour, source);
    }
    return source;
  }

  /** What somebody else was asked for is taken for certain; should it fail, a comparison brings it up again. */
  function isOnItsWay({ tag, seq }: Offered): boolean {
    const other = asked.get(tag);
    return other !== undefined && other.seq >= seq;
  }

  function proceed(): void {
    for (const [neighbour, source] of sources) {
      const wanted: Lacking[] = [];
      while (asked.size < MOST_ASKED && source.asked < MOST_OF_ONE) {
        const offer = source.offers.next();
        if (offer === undefined) break;
        const lacking = isOnItsWay(offer) ? undefined : stillLacking(offer);
        if (lacking === undefined) continue;
        forget(lacking.tag);
        asked.set(lacking.tag, { from: neighbour, seq: lacking.seq });
        source.asked++;
        wanted.push(lacking);
      }
      if (wanted.length > 0) {
        source.heard = clock.now();
        neighbour.send({ type: 'want', want: createWant(wanted) });
      }
      if (source.asked === 0 && source.offers.size() === 0) sources.delete(neighbour);
    }
    if (asked.size > 0) timer ??= clock.setTimer(PATIENCE, look);
  }

  function forget(tag: number): void {
    const before = asked.get(tag);
    if (before === undefined) return;
    asked.delete(tag);
    const source = sources.get(before.from);
    if (source !== undefined) source.asked--;
  }

  /** True when something was expected of it. */
  function giveUp(neighbour: Neighbour): boolean {
    if (!sources.delete(neighbour)) return false;
    for (const [tag, { from }] of asked) if (from === neighbour) asked.delete(tag);
    return true;
  }

  function look(): void {
    timer = undefined;
    const now = clock.now();
    let failed = false;
    for (const [neighbour, { asked, heard }] of sources) {
      if (asked === 0 || now - heard < PATIENCE) continue;
      distrusted.set(neighbour, now + DISTRUST);
      failed = giveUp(neighbour) || failed;
    }
    proceed();
    if (failed) onFailure();
  }

  return {
    offered(from, lacking) {
      if (lacking.length === 0 || clock.now() < (distrusted.get(from) ?? 0)) return;
      sourceOf(from).offers.add(lacking);
      proceed();
    },
    arrived(from, { key, seq }) {
      distrusted.delete(from);
      if (asked.size === 0) return;
      const tag = readU48(key, 0);
      const one = asked.get(tag);
      if (one === undefined || one.from !== from) return;
      sourceOf(from).heard = clock.now();
      if (seq >= one.seq) forget(tag);
    },
    proceed,
    gone(neighbour) {
      if (!giveUp(neighbour)) return;
      proceed();
      onFailure();
    },
    close() {
      timer?.cancel();
    },
  };
}

/** Authors that one neighbour has offered, first come first asked for. As bytes: of each neighbour there may be thousands. */
interface Offers {
  size(): number;
  add(offered: readonly Offered[]): void;
  next(): Offered | undefined;
}

function createOffers(): Offers {
  const pages: Uint8Array[] = [];
  /** Tags that several authors have: rare, and what tells of it has no room in a page. */
  const shared = new Set<number>();
  /** In the first page. */
  let at = 0;
  let size = 0;
  return {
    size: () => size,
    add(offered) {
      const taken = offered.slice(0, MOST_OFFERED - size);
      for (const one of taken) if (one.shared) shared.add(one.tag);
      const page = createOffer(taken);
      if (page.length > 0) pages.push(page);
      size += offeredIn(page);
    },
    next() {
      const [page] = pages;
      if (page === undefined) return undefined;
      const offered = readOffered(page, at++);
      size--;
      if (at === offeredIn(page)) {
        pages.shift();
        at = 0;
      }
      return shared.has(offered.tag) ? { ...offered, shared: true } : offered;
    },
  };
}
