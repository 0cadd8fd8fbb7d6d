import type { EndpointId, NetworkId } from '../core/ids.ts';

/** What attaching needs of the rest of the daemon, beyond the ports: the mesh's Space and Keeper have this form. */

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

export interface AllocatedAddress {
  /** IPv4 text. */
  readonly address: string;
  /** Length of the network's prefix. */
  readonly prefix: number;
}

export interface Sections {
  section<T>(name: string, check: (data: unknown) => T, initial: T): Section<T>;
}

export interface Section<T> {
  get(): T;
  /** In memory at once, on disk when it resolves. */
  set(value: T): Promise<void>;
}
