import { parseHostPort } from '../core/address.ts';
import type { Crypto } from '../core/crypto.ts';
import type { PeerId } from '../core/ids.ts';
import { relayName } from '../core/relay.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import {
  type Datapath,
  type DatapathEvent,
  MAX_SLOTS,
  type RouteRange,
  type SessionKey,
  type UdpEndpoint,
} from '../ports/datapath.ts';
import type { Log } from '../ports/log.ts';
import type { Links } from './links.ts';
import type { Membership } from './membership.ts';
import { KEY, type Records, readPeerRecord } from './records.ts';
import type { RingSegment, Space } from './space.ts';

/**
 * The tables of the data path: a slot for each member, where its datagrams go, its keys, and the ring as routes.
 * A peer's endpoint is tried in this order: the address that its link is seen to come from with the data port that it announces, then what it
 * announces itself. What an authentic packet came from is better than all of these.
 */
export interface Forwarding {
  slotOf(peer: PeerId): number | undefined;
  peerAt(slot: number): PeerId | undefined;
  endpointOf(peer: PeerId): UdpEndpoint | undefined;
  /** Where else it may be, best first; at most MOST_PLACES. */
  otherPlaces(peer: PeerId): readonly UdpEndpoint[];
  /** Address from which it has proven to be the peer, with a packet or at the other end of a link; undefined while it has not. */
  seenAt(peer: PeerId): string | undefined;
  /** All keys that are now valid with the peer. Nothing happens for who is no member. */
  setKeys(peer: PeerId, keys: readonly SessionKey[]): void;
  /** No packet comes back from where datagrams to the peer go: tries the next endpoint. */
  tryNext(peer: PeerId): void;
  /** Takes what the data path tells. */
  take(event: DatapathEvent): void;
  close(): void;
}

export interface ForwardingParts {
  readonly self: PeerId;
  readonly crypto: Pick<Crypto, 'hash'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly datapath: Datapath;
  readonly membership: Pick<Membership, 'members' | 'isMember' | 'watch'>;
  readonly records: Pick<Records, 'get' | 'watch'>;
  readonly links: Pick<Links, 'neighbour' | 'watch'>;
  readonly space: Pick<Space, 'ring' | 'watch'>;
}

/** Each gets a datagram a second for as long as the peer does not answer, whatever is there. */
export const MOST_PLACES = 8;

interface Peer {
  readonly slot: number;
  candidates: readonly UdpEndpoint[];
  /** Undefined: datagrams go nowhere. */
  endpoint: UdpEndpoint | undefined;
  /** A packet has come from the peer since the endpoint was chosen. */
  proven: boolean;
  /** The peer's life for which the endpoint was chosen. */
  boot: string | undefined;
}

export function createForwarding(parts: ForwardingParts): Forwarding {
  const { self, crypto, clock, log, datapath, membership, records, links, space } = parts;
  const peers = new Map<PeerId, Peer>();
  const slots = new Map<number, PeerId>();
  /** Slots that were given back, oldest first: late events of the data path must not meet a new owner. */
  const returned: number[] = [];
  let unused = 1;
  let syncing: Timer | undefined;
  let drawing: Timer | undefined;

  function takeSlot(): number | undefined {
    return unused < MAX_SLOTS ? unused++ : returned.shift();
  }

  function syncMembers(): void {
    syncing = undefined;
    for (const [peer, { slot }] of peers) {
      if (membership.isMember(peer)) continue;
      datapath.removePeer(slot);
      peers.delete(peer);
      slots.delete(slot);
      returned.push(slot);
    }
    for (const peer of membership.members()) peerOf(peer);
    drawSoon();
  }

  /** Undefined for who is no member, and beyond MAX_SLOTS members. */
  function peerOf(peer: PeerId): Peer | undefined {
    const known = peers.get(peer);
    if (known !== undefined || peer === self || !membership.isMember(peer)) return known;
    const slot = takeSlot();
    if (slot === undefined) {
      log.warn('there are more members than the data path has slots', { peer });
      return undefined;
    }
    const added: Peer = { slot, candidates: [], endpoint: undefined, proven: false, boot: undefined };
    slots.set(slot, peer);
    peers.set(peer, added);
    datapath.setPeer(slot, null, relayName(crypto, peer));
    chooseEndpoint(peer);
    return added;
  }

  /** Looks at what is known of where the peer is. An endpoint that works is left alone, unless the peer has started anew. */
  function chooseEndpoint(peer: PeerId): void {
    const known = peers.get(peer);
    if (known === undefined) return;
    const record = readPeerRecord(records.get(peer, KEY.peer));
    const candidates = candidatesOf(links.neighbour(peer)?.address, record?.data ?? []);
    const isNewLife = record?.boot !== known.boot;
    // A record changes for other reasons too; the search through the candidates goes on where it was.
    if (!isNewLife && areSame(candidates, known.candidates)) return;
    if (isNewLife) known.proven = false;
    known.boot = record?.boot;
    known.candidates = candidates;
    const [best] = candidates;
    if (!known.proven && best !== undefined) direct(known, best);
  }

  function direct(peer: Peer, endpoint: UdpEndpoint): void {
    if (peer.endpoint !== undefined && isSame(peer.endpoint, endpoint)) return;
    peer.endpoint = endpoint;
    datapath.setPeer(peer.slot, endpoint);
  }

  /** Many changes of the ring come at once; the table is swapped as a whole. */
  function drawSoon(): void {
    drawing ??= clock.setTimer(0, () => {
      drawing = undefined;
      datapath.setRoutes(drawRoutes(space.ring(), (owner) => (owner === self ? 0 : peers.get(owner)?.slot)));
    });
  }

  const stops = [
    // Many members come at once, when records do.
    membership.watch(() => {
      syncing ??= clock.setTimer(0, syncMembers);
    }),
    space.watch(drawSoon),
    records.watch(KEY.peer, ({ author, key }) => {
      if (key === KEY.peer) chooseEndpoint(author);
    }),
    links.watch({ up: ({ peer }) => chooseEndpoint(peer) }),
  ];
  syncMembers();

  return {
    slotOf: (peer) => peers.get(peer)?.slot,
    peerAt: (slot) => slots.get(slot),
    endpointOf: (peer) => peers.get(peer)?.endpoint,
    otherPlaces(peer) {
      const { candidates = [], endpoint } = peers.get(peer) ?? {};
      const others = candidates.filter((one) => endpoint === undefined || !isSame(one, endpoint));
      return others.slice(0, MOST_PLACES);
    },
    seenAt(peer) {
      const known = peers.get(peer);
      const link = links.neighbour(peer)?.address;
      const packets = known?.proven === true ? known.endpoint : undefined;
      return (packets ?? (link === undefined ? undefined : readEndpoint(link)))?.address;
    },
    setKeys(peer, keys) {
      const known = peerOf(peer);
      if (known !== undefined) datapath.setKeys(known.slot, keys);
    },
    tryNext(peer) {
      const known = peers.get(peer);
      if (known === undefined || known.candidates.length === 0) return;
      known.proven = false;
      const at = known.candidates.findIndex(
        (one) => known.endpoint !== undefined && isSame(one, known.endpoint),
      );
      direct(known, known.candidates[(at + 1) % known.candidates.length] as UdpEndpoint);
    },
    take(event) {
      if (event.type === 'failed') log.error('the data path failed', { error: event.message });
      if (event.type !== 'roamed' && event.type !== 'keyConfirmed') return;
      const known = peers.get(slots.get(event.slot) as PeerId);
      if (known === undefined) return;
      known.proven = true;
      // The data path has moved already.
      if (event.type === 'roamed') known.endpoint = event.endpoint;
    },
    close() {
      syncing?.cancel();
      drawing?.cancel();
      for (const stop of stops) stop();
    },
  };
}

/** The ring with owners as slots; neighbouring ranges of one owner are one. Addresses of nobody, or of no member, are left out. */
export function drawRoutes(
  ring: readonly RingSegment[],
  slotOf: (owner: PeerId) => number | undefined,
): readonly RouteRange[] {
  const routes: RouteRange[] = [];
  for (const { start, last, owner } of ring) {
    const slot = owner === undefined ? undefined : slotOf(owner);
    if (slot === undefined) continue;
    const before = routes.at(-1);
    if (before?.slot === slot && before.last + 1 === start) routes[routes.length - 1] = { ...before, last };
    else routes.push({ start, last, slot });
  }
  return routes;
}

/** `seen`: `host:port` at the other end of the link; `data`: what the peer announces. Names are left out: only addresses can be sent to. */
function candidatesOf(seen: string | undefined, data: readonly string[]): readonly UdpEndpoint[] {
  const announced = data.flatMap((text) => readEndpoint(text) ?? []);
  const from = seen === undefined ? undefined : readEndpoint(seen);
  const observed = from === undefined ? [] : announced.map(({ port }) => ({ address: from.address, port }));
  const candidates: UdpEndpoint[] = [];
  for (const one of [...observed, ...announced]) {
    if (!candidates.some((other) => isSame(one, other))) candidates.push(one);
  }
  return candidates;
}

function readEndpoint(text: string): UdpEndpoint | undefined {
  const parsed = parseHostPort(text);
  if (!parsed.ok || parsed.value.port === 0 || parsed.value.kind === 'name') return undefined;
  return { address: parsed.value.host, port: parsed.value.port };
}

function areSame(a: readonly UdpEndpoint[], b: readonly UdpEndpoint[]): boolean {
  return a.length === b.length && a.every((one, at) => isSame(one, b[at] as UdpEndpoint));
}

function isSame(a: UdpEndpoint, b: UdpEndpoint): boolean {
  return a.address === b.address && a.port === b.port;
}
