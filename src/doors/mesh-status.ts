/** What a host does for others that do not reach each other. */
export interface RelayStatus {
  /** Whether others may have packets carried by it. */
  readonly on: boolean;
  /** Pairs of hosts whose packets it carries now, at least one way. */
  readonly pairs: number;
  /** Bytes carried since it started, headers included. */
  readonly bytes: number;
}

/** The mesh that a host is a member of. */
export interface MeshStatus {
  /** 64 hex characters. */
  readonly id: string;
  /** Whether this host made the mesh. */
  readonly creator: boolean;
  /** Number of the secret that opens links; each removal makes a new one. */
  readonly epoch: number;
  readonly range: string;
  /** False: made with `--no-encryption`. */
  readonly encryption: boolean;
  /** Of all replicated records: equal on two hosts that know the same. */
  readonly digest: string;
}
