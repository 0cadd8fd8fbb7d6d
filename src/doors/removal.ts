/** Removing hosts, as the doors ask the daemon for it; part of Control. JSON-plain. */
export interface RemovalControl {
  /**
   * Removes a host for good, wherever this one is; on its heir's disk when it resolves. Rejects with `unknown-peer`, `ambiguous-peer`,
   * `own-peer`, `already-removed`, with `peer-up` for one that is reached and no `yes`, with `heir-unreachable`, `needs-root-key`.
   */
  removePeer(request: RemovePeerRequest): Promise<RemovedPeer>;
  /** The same with the root key of the mesh, this host taking over; also for a peer that was removed and whose heir is lost. */
  recover(request: RecoverRequest): Promise<RemovedPeer>;
  /**
   * Makes another host the heir of those whose heir `from` is, before that one leaves. Rejects with `unknown-peer`, `ambiguous-peer`,
   * `already-removed`, `same-peer`, with `heir-down` where `to` is not up, with `holder-unreachable`.
   */
  handOver(request: HandOverRequest): Promise<HandedOver>;
  /** Rejects with `no-root-key` on a host that does not have it. */
  exportRoot(): Promise<RootKey>;
}

export interface RemovePeerRequest {
  /** Nickname, id, or the end of an id with at least 6 characters. */
  readonly peer: string;
  /** Also when the host is up. */
  readonly yes?: boolean;
}

export interface HandOverRequest {
  /** As in RemovePeerRequest; `from` absent: this host. */
  readonly from?: string;
  readonly to: string;
}

export interface HandedOver {
  readonly from: HostName;
  readonly to: HostName;
  /** Whose heir `to` is now; at most 256 of them, where another host did it. */
  readonly handed: readonly HostName[];
  /** Whose heir `from` still is, and why. */
  readonly kept: readonly (HostName & { readonly why: KeptReason })[];
}

export type KeptReason = 'itself' | 'had-it' | 'too-often' | 'circle' | 'removed';

export interface RecoverRequest {
  readonly peer: string;
  /** `wfr1_…`; absent: the key that this host has, when it made the mesh. */
  readonly key?: string;
  /** Without the promises of hosts that are silent: their containers may then have addresses that others get, too. */
  readonly force?: boolean;
}

export interface RemovedPeer {
  readonly peer: string;
  readonly nickname: string;
  /** Who has its addresses now, or will. */
  readonly by: HostName;
  /** Hosts that must promise something before that one can have them. */
  readonly waiting: readonly HostName[];
}

export interface HostName {
  readonly peer: string;
  readonly nickname: string;
}

export interface RootKey {
  readonly key: string;
}
