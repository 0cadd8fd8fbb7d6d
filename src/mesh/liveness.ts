import type { PeerId } from '../core/ids.ts';
import { createPeerNumbers, type PeerNumbers } from '../core/peer-numbers.ts';
import { createTopology, type Topology } from '../core/topology.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import { SURPLUS } from './links/choice.ts';
import type { Links, Neighbour } from './links.ts';
import { readOnce } from './read-once.ts';
import { KEY, type RecordEntry, type Records, readLinks } from './records.ts';

/**
 * Who is up. Every peer publishes the links that it has open; a peer is up as long as a way leads to it over links that both their ends
 * claim (core/topology.ts). So the neighbours of a peer are its failure detectors, and all must agree before it counts as down.
 */
export interface Liveness {
  readonly topology: Topology;
  isUp(peer: PeerId): boolean;
  /** This peer included; sorted. Works it out anew: who only wants to know how many asks `count`. */
  up(): readonly PeerId[];
  count(): number;
  /** By the clock: since when the peer is down; for one that was never up, since this peer started. Undefined while it is up. */
  downSince(peer: PeerId): number | undefined;
  /** Links that a peer says it has. */
  degree(peer: PeerId): number;
  /** Called after the change. Returns the way to stop. */
  onPeerUp(handler: (peer: PeerId) => void): () => void;
  onPeerDown(handler: (peer: PeerId) => void): () => void;
  close(): void;
}

export interface LivenessParts {
  readonly self: PeerId;
  readonly links: Pick<Links, 'neighbours' | 'lasting' | 'watch'>;
  readonly records: Records;
  readonly clock: Clock;
  readonly log: Log;
  /** Default: its own. */
  readonly numbers?: PeerNumbers;
}

/**
 * Links that change together are published together: where it may decide who is up soon, then no more often than this. The others wait
 * longer: while a mesh forms each host gets a dozen links that it could do without, and every record is a message on each link of the mesh.
 */
export const PUBLISH_DELAY = 100;
export const PUBLISH_EVERY = 1_000;
export const PUBLISH_UNHURRIED = 5_000;
/** Records of several peers usually arrive one after the other; one search of the graph serves them all. */
const SEARCH_DELAY = 50;
/** How long a peer may be out of reach before it counts as down: lost links are redialled at once, and most come back. */
export const DOWN_AFTER = 1_000;

/** One list for each value: `numbers` knows it by that. */
const listOf = readOnce(readLinks);

export function createLiveness(parts: LivenessParts): Liveness {
  const { self, links, records, clock, log, numbers = createPeerNumbers() } = parts;
  const topology = createTopology(self, numbers);
  const isUp = createUp(numbers);
  isUp.add(self);
  /** Out of reach since (by the clock), not yet down. */
  const missing = new Map<PeerId, number>();
  /** Since when who was up once is down. */
  const downs = new Map<PeerId, number>();
  const started = clock.now();
  const upHandlers = new Set<(peer: PeerId) => void>();
  const downHandlers = new Set<(peer: PeerId) => void>();
  let publishing: { readonly timer: Timer; readonly due: number } | undefined;
  let searching: Timer | undefined;
  let waiting: Timer | undefined;
  let published = -PUBLISH_EVERY;
  let closed = false;

  function publish(): void {
    publishing = undefined;
    published = clock.now();
    const own = links.lasting().map(({ peer }) => peer);
    records.put(KEY.links, own).catch((error) => {
      log.warn('the own links could not be published', { error: String(error) });
      if (!closed) publishBy(clock.now() + DOWN_AFTER);
    });
  }

  function publishBy(due: number): void {
    if (publishing !== undefined && publishing.due <= due) return;
    publishing?.timer.cancel();
    publishing = { timer: clock.setTimer(due - clock.now(), publish), due };
  }

  function linksChanged(hurried: boolean): void {
    if (topology.setOwn(links.neighbours().map(({ peer }) => peer))) search();
    const now = clock.now();
    publishBy(hurried ? Math.max(now + PUBLISH_DELAY, published + PUBLISH_EVERY) : now + PUBLISH_UNHURRIED);
  }

  /**
   * The link may be the only way to somebody: to this peer, or to the other one. Of a newcomer that has other links those tell; one that was
   * known before may bring back all that are behind it.
   */
  function isBridge({ peer, links: others }: Neighbour): boolean {
    if (links.neighbours().length === 1) return true;
    return !isUp.has(numbers.known(peer)) && (others === 0 || topology.degree(peer) > 0);
  }

  function read({ author, key, value }: RecordEntry): void {
    if (key !== KEY.links || author === self) return;
    const changed = topology.set(author, value === undefined ? undefined : listOf(value));
    if (changed) searching ??= clock.setTimer(SEARCH_DELAY, search);
  }

  function search(): void {
    searching?.cancel();
    searching = undefined;
    const reached = topology.reach();
    const now = clock.now();
    const ups: PeerId[] = [];
    for (const number of reached.order) {
      if (missing.size > 0) missing.delete(numbers.peer(number));
      if (!isUp.has(number)) ups.push(numbers.peer(number));
    }
    if (reached.order.length - ups.length < isUp.count()) {
      for (const number of isUp.numbers()) {
        const peer = numbers.peer(number);
        if (!reached.has(number) && !missing.has(peer)) missing.set(peer, now);
      }
    }
    // From here on handlers may search, too.
    for (const peer of ups) {
      isUp.add(peer);
      log.info('peer up', { peer });
      for (const handler of [...upHandlers]) handler(peer);
    }
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
      downs.set(peer, since);
      log.info('peer down', { peer });
      for (const handler of [...downHandlers]) handler(peer);
    }
  }

  const stops = [
    links.watch({
      up: (neighbour) => linksChanged(isBridge(neighbour)),
      // Nobody counts on a surplus one any more; of any other the end may be that of the peer.
      down: (_neighbour, reason) => linksChanged(!reason.startsWith(SURPLUS)),
      retired: () => linksChanged(false),
    }),
    records.watch(KEY.links, read),
  ];
  for (const entry of records.entries(KEY.links)) read(entry);
  linksChanged(links.neighbours().length > 0);

  return {
    topology,
    isUp: (peer) => isUp.has(numbers.known(peer)),
    up: () => Array.from(isUp.numbers(), numbers.peer).sort(),
    count: isUp.count,
    degree: topology.degree,
    downSince: (peer) => (isUp.has(numbers.known(peer)) ? undefined : (downs.get(peer) ?? started)),
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
      for (const timer of [publishing?.timer, searching, waiting]) timer?.cancel();
      for (const stop of stops) stop();
    },
  };
}

/** A set of peers: a byte for each number. */
function createUp(numbers: PeerNumbers) {
  let flags = new Uint8Array(64);
  let count = 0;
  const set = (number: number, flag: 0 | 1) => {
    if (number >= flags.length) {
      const larger = new Uint8Array(Math.max(2 * flags.length, number + 1));
      larger.set(flags);
      flags = larger;
    }
    count += flag - (flags[number] as number);
    flags[number] = flag;
  };
  return {
    has: (number: number | undefined) => number !== undefined && flags[number] === 1,
    add: (peer: PeerId) => set(numbers.of(peer), 1),
    delete: (peer: PeerId) => set(numbers.of(peer), 0),
    count: () => count,
    *numbers(): Iterable<number> {
      for (let number = 0; number < flags.length; number++) if (flags[number] === 1) yield number;
    },
  };
}
