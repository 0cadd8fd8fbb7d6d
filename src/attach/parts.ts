import type { EndpointId, NetworkId } from '../core/ids.ts';

export type { Section, Sections } from '../ports/sections.ts';

/** What attaching needs of the rest of the daemon, beyond the ports: the mesh's Space, Networks and Keeper have this form. */

export interface Addresses {
  /**
   * An address for the endpoint: the one that it has already, else `wanted`, else any. On disk when it resolves; rejects when there
   * is none.
   */
  allocate(request: {
    readonly endpoint: EndpointId;
    readonly network: NetworkId;
    readonly wanted?: string;
  }): Promise<AllocatedAddress>;
  /** Gives the endpoint's addresses back; fine when it has none. On disk when it resolves. */
  release(endpoint: EndpointId): Promise<void>;
}

export interface NetworkNames {
  /** By id or name. */
  get(idOrName: string): { readonly id: NetworkId } | undefined;
}

export interface AllocatedAddress {
  /** IPv4 text. */
  readonly address: string;
  /** Length of the network's prefix. */
  readonly prefix: number;
}
