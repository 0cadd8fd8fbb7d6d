import type { Crypto, Identity } from '../core/crypto.ts';
import type { MeshId, PeerId } from '../core/ids.ts';
import { createSession } from '../core/session/create.ts';
import type { Session, SessionEvent, SessionStatus } from '../core/session/session.ts';
import { SUITES, type Suite } from '../core/session/wire.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Datapath, DatapathCounters, DatapathEvent } from '../ports/datapath.ts';
import type { Log } from '../ports/log.ts';
import type { Random } from '../ports/random.ts';
import type { Forwarding } from './forwarding.ts';
import type { Liveness } from './liveness.ts';
import type { Membership } from './membership.ts';
import type { Messenger } from './messenger.ts';
import { KEY, type Records, readPeerRecord } from './records.ts';

/**
 * Keys with every peer that needs them: with all that are up while those are few, else when a packet wants one. Gives core/session what
 * it may not have itself: time, randomness, the messenger, and the data path behind `forwarding`.
 */
export interface Sessions {
  /** Undefined for a peer with which there never was one. `since` by the clock. */
  status(peer: PeerId): SessionStatus | undefined;
  /** Takes what the data path tells. */
  take(event: DatapathEvent): void;
  close(): void;
}

export interface SessionsParts {
  readonly identity: Identity;
  readonly mesh: MeshId;
  /** This peer's present life, as in its record. */
  readonly boot: string;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly membership: Pick<Membership, 'isMember' | 'watch'>;
  readonly records: Pick<Records, 'get' | 'watch'>;
  readonly messenger: Pick<Messenger, 'send' | 'handle'>;
  readonly liveness: Pick<Liveness, 'up' | 'count' | 'isUp' | 'onPeerUp' | 'onPeerDown'>;
  readonly forwarding: Pick<Forwarding, 'setKeys' | 'peerAt' | 'slotOf' | 'tryNext'>;
  readonly datapath: Pick<Datapath, 'counters'>;
  /** Whether the processor has instructions for AES. */
  readonly aes: boolean;
}

/** Up to so many peers that are up, this one not counted, each has a session before any packet needs it. */
export const EAGER_PEERS = 64;
const KIND = 'session';
/** One look at the counters serves all sessions for so long. */
const COUNTED_FOR = 5_000;

interface Open {
  readonly session: Session;
  readonly indexes: Set<number>;
  timer: Timer | undefined;
  /** What was last told of it in the log. */
  told: SessionStatus['state'];
}

export function createSessions(parts: SessionsParts): Sessions {
  const { identity, mesh, boot, crypto, clock, random, log } = parts;
  const { membership, records, messenger, liveness, forwarding, datapath } = parts;
  const self = identity.peer;
  const suites: readonly Suite[] = parts.aes ? SUITES : ['chacha20-poly1305'];
  const open = new Map<PeerId, Open>();
  /** Receive indexes of all sessions: a packet says nothing else about the key that opens it. */
  const taken = new Set<number>();
  let lastEpoch = 0;
  let counted: { readonly at: number; readonly peers: DatapathCounters['peers'] } | undefined;
  let syncing: Timer | undefined;
  let closed = false;

  function newIndex(own: Set<number>): number {
    for (;;) {
      const [a = 0, b = 0, c = 0, d = 0] = random.bytes(4);
      const index = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
      if (index === 0 || taken.has(index)) continue;
      taken.add(index);
      own.add(index);
      return index;
    }
  }

  function releaseIndexes({ session, indexes }: Open): void {
    const used = new Set(session.indexes());
    for (const index of indexes) {
      if (used.has(index)) continue;
      indexes.delete(index);
      taken.delete(index);
    }
  }

  function traffic(peer: PeerId): bigint {
    const now = clock.now();
    if (counted === undefined || now - counted.at >= COUNTED_FOR) {
      counted = { at: now, peers: datapath.counters().peers };
    }
    const slot = forwarding.slotOf(peer);
    const counters = slot === undefined ? undefined : counted.peers.get(slot);
    return counters === undefined ? 0n : counters.sentPackets + counters.receivedPackets;
  }

  function sessionWith(peer: PeerId): Open | undefined {
    const known = open.get(peer);
    if (known !== undefined || closed || peer === self || !membership.isMember(peer)) return known;
    const indexes = new Set<number>();
    const numbers = { newIndex: () => newIndex(indexes), newEpoch: () => ++lastEpoch };
    const given = { ...numbers, traffic: () => traffic(peer) };
    const own = { crypto, identity, mesh, peer, boot, suites, random, ...given };
    const one: Open = { session: createSession(own), indexes, timer: undefined, told: 'idle' };
    open.set(peer, one);
    const announced = bootOf(records.get(peer, KEY.peer));
    if (announced !== undefined) step(peer, { type: 'announced', boot: announced });
    return one;
  }

  function step(peer: PeerId, event: SessionEvent): void {
    const one = sessionWith(peer);
    if (one === undefined) return;
    const now = clock.now();
    for (const action of one.session.step(event, now)) {
      if (action.type === 'send') messenger.send(peer, KIND, action.bytes);
      else if (action.type === 'keys') forwarding.setKeys(peer, action.keys);
      else forwarding.tryNext(peer);
    }
    releaseIndexes(one);
    tell(peer, one);
    one.timer?.cancel();
    const next = one.session.nextAt();
    one.timer =
      next === undefined
        ? undefined
        : clock.setTimer(Math.max(0, next - now), () => step(peer, { type: 'timer' }));
  }

  function tell(peer: PeerId, one: Open): void {
    const { state, suite, epoch } = one.session.status();
    if (state === one.told) return;
    one.told = state;
    if (state === 'established') log.info('session established', { peer, suite, epoch });
    else log.debug('session changed', { peer, state });
  }

  /** Beyond the limit whoever came first keeps its session; the others get theirs when a packet wants it. */
  function wantEagerly(peer: PeerId): void {
    if (liveness.count() - 1 <= EAGER_PEERS || open.has(peer)) step(peer, { type: 'want' });
  }

  function syncMembers(): void {
    syncing = undefined;
    for (const [peer, { timer, indexes }] of open) {
      if (membership.isMember(peer)) continue;
      timer?.cancel();
      for (const index of indexes) taken.delete(index);
      open.delete(peer);
      forwarding.setKeys(peer, []);
    }
    // A peer may be up before its certificate has arrived.
    for (const peer of liveness.up()) if (!open.has(peer)) wantEagerly(peer);
  }

  const stops = [
    liveness.onPeerUp(wantEagerly),
    liveness.onPeerDown((peer) => {
      if (open.has(peer)) step(peer, { type: 'pause' });
    }),
    // Many members come at once, when records do.
    membership.watch(() => {
      syncing ??= clock.setTimer(0, syncMembers);
    }),
    records.watch(KEY.peer, ({ author, key, value }) => {
      const announced = key === KEY.peer ? bootOf(value) : undefined;
      if (announced !== undefined && open.has(author)) step(author, { type: 'announced', boot: announced });
    }),
  ];
  messenger.handle(KIND, (from, body) => {
    if (body instanceof Uint8Array) step(from, { type: 'message', bytes: body });
  });
  for (const peer of liveness.up()) wantEagerly(peer);

  return {
    status: (peer) => open.get(peer)?.session.status(),
    take(event) {
      if (event.type !== 'keyWanted' && event.type !== 'keyConfirmed' && event.type !== 'rekeyDue') return;
      const peer = forwarding.peerAt(event.slot);
      if (peer === undefined) return;
      if (event.type === 'keyConfirmed') step(peer, { type: 'confirmed', receiveIndex: event.receiveIndex });
      else if (event.type === 'rekeyDue') step(peer, { type: 'rekey' });
      else if (liveness.isUp(peer)) step(peer, { type: 'want' });
    },
    close() {
      closed = true;
      syncing?.cancel();
      for (const stop of stops) stop();
      for (const { timer } of open.values()) timer?.cancel();
      open.clear();
    },
  };
}

function bootOf(record: unknown): string | undefined {
  const boot = readPeerRecord(record)?.boot;
  return boot !== undefined && /^(?!0{16})[0-9a-f]{16}$/.test(boot) ? boot : undefined;
}
