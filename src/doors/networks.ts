import type { NetworkInfo } from '../core/network.ts';

/** A network as the doors show it. JSON-plain. */
export interface NetworkStatus extends Omit<NetworkInfo, 'creator'> {
  /** Addresses of this network in use on this host, and free ones that it can give without asking. */
  readonly used: number;
  readonly free: number;
}

export interface CreateNetworkRequest {
  readonly name: string;
  /** CIDR inside the range of the mesh; absent: a free one of this host's own space. */
  readonly subnet?: string;
  readonly internal?: boolean;
  /** Needs `subnet`, as do the next two. */
  readonly gateway?: string;
  readonly reserved?: readonly string[];
  readonly ipRange?: string;
}

export interface NetworkRequest {
  /** Name or id. */
  readonly network: string;
}

export interface RenameNetworkRequest extends NetworkRequest {
  readonly name: string;
}

/** What doors do with networks. */
export interface NetworkControl {
  /** Resolves to the network of this very subnet and name when there is one. */
  createNetwork(request: CreateNetworkRequest): Promise<NetworkStatus>;
  /** Resolves to what it was; rejects with `network-in-use` while anything is attached to it on any host. */
  removeNetwork(request: NetworkRequest): Promise<NetworkStatus>;
  renameNetwork(request: RenameNetworkRequest): Promise<NetworkStatus>;
}
