import { formatHostPort } from '../../core/address.ts';
import type { PeerId } from '../../core/ids.ts';
import type { RelayPathStatus } from '../../core/relay.ts';
import type {
  ControlLinkStatus,
  PathStatus,
  PeerStatus,
  SessionStatus,
  Traffic,
} from '../../doors/control.ts';
import type { LinkState } from '../../mesh/links.ts';
import type { PathReport } from '../../mesh/paths/report.ts';
import { KEY, readPeerRecord } from '../../mesh/records.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DatapathCounters } from '../../ports/datapath.ts';
import { pathMtu } from '../mesh-mtu.ts';
import type { Network } from '../network.ts';
import { NO_TRAFFIC, trafficOf } from './traffic.ts';

/** Every other member, by nickname, then id. */
export function peerStatuses(
  { mesh, paths, relays }: Network,
  counters: DatapathCounters,
  clock: Clock,
): PeerStatus[] {
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
    const report = paths.report(peer);
    const relay = relays.status(peer);
    return {
      nickname: record?.nickname ?? peer,
      id: peer,
      version: record?.version ?? null,
      state: liveness.isUp(peer) ? 'up' : 'down',
      control: linkStatus(link, liveness.topology.hops(peer)),
      path: pathStatus(
        report,
        session !== null,
        endpoint === undefined ? null : formatHostPort(endpoint.address, endpoint.port),
        relay?.direct === 'blocked' ? relayedBy(relay) : undefined,
        pathMtu(report, relay),
      ),
      session,
      lastError: link?.lastError ?? negotiated?.lastError ?? null,
      traffic: withFastPath(traffic === undefined ? NO_TRAFFIC : trafficOf(traffic), report),
    };
  }

  function relayedBy({ by, proven, roundTrip }: RelayPathStatus): Relayed {
    const name = by === undefined ? null : (readPeerRecord(records.get(by, KEY.peer))?.nickname ?? by);
    return { by: name, proven, roundTrip: roundTrip ?? null };
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

/** How packets get to a peer that does not answer directly; `by` null: not at all. */
interface Relayed {
  readonly by: string | null;
  readonly proven: boolean;
  readonly roundTrip: number | null;
}

function pathStatus(
  report: PathReport,
  hasSession: boolean,
  endpoint: string | null,
  relayed: Relayed | undefined,
  mtu: number,
): PathStatus {
  const { kind, reason, probe, underlay } = report;
  if (kind !== 'vxlan' && relayed !== undefined) return relayedStatus(relayed, endpoint, mtu);
  return {
    kind: kind === 'vxlan' ? 'vxlan' : hasSession ? 'encrypted' : 'none',
    by: null,
    endpoint: kind === 'vxlan' ? underlay : endpoint,
    mtu,
    reason,
    loss: probe?.loss ?? null,
    roundTrip: probe?.roundTrip ?? null,
  };
}

function relayedStatus({ by, proven, roundTrip }: Relayed, endpoint: string | null, mtu: number): PathStatus {
  const blocked = 'nothing comes back by UDP directly';
  const reason =
    by === null
      ? `${blocked}, and no other host that relays reaches both ends`
      : `${blocked}, so ${by} relays${proven ? '' : ', which nothing has proven yet'}`;
  if (by === null) return { kind: 'none', by, endpoint, mtu, reason, loss: null, roundTrip };
  return { kind: 'relayed', by, endpoint: null, mtu, reason, loss: null, roundTrip };
}

/** What went by the kernel's own path is counted by the kernel. */
function withFastPath(counted: Traffic, { traffic }: PathReport): Traffic {
  if (traffic === null) return counted;
  return {
    sentPackets: counted.sentPackets + traffic.sent.packets,
    sentBytes: counted.sentBytes + traffic.sent.bytes,
    receivedPackets: counted.receivedPackets + traffic.received.packets,
    receivedBytes: counted.receivedBytes + traffic.received.bytes,
    dropped: counted.dropped,
  };
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
