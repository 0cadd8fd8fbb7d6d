import type { PeerId } from '../../core/ids.ts';
import type { Clock, Timer } from '../../ports/clock.ts';
import type { Random } from '../../ports/random.ts';
import type { AddressBook } from '../address-book.ts';
import type { OverlayView } from '../links.ts';
import { PUBLISH_UNHURRIED } from '../liveness.ts';
import type { Membership } from '../membership.ts';
import { KEY, type Records } from '../records.ts';
import type { Redial } from '../redial.ts';
import {
  ALL_LINKED,
  chooseSurplus,
  chooseTargets,
  FEWEST,
  following,
  MOST,
  type Situation,
  SURPLUS,
} from './choice.ts';
import type { Neighbours, OpenNeighbour } from './neighbours.ts';

export interface UpkeepParts {
  readonly self: PeerId;
  readonly clock: Clock;
  readonly random: Random;
  readonly membership: Membership;
  readonly records: Records;
  readonly book: AddressBook;
  readonly view: OverlayView;
  readonly neighbours: Neighbours;
  readonly peers: Redial<PeerId>;
  readonly seeds: Redial<string>;
}

/** Beats on the open links, the end of those that are dead, and enough new ones. */
export interface Upkeep {
  connect(addresses: readonly string[]): void;
  /** An address of `connect` turned out to be that peer's. */
  ledTo(address: string, peer: PeerId): void;
  /** A link to the peer is about to be added. */
  linked(peer: PeerId): void;
  /** Looks at once, not at the next tick, whom to dial. */
  soon(): void;
  close(): void;
}

export const BEAT_EVERY = 2_000;
/** Three beats missed. */
export const SILENT_AFTER = 6_000;
const TICK = 1_000;
/** News that comes together is looked at once. */
const SOON = 10;
/** Ticks between two surplus links that are given up. */
const SURPLUS_EVERY = 2;
/** Until everybody knows that a link is not to be counted on. A message that is sent over one that has gone already goes astray. */
const RETIRED_FOR = PUBLISH_UNHURRIED + 2_000;
/** How much longer the larger id waits with its first try, so that two peers rarely dial each other at once. */
const LARGER_WAITS = 500;
const FIRST_SPREAD = 50;
/**
 * Tries to reach lost members that begin in a second on all peers together. Each lasts seconds where nobody answers, so ten times as many
 * links come at once when somebody does; each of those is a record of two peers that everybody has to learn.
 */
const SEARCHES = 16;
const NONE: ReadonlyMap<string, number> = new Map();
/** A tick that is late by more says that this process could not run, or slept. */
const LAG = 500;

export function startUpkeep(parts: UpkeepParts): Upkeep {
  const { self, clock, random, membership, records, book, view, neighbours, peers, seeds } = parts;
  /** Addresses of `connect`, with the peer that they led to. */
  const seedPeers = new Map<string, PeerId | undefined>();
  /** Links that are to be given up, and when. */
  const retired = new Map<OpenNeighbour, number>();
  let closed = false;
  let ticks = 0;
  let ticked = clock.now();
  let evaluation: Timer | undefined;
  let ticker = clock.setTimer(TICK, tick);

  const situation = (settled: boolean, isSearching: boolean): Situation => ({
    self,
    settled,
    isSearching,
    others: membership.members().filter((peer) => peer !== self),
    isLinked: (peer) => neighbours.get(peer) !== undefined,
    isUp: (peer) => neighbours.get(peer) !== undefined || view.isUp(peer),
    isDialable: book.isKnown,
    isTried: peers.isTried,
    isReady: peers.isReady,
    fraction: () => random.fraction(),
  });

  function tick(): void {
    const now = clock.now();
    const late = now - ticked - TICK;
    ticked = now;
    ticker = clock.setTimer(TICK, tick);
    for (const neighbour of neighbours.list()) {
      const { channel } = neighbour;
      // What arrived while this process could not run is still to be read.
      if (late > LAG) channel.forgive(late);
      const silent = now - channel.lastHeard();
      if (silent >= SILENT_AFTER) neighbours.drop(neighbour, 'silent', `nothing heard for ${silent} ms`);
      else if (now - channel.lastSent() >= BEAT_EVERY) channel.beat();
    }
    dropRetired(now);
    if (++ticks % SURPLUS_EVERY === 0) retireSurplus(now);
    evaluate(true);
  }

  function dropRetired(now: number): void {
    for (const [neighbour, due] of retired) {
      if (now < due) continue;
      retired.delete(neighbour);
      if (neighbours.get(neighbour.peer) !== neighbour) continue;
      neighbours.drop(neighbour, SURPLUS, 'both peers have more links than they need');
    }
  }

  function retireSurplus(now: number): void {
    if (neighbours.size() <= MOST) return;
    const lasting = new Map(neighbours.lasting().map((neighbour) => [neighbour.peer, neighbour]));
    if (lasting.size <= MOST) return;
    const dialled = [...lasting.values()].filter(({ direction }) => direction === 'dialled');
    const surplus = chooseSurplus(
      { ...situation(true, false), isLinked: (peer) => lasting.has(peer) },
      dialled.map(({ peer }) => peer),
      view.degree,
    );
    const neighbour = surplus === undefined ? undefined : lasting.get(surplus);
    if (neighbour === undefined) return;
    retired.set(neighbour, now + RETIRED_FOR);
    neighbours.retire(neighbour);
  }

  function soon(): void {
    if (closed || evaluation !== undefined) return;
    evaluation = clock.setTimer(SOON, () => evaluate(false));
  }

  function evaluate(settled: boolean): void {
    evaluation?.cancel();
    evaluation = undefined;
    const isSearching = random.fraction() * view.count() < SEARCHES;
    if (isContent(settled && isSearching)) {
      seeds.want(NONE);
      return;
    }
    const now = situation(settled, isSearching);
    const alone = neighbours.size() === 0;
    const targets = new Map<PeerId, number>();
    for (const peer of chooseTargets(now)) {
      const wait = self < peer || alone ? 0 : LARGER_WAITS;
      targets.set(peer, wait + random.fraction() * FIRST_SPREAD);
    }
    peers.want(targets);
    seeds.want(new Map(wantedSeeds(now).map((address) => [address, 0])));
  }

  /**
   * Nothing is to be chosen, so that the thousands of members need not be looked through each second: there are links enough, one to the
   * next member by id, and either nobody is lost, or one of the lost is being tried, or it is the turn of others to try.
   */
  function isContent(isSearching: boolean): boolean {
    const members = membership.members();
    if (members.length <= ALL_LINKED + 1 || neighbours.size() < FEWEST || hasUnknownSeeds()) return false;
    const isAlive = (peer: PeerId) => neighbours.get(peer) !== undefined || view.isUp(peer);
    const next = following(members, self, isAlive);
    if (next === undefined || neighbours.get(next) === undefined) return false;
    if (view.count() >= members.length) return peers.size() === 0;
    if (seedPeers.size > 0) return false;
    const tried = peers.tried();
    if (tried.length === 0) return !isSearching;
    return tried.length === 1 && !isAlive(tried[0] as PeerId);
  }

  const hasUnknownSeeds = () => [...seedPeers.values()].includes(undefined);

  /** One that never led anywhere may be the only way to a part of the mesh, whoever else is linked. */
  function wantedSeeds({ others, isUp, isLinked }: Situation): readonly string[] {
    const complete = others.every(isUp);
    return [...seedPeers]
      .filter(([, peer]) => peer === undefined || (!complete && peer !== self && !isLinked(peer)))
      .map(([address]) => address);
  }

  function expelStrangers(): void {
    if (membership.isRemoved(self)) {
      for (const neighbour of neighbours.list())
        neighbours.drop(neighbour, 'closing', 'this peer was removed');
      seedPeers.clear();
      soon();
      return;
    }
    for (const neighbour of neighbours.list()) {
      if (membership.isMember(neighbour.peer)) continue;
      const proof = membership.proofOf(neighbour.peer);
      neighbours.drop(neighbour, 'removed', 'you are no member of this mesh any more', proof);
    }
    book.retain(new Set(membership.members()));
    soon();
  }

  const stops = [
    neighbours.watch({ up: soon, down: soon }),
    membership.watch(expelStrangers),
    records.watch(KEY.peer, soon),
  ];
  soon();

  return {
    connect(addresses) {
      for (const address of addresses) {
        if (!seedPeers.has(address)) seedPeers.set(address, undefined);
      }
      soon();
    },
    ledTo(address, peer) {
      seedPeers.set(address, peer);
    },
    linked(peer) {
      peers.forget(peer);
      // A way that was lost is there again, so others may be too.
      if (neighbours.size() === 0 || !view.isUp(peer)) peers.hurry();
    },
    soon,
    close() {
      closed = true;
      ticker.cancel();
      evaluation?.cancel();
      for (const stop of stops) stop();
    },
  };
}
