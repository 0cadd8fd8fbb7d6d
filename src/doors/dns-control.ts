/** Names, as the doors ask the daemon for them; part of Control. JSON-plain. All but `list` reject with `no-mesh` where there is no mesh. */
export interface DnsControl {
  /** All names of the mesh, by network, name and address. From memory, at once, in every phase. */
  list(): DnsNames;
  /** What a container of the network would be told. Rejects with `unknown-name`, `unknown-network`. */
  lookup(request: LookupRequest): Promise<Lookup>;
  /** Gives an address a name in the network, on every host. Rejects with `bad-name`, `bad-address`, `unknown-network`. */
  add(request: DnsAddRequest): Promise<DnsName>;
  /** Takes names away that were added; those of endpoints stay. Rejects with `unknown-name`. */
  remove(request: DnsRemoveRequest): Promise<DnsNames>;
}

export interface DnsNames {
  readonly names: readonly DnsName[];
}

export interface DnsName {
  readonly name: string;
  /** The network's name, or its id where it has none. */
  readonly network: string;
  /** IPv4 text. */
  readonly address: string;
  /** `static`: added by hand. */
  readonly kind: 'endpoint' | 'static';
  /** Nickname of the host with the endpoint; null for a static name. */
  readonly host: string | null;
  readonly endpoint: string | null;
  /** False: the host is down, and the name is told only where nobody else has it. */
  readonly reachable: boolean;
}

export interface LookupRequest {
  /** A name in any of its forms, or an address to find the names of. */
  readonly name: string;
  /** Absent: `weft`. */
  readonly network?: string;
}

export interface Lookup {
  /** What was asked for. */
  readonly name: string;
  readonly network: string;
  /** IPv4 text; empty when names were found. */
  readonly addresses: readonly string[];
  /** In full; empty when addresses were found. */
  readonly names: readonly string[];
}

export interface DnsAddRequest {
  readonly name: string;
  /** IPv4 text; any, also outside the mesh. */
  readonly address: string;
  /** Absent: `weft`. */
  readonly network?: string;
}

export interface DnsRemoveRequest {
  readonly name: string;
  /** Absent: all addresses of the name. */
  readonly address?: string;
  readonly network?: string;
}
