import {
  type DatapathCounters,
  DatapathError,
  DROP_REASONS,
  type DropReason,
  type PeerCounters,
  type SessionKey,
  type UdpEndpoint,
} from '../datapath.ts';
import type { ReplayWindow } from './replay-window.ts';

/** What a memory data path knows of one key. */
export interface Session {
  readonly peer: Peer;
  readonly key: SessionKey;
  /** By lane. */
  readonly windows: Map<number, ReplayWindow>;
  counter: bigint;
  /** The last counter of what the path says by itself; the greeting has 0. */
  said: bigint;
  greeted: boolean;
  confirmed: boolean;
  rekeyAsked: boolean;
}

export interface Peer {
  readonly slot: number;
  readonly name: bigint | undefined;
  /** Slot of the peer that carries what goes to this one. */
  carrier: number | null;
  readonly counters: { -readonly [Name in keyof PeerCounters]: PeerCounters[Name] };
  /** By receive index. */
  readonly sessions: Map<number, Session>;
  endpoint: UdpEndpoint | null;
  sending: Session | undefined;
  nextKeyWanted: number;
}

/** Peers by slot, keys by receive index, and what was counted for them. */
export interface PeerTable {
  peer(slot: number): Peer | undefined;
  session(receiveIndex: number): Session | undefined;
  named(name: bigint): Peer | undefined;
  set(slot: number, endpoint: UdpEndpoint | null, name: bigint | undefined): Peer;
  remove(slot: number): void;
  /** Throws DatapathError `bad-argument`; then nothing has changed. */
  setKeys(slot: number, keys: readonly SessionKey[]): Peer;
  drop(reason: DropReason, peer?: Peer): void;
  counters(): DatapathCounters;
}

const NO_TRAFFIC: PeerCounters = {
  sentPackets: 0n,
  sentBytes: 0n,
  receivedPackets: 0n,
  receivedBytes: 0n,
  dropped: 0n,
  relayedBytes: 0n,
};

export function createPeerTable(): PeerTable {
  const peers = new Map<number, Peer>();
  const sessions = new Map<number, Session>();
  const drops = Object.fromEntries(DROP_REASONS.map((reason) => [reason, 0n])) as Record<DropReason, bigint>;
  /** Of peers that were removed. */
  let past = NO_TRAFFIC;

  function forget(session: Session): void {
    session.peer.sessions.delete(session.key.receiveIndex);
    sessions.delete(session.key.receiveIndex);
    if (session.peer.sending === session) session.peer.sending = undefined;
  }

  function remember(peer: Peer, key: SessionKey): Session {
    const state = { counter: 0n, said: 0n, greeted: false, confirmed: false, rekeyAsked: false };
    const session = { peer, key, windows: new Map(), ...state };
    sessions.set(key.receiveIndex, session);
    peer.sessions.set(key.receiveIndex, session);
    return session;
  }

  return {
    peer: (slot) => peers.get(slot),
    session: (receiveIndex) => sessions.get(receiveIndex),
    named: (name) => [...peers.values()].find((peer) => peer.name === name),
    set(slot, endpoint, name) {
      const fresh = {
        name,
        carrier: null,
        counters: { ...NO_TRAFFIC },
        sessions: new Map(),
        sending: undefined,
        nextKeyWanted: 0,
      };
      const peer: Peer = peers.get(slot) ?? { slot, endpoint, ...fresh };
      peer.endpoint = endpoint;
      peers.set(slot, peer);
      return peer;
    },
    remove(slot) {
      const peer = peers.get(slot);
      if (!peer) return;
      for (const session of [...peer.sessions.values()]) forget(session);
      peers.delete(slot);
      past = sum([past, peer.counters]);
    },
    setKeys(slot, keys) {
      const peer = peers.get(slot);
      if (!peer) throw new DatapathError('bad-argument', 'the peer is unknown: setPeer comes first');
      if (keys.some(({ receiveIndex: index }) => sessions.has(index) && !peer.sessions.has(index)))
        throw new DatapathError('bad-argument', 'a receive index belongs to another peer');
      for (const session of [...peer.sessions.values()])
        if (!keys.some((key) => key.receiveIndex === session.key.receiveIndex)) forget(session);
      peer.sending = undefined;
      for (const key of keys) {
        const session = peer.sessions.get(key.receiveIndex) ?? remember(peer, key);
        if (key.send) peer.sending = session;
      }
      return peer;
    },
    drop(reason, peer) {
      drops[reason]++;
      if (peer) peer.counters.dropped++;
    },
    counters() {
      const list = [...peers.values()].map((peer) => [peer.slot, { ...peer.counters }] as const);
      const total = sum([past, ...list.map(([, counters]) => counters)]);
      return { total, peers: new Map(list), drops: { ...drops } };
    },
  };
}

function sum(list: readonly PeerCounters[]): PeerCounters {
  const total = { ...NO_TRAFFIC };
  for (const counters of list)
    for (const name of Object.keys(total) as (keyof PeerCounters)[]) total[name] += counters[name];
  return total;
}
