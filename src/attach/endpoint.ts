import type { EndpointId, NetworkId } from '../core/ids.ts';

/** An interface with an address in the mesh. JSON-plain. */
export interface Endpoint {
  readonly id: EndpointId;
  readonly name: string | null;
  /** `host`: the host itself. */
  readonly kind: 'sandbox' | 'host';
  readonly network: NetworkId;
  /** IPv4 text and length of the network's prefix. */
  readonly address: string;
  readonly prefix: number;
  /** As given to attach; null for the host. */
  readonly sandbox: string | null;
  /** Inside the sandbox; the mesh's device for the host. */
  readonly interface: string;
  /** The link's end on the host; null for the host. */
  readonly hostLink: string | null;
  readonly mac: string | null;
  /** False when the sandbox's end was down at the last look. */
  readonly up: boolean;
}

export interface AttachRequest {
  /** A name from `ip netns`, an absolute path to a namespace, or the decimal id of a process. */
  readonly sandbox: string;
  /** Wanted IPv4 address without prefix. */
  readonly ip?: string;
  /** Name of the interface inside. */
  readonly interface?: string;
  /** What to call the endpoint; unique on this host. */
  readonly name?: string;
  /** Name or id; absent: `weft`. */
  readonly network?: string;
  /** Chosen by the caller; absent: a random one. */
  readonly id?: string;
}

export interface ExposeRequest {
  /** Wanted IPv4 address without prefix. */
  readonly ip?: string;
  /** Name or id; absent: `weft`. */
  readonly network?: string;
}

export type EndpointErrorCode =
  | 'bad-request'
  | 'unknown-network'
  | 'unknown-endpoint'
  | 'ambiguous-endpoint'
  | 'name-taken'
  | 'interface-taken';

export class EndpointError extends Error {
  readonly code: EndpointErrorCode;
  constructor(code: EndpointErrorCode, message: string) {
    super(message);
    this.name = 'EndpointError';
    this.code = code;
  }
}
