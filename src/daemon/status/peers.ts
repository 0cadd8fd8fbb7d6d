import { formatHostPort } from '../../core/address.ts';
import type { PeerId } from '../../core/ids.ts';
import type { ControlLinkStatus, PeerStatus, SessionStatus } from '../../doors/control.ts';
import type { LinkState } from '../../mesh/links.ts';
import { KEY, readPeerRecord } from '../../mesh/records.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DatapathCounters } from '../../ports/datapath.ts';
import type { Network } from '../network.ts';
import { NO_TRAFFIC, trafficOf } from './traffic.ts';

/** Every other member, by nickname, then id. */
export function peerStatuses({ mesh }: Network, counters: DatapathCounters, clock: Clock): PeerStatus[] {
  const { membership, records, liveness, links, sessions, forwarding } = mesh;
  const states = new Map(links.states().map((state) => [state.peer, state]));

  function statusOf(peer: PeerId): PeerStatus {
    const record = readPeerRecord(records.get(peer, KEY.peer));
    const link = states.get(peer);
    const negotiated = sessions.status(peer);
    const session = sessionStatus(negotiated, clock);
    const slot = forwarding.slotOf(peer);
    const endpoint = forwarding.endpointOf(peer);
    const traffic = slot === undefined ? undefined : counters.peers.get(slot);
    return {
      nickname: record?.nickname ?? peer,
      id: peer,
      version: record?.version ?? null,
      state: liveness.isUp(peer) ? 'up' : 'down',
      control: linkStatus(link, liveness.topology.hops(peer)),
      path: {
        kind: session === null ? 'none' : 'encrypted',
        endpoint: endpoint === undefined ? null : formatHostPort(endpoint.address, endpoint.port),
      },
      session,
      lastError: link?.lastError ?? negotiated?.lastError ?? null,
      traffic: traffic === undefined ? NO_TRAFFIC : trafficOf(traffic),
    };
  }

  return membership
    .members()
    .filter((peer) => peer !== membership.self)
    .map(statusOf)
    .sort((left, right) => compare(left.nickname, right.nickname) || compare(left.id, right.id));
}

type Negotiated = ReturnType<Network['mesh']['sessions']['status']>;

/** Null until a packet of the peer has proven a key. */
function sessionStatus(negotiated: Negotiated, clock: Clock): SessionStatus | null {
  if (negotiated?.state !== 'established') return null;
  const { epoch = 0, suite = '', since = clock.now() } = negotiated;
  return { epoch, suite, age: Math.floor((clock.now() - since) / 1_000) };
}

function linkStatus(link: LinkState | undefined, hops: number | undefined): ControlLinkStatus {
  const common = { address: link?.address ?? null, hops: hops ?? null };
  if (link?.state === 'connected') return { ...common, state: 'linked', direction: link.direction ?? null };
  if (hops !== undefined) return { ...common, state: 'forwarded', direction: null };
  return { ...common, state: link === undefined ? 'none' : 'dialling', direction: null };
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
