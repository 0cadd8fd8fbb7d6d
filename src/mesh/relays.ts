import type { PeerId } from '../core/ids.ts';
import {
  type Candidate,
  candidatesFor,
  createRelayPath,
  MAX_BLOCKED,
  MAX_NUMBER,
  type Reach,
  type RelayEvent,
  type RelayPath,
  type RelayPathStatus,
  readReach,
} from '../core/relay.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Datapath, DatapathEvent, PeerCounters } from '../ports/datapath.ts';
import type { Log } from '../ports/log.ts';
import type { Forwarding } from './forwarding.ts';
import type { Liveness } from './liveness.ts';
import type { Membership } from './membership.ts';
import { readOnce } from './read-once.ts';
import { KEY, type Records } from './records.ts';
import type { Sessions } from './sessions.ts';

/**
 * Carries packets by way of a third host where they do not pass directly: gives core/relay.ts time, the data path's questions and answers, and
 * what the others tell of whom they reach. Every peer with which there is a key is asked, whatever path its packets take: who carries must
 * be reached by datagrams.
 */
export interface Relays {
  /** Undefined while there is no key with the peer. */
  status(peer: PeerId): RelayPathStatus | undefined;
  /** Pairs of others whose packets come by here, at least one way, as they tell it. */
  pairs(): number;
  /** Whether others may have packets carried by this host. */
  readonly carries: boolean;
  /** Takes what the data path tells. */
  take(event: DatapathEvent): void;
  start(): Promise<void>;
  close(): void;
}

export interface RelaysParts {
  readonly self: PeerId;
  readonly clock: Clock;
  readonly log: Log;
  readonly datapath: Pick<Datapath, 'setCarrier' | 'ask' | 'counters'>;
  readonly membership: Pick<Membership, 'members' | 'isMember'>;
  readonly records: Pick<Records, 'put' | 'get'>;
  readonly forwarding: Pick<Forwarding, 'slotOf' | 'peerAt' | 'otherPlaces'>;
  readonly sessions: Pick<Sessions, 'status'>;
  readonly liveness: Pick<Liveness, 'isUp'>;
  readonly carries: boolean;
}

export const LOOK_EVERY = 1_000;
/** What is told again within QUIET of the time before waits twice as long as that did, up to LONGEST_GAP: everybody has to learn it. */
const LONGEST_GAP = 16_000;
const QUIET = 60_000;
/** A question whose answer nobody waits for. */
const HELLO = MAX_NUMBER;

const reachIn = readOnce(readReach);

interface Peer {
  readonly path: RelayPath;
  readonly slot: number;
  /** When last looked at. */
  sent: bigint;
  received: bigint;
}

export function createRelays(parts: RelaysParts): Relays {
  const { self, clock, log, datapath, membership, records, forwarding, sessions, liveness, carries } = parts;
  const peers = new Map<PeerId, Peer>();
  let told: string | undefined;
  let toldAt = Number.NEGATIVE_INFINITY;
  /** Milliseconds after `toldAt` in which nothing is told. */
  let gap = 0;
  let timer: Timer | undefined;

  const reachOf = (peer: PeerId) => reachIn(records.get(peer, KEY.reach));

  function hasKey(peer: PeerId): boolean {
    const state = sessions.status(peer)?.state;
    return state === 'established' || state === 'agreed';
  }

  /** Undefined for who has no slot. One that has got another slot begins anew. */
  function peerOf(peer: PeerId): Peer | undefined {
    const slot = forwarding.slotOf(peer);
    const known = peers.get(peer);
    if (known?.slot === slot) return known;
    peers.delete(peer);
    if (slot === undefined) return undefined;
    const made = { path: createRelayPath(), slot, sent: 0n, received: 0n };
    peers.set(peer, made);
    return made;
  }

  function step(peer: PeerId, known: Peer, event: RelayEvent): void {
    const before = known.path.status();
    for (const action of known.path.step(event, clock.now())) {
      if (action.type === 'seek') {
        seek(peer, known, action.turn);
        continue;
      }
      const by = action.by === undefined ? null : (forwarding.slotOf(action.by) ?? null);
      // Who should carry has gone since it was chosen; the next look sees that.
      if (action.by !== undefined && by === null) continue;
      // Who carries takes nothing but from where it last saw this host: behind a NAT that may have changed.
      if (action.type === 'ask' && by !== null) datapath.ask(by, HELLO, null);
      if (action.type === 'ask') datapath.ask(known.slot, action.number, by);
      else datapath.setCarrier(known.slot, by);
    }
    const { direct, by } = known.path.status();
    if (direct === before.direct && by === before.by) return;
    if (direct === 'blocked' && by !== undefined)
      log.info('packets to a peer do not pass directly and go by way of another', { peer, by });
    else if (direct === 'blocked')
      log.warn('packets to a peer do not pass directly, and nobody carries them', { peer });
    else if (before.direct === 'blocked') log.info('packets to a peer pass directly again', { peer });
  }

  function seek(peer: PeerId, { slot }: Peer, turn: number | undefined): void {
    const places = forwarding.otherPlaces(peer);
    const chosen = turn === undefined || places.length === 0 ? places : [places[turn % places.length]];
    for (const place of chosen) if (place !== undefined) datapath.ask(slot, HELLO, place);
  }

  function look(): void {
    timer = clock.setTimer(LOOK_EVERY, look);
    const counters = datapath.counters().peers;
    const members = membership.members().filter((peer) => peer !== self);
    for (const peer of peers.keys()) if (!membership.isMember(peer)) peers.delete(peer);
    const reached = new Map<PeerId, Reach | undefined>();
    for (const peer of members) if (liveness.isUp(peer) && hasKey(peer)) reached.set(peer, reachOf(peer));
    let all: readonly Candidate[] | undefined;
    for (const peer of members) {
      const known = reached.has(peer) ? peerOf(peer) : peers.get(peer);
      if (known === undefined) continue;
      const traffic = trafficSince(known, counters.get(known.slot));
      if (!reached.has(peer)) step(peer, known, { type: 'pause' });
      else {
        const { direct, proven } = known.path.status();
        const there = reached.get(peer);
        const doubted = there?.blocked.some((one) => one.peer === self) === true;
        const needs = direct !== 'works' || !proven || doubted;
        // A release that does not know of this would not take what is carried.
        if (needs) all ??= candidatesAmong(reached);
        const candidates = needs && there !== undefined ? candidatesFor(self, peer, there, all ?? []) : [];
        step(peer, known, { type: 'tick', ...traffic, doubted, candidates });
      }
    }
    tellSoon();
  }

  function candidatesAmong(reached: ReadonlyMap<PeerId, Reach | undefined>): readonly Candidate[] {
    return [...reached].flatMap(([peer, reach]): Candidate[] => {
      const status = peerOf(peer)?.path.status();
      if (status === undefined) return [];
      const { direct, roundTrip } = status;
      return [{ peer, works: direct === 'works', roundTrip, reach }];
    });
  }

  function trafficSince(known: Peer, now: PeerCounters | undefined): { sent: boolean; received: boolean } {
    const [sent, received] = [now?.sentPackets ?? 0n, now?.receivedPackets ?? 0n];
    const traffic = { sent: sent > known.sent, received: received > known.received };
    known.sent = sent;
    known.received = received;
    return traffic;
  }

  async function tell(): Promise<void> {
    const blocked = [...peers].flatMap(([peer, { path }]) => {
      const { direct, by } = path.status();
      return direct === 'blocked' ? [{ peer, by: by ?? null }] : [];
    });
    const own: Reach = { relay: carries, blocked: blocked.slice(0, MAX_BLOCKED) };
    const text = JSON.stringify(own);
    const now = clock.now();
    if (text === told || now < toldAt + gap) return;
    gap = now < toldAt + QUIET ? Math.min(2 * gap, LONGEST_GAP) : LOOK_EVERY;
    told = text;
    toldAt = now;
    await records.put(KEY.reach, own);
  }

  function tellSoon(): void {
    tell().catch((error: unknown) => {
      told = undefined;
      log.error('cannot tell others who is reached', { error: String(error) });
    });
  }

  return {
    carries,
    status: (peer) => peers.get(peer)?.path.status(),
    pairs() {
      const pairs = membership.members().flatMap((from) =>
        (reachOf(from)?.blocked ?? []).flatMap(({ peer, by }) => {
          return by === self ? [[from, peer].sort().join()] : [];
        }),
      );
      return new Set(pairs).size;
    },
    take(event) {
      if (event.type !== 'answered' && event.type !== 'roamed') return;
      const peer = forwarding.peerAt(event.slot);
      const known = peer === undefined ? undefined : peers.get(peer);
      if (peer === undefined || known === undefined) return;
      if (event.type === 'roamed') step(peer, known, { type: 'moved' });
      else step(peer, known, { type: 'answer', number: event.number });
    },
    async start() {
      await tell();
      look();
    },
    close() {
      timer?.cancel();
    },
  };
}
