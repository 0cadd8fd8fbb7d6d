import type { EndpointId, NetworkName, PeerId } from '../core/ids.ts';

/** The addresses of this peer: its part of the ring, what is allocated in it, and the donations that change it. */
export interface Space {
  /** The ring as known here, sorted, not overlapping. Unowned or disputed parts have no owner. */
  ring(): readonly RingSegment[];
  /** Called after each change of the ring. Returns the way to stop. */
  watch(handler: () => void): () => void;
  /**
   * An address for `endpoint`: the one it has already, else `wanted`, else a free one of this peer's own space. Asks other peers for
   * space or for the wanted address when need be, for at most `timeout` ms (default 10,000). On disk when it resolves.
   * Rejects with SpaceError.
   */
  allocate(request: AllocationRequest): Promise<Allocation>;
  /** Gives the endpoint's addresses back. Fine when it has none. On disk when it resolves. */
  release(endpoint: EndpointId): Promise<void>;
  allocations(): readonly Allocation[];
  /** Free addresses in own space. */
  free(): number;
  /**
   * Donates about half of the largest free block (at least one address) to `to`, which need not be a member yet; resolves once the donation is witnessed
   * and on disk. `firstHeir` makes `to` its own witness: only for the creator's first donation. Used by join.
   */
  grant(to: PeerId, options?: { firstHeir?: boolean }): Promise<unknown>;
  /** Asks the member with the largest known free space (this one included) to grant to `to`; resolves to the donor and its ring entries. */
  grantFromBest(to: PeerId): Promise<{ donor: PeerId; entries: unknown }>;
}

export interface RingSegment {
  /** First and last IPv4 address as unsigned 32-bit numbers. */
  readonly start: number;
  readonly last: number;
  readonly owner: PeerId | undefined;
  readonly network: NetworkName;
}

export interface AllocationRequest {
  readonly endpoint: EndpointId;
  readonly network: NetworkName;
  /** IPv4 text. */
  readonly wanted?: string;
  readonly timeout?: number;
}

export interface Allocation {
  readonly endpoint: EndpointId;
  readonly network: NetworkName;
  /** IPv4 text. */
  readonly address: string;
  /** Length of the network's prefix. */
  readonly prefix: number;
}

export type SpaceErrorCode =
  | 'bad-address'
  | 'outside-range'
  | 'reserved'
  | 'in-use'
  | 'owner-unreachable'
  | 'no-space'
  | 'timeout'
  | 'unknown-network';

export class SpaceError extends Error {
  readonly code: SpaceErrorCode;
  constructor(code: SpaceErrorCode, message: string) {
    super(message);
    this.name = 'SpaceError';
    this.code = code;
  }
}
