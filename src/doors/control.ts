import type { DnsControl } from './dns-control.ts';
import type { MeshStatus, RelayStatus } from './mesh-status.ts';
import type { NetworkControl, NetworkStatus } from './networks.ts';
import type { RemovalControl } from './removal.ts';
import type { Warning } from './warning.ts';

export type { Warning } from './warning.ts';

/**
 * What the doors ask of the daemon. The real one is daemon/control.ts, the twin doors/memory-control.ts. Data types are JSON-plain:
 * the object that `GET /v1/status` sends is the one that text and `--json` render. Everything rejects with an error whose code is
 * in doors/errors.ts: a ControlError, or a SpaceError, HostError or DialError as it came.
 */
export interface Control extends NetworkControl, RemovalControl {
  /** From memory, at once, in every phase: status must answer when nothing else does. */
  status(): Status;
  /** Called on each change of `status().phase`. Returns the way to stop. */
  watchPhase(handler: (phase: Phase) => void): () => void;
  /**
   * Makes a new mesh with this host as its first peer; resolves when ready. A host that is in a mesh already resumes it
   * (`created` false). Rejects with `other-range` when that mesh has another range than the one asked for.
   */
  found(request: FoundRequest): Promise<Started>;
  /**
   * Redeems a token; resolves when the first grant of addresses is stored and the network is up. A member of that mesh resumes
   * it and leaves the token unused (`created` false); a member of another rejects with `other-mesh`.
   */
  join(request: JoinRequest): Promise<Started>;
  invite(request: InviteRequest): Promise<Invitation>;
  /** Gives a sandbox an interface with an address. Resolves to what is there already when it is the same. */
  attach(request: AttachRequest): Promise<EndpointStatus>;
  /** Resolves to what was detached; rejects with `unknown-endpoint`, or with `ambiguous-endpoint` naming the candidates. */
  detach(request: DetachRequest): Promise<EndpointStatus>;
  /** Gives the host itself an address in the mesh; the one that it has when it has one and no other is wanted. */
  expose(request: ExposeRequest): Promise<EndpointStatus>;
  /** Takes the host's addresses away again; the list of those that there were. */
  hide(): Promise<readonly EndpointStatus[]>;
  /** The path to each peer, with counters read at once. */
  paths(): Promise<PathsStatus>;
  /** Links that may go without encryption where the other end agrees. */
  trusted(): TrustStatus;
  /** Takes effect at once and outlives restarts, as does `distrust`. Fine when it is there. */
  trust(request: TrustRequest): Promise<TrustStatus>;
  /** Rejects with `unknown-subnet`. */
  distrust(request: TrustRequest): Promise<TrustStatus>;
  /** Names of endpoints and of what is beside the mesh. */
  readonly dns: DnsControl;
  /**
   * Undoes everything on the machine and keeps the state, so that the next start has the same addresses. When it resolves only
   * the API still runs; the daemon then answers the caller, closes it and exits.
   */
  down(): Promise<Stopped>;
}

export interface FoundRequest {
  /** CIDR of the new mesh; absent: the configured one. */
  readonly range?: string;
  /** False: a mesh that trusts every link between its hosts. Rejects with `other-encryption` in a mesh that does not. Absent: true. */
  readonly encryption?: boolean;
}

export interface TrustRequest {
  /** CIDR of underlay addresses. */
  readonly subnet: string;
}

export interface TrustStatus {
  /** The mesh was made without encryption: every link is trusted, whatever is listed. */
  readonly everywhere: boolean;
  readonly subnets: readonly TrustedSubnet[];
}

export interface TrustedSubnet {
  readonly subnet: string;
  readonly from: 'configuration' | 'command';
}

/** A peer and how packets get to it. */
export interface PathsStatus {
  readonly paths: readonly PathRow[];
  readonly relay: RelayStatus | null;
}

export interface PathRow extends PathStatus {
  readonly nickname: string;
  readonly id: string;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/** The rows of a list of peers. */
export function pathRowsOf(peers: readonly PeerStatus[]): readonly PathRow[] {
  return peers.map(({ nickname, id, path, traffic: { sentBytes, receivedBytes } }) => {
    return { nickname, id, ...path, sentBytes, receivedBytes };
  });
}

export interface JoinRequest {
  /** `wf1_…`; never logged, never part of an error. */
  readonly token: string;
}

export interface Started {
  /** False when the host was in this mesh before. */
  readonly created: boolean;
  readonly status: Status;
}

export interface InviteRequest {
  /** Seconds until the token expires, 60 … 2,592,000 (30 days); absent: 86,400. */
  readonly ttl?: number;
  /** How many hosts may join with it, 1 … 10,000; absent: 1. */
  readonly uses?: number;
}

export interface Invitation {
  readonly token: string;
  /** Names the token in logs and errors; not secret. Hex. */
  readonly id: string;
  /** Seconds until it expires. */
  readonly ttl: number;
  readonly uses: number;
  /** `host:port` that the token tells joiners to dial. */
  readonly addresses: readonly string[];
}

export interface AttachRequest {
  /** Name of a network namespace, absolute path to one, or decimal process id. */
  readonly sandbox: string;
  /** Wanted IPv4 address without prefix; absent: any free one. */
  readonly ip?: string;
  /** Name of the interface inside, at most 15 characters. */
  readonly interface?: string;
  /** What to call the endpoint; unique on this host. */
  readonly name?: string;
  /** Name or id; absent: `weft`. */
  readonly network?: string;
}

export interface DetachRequest {
  /** Endpoint id (or a unique start of it of at least 4 characters), name, address, or sandbox as it was given to attach. */
  readonly endpoint: string;
}

export interface ExposeRequest {
  /** Wanted IPv4 address without prefix. */
  readonly ip?: string;
  readonly network?: string;
}

export interface Stopped {
  readonly detached: number;
}

/** What `down` did where no daemon lived. */
export interface Cleaned extends Stopped {
  /** Whether there was a link of Weft's. */
  readonly found: boolean;
}

/** `idle`: in no mesh, waits for found or join. `failed`: `text` says what to do; found and join may be tried again. */
export interface Phase {
  readonly state: 'idle' | 'starting' | 'ready' | 'stopping' | 'failed';
  /** One line for a person: what is being done or waited for, e.g. `asking 192.0.2.7:6783 for addresses`. */
  readonly text: string;
}

export interface Status {
  readonly version: string;
  readonly phase: Phase;
  /** See isDegraded. `weft status` then exits with 3. */
  readonly degraded: boolean;
  readonly nickname: string;
  /** Peer id; null before the host has a key. */
  readonly peer: string | null;
  /** Seconds since the daemon started. */
  readonly uptime: number;
  readonly mesh: MeshStatus | null;
  readonly listen: ListenStatus;
  readonly device: DeviceStatus | null;
  /** Every member but this host, also those that are down; sorted by nickname, then id. */
  readonly peers: readonly PeerStatus[];
  readonly ipam: IpamStatus | null;
  /** `weft` first, then the oldest; none while the host is in no mesh. */
  readonly networks: readonly NetworkStatus[];
  readonly endpoints: readonly EndpointStatus[];
  /** Sum over all peers since the daemon started. */
  readonly traffic: Traffic;
  /** Packets dropped by reason (DROP_REASONS of ports/datapath.ts); zero ones may be left out. */
  readonly drops: Readonly<Record<string, number>>;
  /** Null before there is a mesh. */
  readonly relay: RelayStatus | null;
  /** Most severe first. */
  readonly warnings: readonly Warning[];
  readonly state: StateStatus;
}

export interface ListenStatus {
  /** `host:port` bound by the control plane (TCP) and by the data path (UDP). */
  readonly control: readonly string[];
  readonly data: readonly string[];
  /** What other peers are told to dial. */
  readonly advertised: readonly string[];
}

export interface DeviceStatus {
  readonly name: string;
  readonly mtu: number;
}

export interface PeerStatus {
  readonly nickname: string;
  readonly id: string;
  /** Null until its record has arrived. */
  readonly version: string | null;
  readonly state: 'up' | 'down';
  readonly control: ControlLinkStatus;
  readonly path: PathStatus;
  readonly session: SessionStatus | null;
  /** The last thing that went wrong with this peer and has not been put right since. */
  readonly lastError: string | null;
  readonly traffic: Traffic;
}

export interface ControlLinkStatus {
  /** `linked`: an open link; `forwarded`: reached through other peers; `dialling`: being tried; `none`: not reached. */
  readonly state: 'linked' | 'forwarded' | 'dialling' | 'none';
  /** Of the open link, or the one dialled last. */
  readonly address: string | null;
  readonly direction: 'dialled' | 'accepted' | null;
  /** Links between this host and the peer; null when it is not reached. */
  readonly hops: number | null;
}

export interface PathStatus {
  /** `vxlan`: the kernel's own, in clear over a trusted link. `relayed`: encrypted, and carried by a third host that cannot read it. */
  readonly kind: 'vxlan' | 'encrypted' | 'relayed' | 'none';
  /** Nickname of the host that carries what is relayed. */
  readonly by: string | null;
  /** `host:port` where packets go; null where another host carries them. */
  readonly endpoint: string | null;
  /** Bytes of the largest packet of a container that gets to the peer. */
  readonly mtu: number;
  /** Why it is not a better one; null when it is the best there is. */
  readonly reason: string | null;
  /** Part of the last probes that were lost, 0 … 1; null where the path is not probed. */
  readonly loss: number | null;
  /** Milliseconds; null where the path is not probed. */
  readonly roundTrip: number | null;
}

export interface SessionStatus {
  readonly epoch: number;
  readonly suite: string;
  /** Seconds since its keys were agreed. */
  readonly age: number;
}

/** Inner packets and bytes; exact up to 2^53. */
export interface Traffic {
  readonly sentPackets: number;
  readonly sentBytes: number;
  readonly receivedPackets: number;
  readonly receivedBytes: number;
  readonly dropped: number;
}

export interface IpamStatus {
  /** CIDR of the whole mesh. */
  readonly range: string;
  /** Addresses in it. */
  readonly total: number;
  /** Of this host: ranges with their sizes, allocated and free addresses. */
  readonly own: readonly OwnRange[];
  readonly allocated: number;
  readonly free: number;
  /** Who owns how much, this host included; largest first. */
  readonly owners: readonly OwnerShare[];
  /** Ranges that two changes contend for; nobody allocates from them and no packet goes there. */
  readonly disputes: readonly Dispute[];
  /** What an allocation is waiting for right now. */
  readonly waiting: readonly string[];
}

export interface OwnRange {
  /** IPv4 text, both inside. */
  readonly start: string;
  readonly last: string;
  readonly network: string;
  readonly size: number;
}

export interface OwnerShare {
  readonly peer: string;
  readonly nickname: string;
  readonly state: 'self' | 'up' | 'down';
  readonly addresses: number;
  /** As it says itself; null when not known. */
  readonly free: number | null;
}

export interface Dispute {
  readonly start: string;
  readonly last: string;
  readonly text: string;
}

export interface EndpointStatus {
  readonly id: string;
  readonly name: string | null;
  /** `host`: the host itself (`weft expose`); `docker`: a container that Docker attached, which Docker alone can detach. */
  readonly kind: 'sandbox' | 'docker' | 'host';
  readonly network: string;
  /** IPv4 text and length of the network's prefix. */
  readonly address: string;
  readonly prefix: number;
  /** As given to attach, or as Docker names it; null for the host and for a container that does not run. */
  readonly sandbox: string | null;
  /** Inside the sandbox; empty where Docker chose it. */
  readonly interface: string;
  /** The link's end on the host; null for the host. */
  readonly hostLink: string | null;
  readonly mac: string | null;
  /** False when the sandbox is gone or its link is down. */
  readonly up: boolean;
}

export interface StateStatus {
  /** The state folder. */
  readonly path: string;
  /** What the daemon started from. */
  readonly generation: 'new' | 'current' | 'previous';
  /** Why the previous generation was taken, or null. */
  readonly note: string | null;
}

/** What `degraded` of a status must be; `idle` is healthy: nothing was asked of it yet. */
export function isDegraded(phase: Phase, warnings: readonly Warning[]): boolean {
  return phase.state === 'failed' || warnings.some((warning) => warning.severity === 'error');
}
