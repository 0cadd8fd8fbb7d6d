import type { PeerId } from '../core/ids.ts';
import { createTopology, type Topology } from '../core/topology.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Links } from './links.ts';
import { KEY, type RecordEntry, type Records, readLinks } from './records.ts';

/**
 * Who is up. Every peer publishes the links that it has open; a peer is up as long as a way leads to it over links that both their ends
 * claim (core/topology.ts). So the neighbours of a peer are its failure detectors, and all must agree before it counts as down.
 */
export interface Liveness {
  readonly topology: Topology;
  isUp(peer: PeerId): boolean;
  /** This peer included; sorted. */
  up(): readonly PeerId[];
  /** Links that a peer says it has. */
  degree(peer: PeerId): number;
  /** Called after the change. Returns the way to stop. */
  onPeerUp(handler: (peer: PeerId) => void): () => void;
  onPeerDown(handler: (peer: PeerId) => void): () => void;
  close(): void;
}

export interface LivenessParts {
  readonly self: PeerId;
  readonly links: Pick<Links, 'neighbours' | 'watch'>;
  readonly records: Records;
  readonly clock: Clock;
  readonly log: Log;
}

/** Links that change together are published together: after a quiet time soon, then no more often than this. */
export const PUBLISH_DELAY = 100;
export const PUBLISH_EVERY = 1_000;
/** Records of several peers usually arrive one after the other; one search of the graph serves them all. */
const SEARCH_DELAY = 50;
/** How long a peer may be out of reach before it counts as down: lost links are redialled at once, and most come back. */
export const DOWN_AFTER = 1_000;

export function createLiveness({ self, links, records, clock, log }: LivenessParts): Liveness {
  const topology = createTopology(self);
  const isUp = new Set<PeerId>([self]);
  /** Out of reach since (by the clock), not yet down. */
  const missing = new Map<PeerId, number>();
  const upHandlers = new Set<(peer: PeerId) => void>();
  const downHandlers = new Set<(peer: PeerId) => void>();
  let publishing: Timer | undefined;
  let searching: Timer | undefined;
  let waiting: Timer | undefined;
  let published = -PUBLISH_EVERY;
  let closed = false;

  function publish(): void {
    publishing = undefined;
    published = clock.now();
    const own = links.neighbours().map(({ peer }) => peer);
    records.put(KEY.links, own).catch((error) => {
      log.warn('the own links could not be published', { error: String(error) });
      if (!closed) publishing ??= clock.setTimer(DOWN_AFTER, publish);
    });
  }

  function linksChanged(): void {
    if (topology.setOwn(links.neighbours().map(({ peer }) => peer))) search();
    const wait = Math.max(PUBLISH_DELAY, published + PUBLISH_EVERY - clock.now());
    publishing ??= clock.setTimer(wait, publish);
  }

  function read({ author, key, value }: RecordEntry): void {
    if (key !== KEY.links || author === self) return;
    const changed = topology.set(author, value === undefined ? undefined : readLinks(value));
    if (changed) searching ??= clock.setTimer(SEARCH_DELAY, search);
  }

  function search(): void {
    searching?.cancel();
    searching = undefined;
    const reached = new Set(topology.reachable());
    const now = clock.now();
    for (const peer of reached) {
      missing.delete(peer);
      if (isUp.has(peer)) continue;
      isUp.add(peer);
      log.info('peer up', { peer });
      for (const handler of [...upHandlers]) handler(peer);
    }
    for (const peer of [...isUp]) if (!reached.has(peer) && !missing.has(peer)) missing.set(peer, now);
    lose();
  }

  function lose(): void {
    waiting?.cancel();
    waiting = undefined;
    const now = clock.now();
    for (const [peer, since] of [...missing]) {
      if (now - since < DOWN_AFTER) {
        // A whole millisecond at least: clocks have fractions, and a timer may fire one short of its time.
        waiting ??= clock.setTimer(Math.max(1, since + DOWN_AFTER - now), lose);
        continue;
      }
      missing.delete(peer);
      isUp.delete(peer);
      log.info('peer down', { peer });
      for (const handler of [...downHandlers]) handler(peer);
    }
  }

  const stops = [links.watch({ up: linksChanged, down: linksChanged }), records.watch(KEY.links, read)];
  for (const entry of records.entries(KEY.links)) read(entry);
  linksChanged();

  return {
    topology,
    isUp: (peer) => isUp.has(peer),
    up: () => [...isUp].sort(),
    degree: (peer) => topology.neighboursOf(peer).length,
    onPeerUp(handler) {
      upHandlers.add(handler);
      return () => upHandlers.delete(handler);
    },
    onPeerDown(handler) {
      downHandlers.add(handler);
      return () => downHandlers.delete(handler);
    },
    close() {
      closed = true;
      for (const timer of [publishing, searching, waiting]) timer?.cancel();
      for (const stop of stops) stop();
    },
  };
}
