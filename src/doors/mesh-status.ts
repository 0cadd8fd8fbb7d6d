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
