import type { EndpointId, NetworkId, PeerId } from '../src/core/ids.ts';
import type { NetworkInfo } from '../src/core/network.ts';
import type { Clock } from '../src/ports/clock.ts';
import type { Host } from '../src/ports/host.ts';
import type { Log } from '../src/ports/log.ts';
import type { Random } from '../src/ports/random.ts';
import type { Sections } from '../src/ports/sections.ts';

/** `local`: each engine has its own list of networks; `global`: a swarm has one, which takes a managed plugin. */
export type Scope = 'local' | 'global';

/** What the Docker door needs of the rest of the daemon, beyond the ports: the mesh's Networks and Space have this form. */

export interface Networks {
  list(): readonly NetworkInfo[];
  get(idOrName: string): NetworkInfo | undefined;
  /** A network with the same subnet is the same network. On disk when it resolves; rejects with what stands in the way. */
  create(request: CreateNetwork): Promise<NetworkInfo>;
  change(id: NetworkId, change: NetworkChange): Promise<NetworkInfo>;
  /** Rejects while endpoints are in it, here or elsewhere. */
  remove(id: NetworkId): Promise<void>;
  /** Called after each change. Returns the way to stop. */
  watch(listener: () => void): () => void;
}

export interface CreateNetwork {
  readonly name: string | null;
  /** CIDR; absent: one of this host's own space. */
  readonly subnet?: string;
  /** CIDR. */
  readonly ipRange?: string;
}

export interface NetworkChange {
  readonly internal?: boolean;
  readonly gateway?: string;
  readonly reserved?: readonly string[];
}

export interface Addresses {
  /** The endpoint's address in the network, else `wanted`, else any. On disk when it resolves. */
  allocate(request: {
    readonly endpoint: EndpointId;
    readonly network: NetworkId;
    readonly wanted?: string;
  }): Promise<{ readonly address: string; readonly prefix: number }>;
  /** Fine when it has none. On disk when it resolves. */
  release(endpoint: EndpointId): Promise<void>;
  allocations(): readonly {
    readonly endpoint: EndpointId;
    readonly network: NetworkId;
    readonly address: string;
    readonly prefix: number;
  }[];
}

export interface DoorParts {
  readonly self: PeerId;
  /** What Docker calls this driver. */
  readonly driver: string;
  /** `global`: networks belong to a swarm, whose managers make and remove them. */
  readonly scope: Scope;
  readonly networks: Networks;
  readonly space: Addresses;
  readonly host: Pick<Host, 'offerLink' | 'plug' | 'unplug' | 'plugged' | 'locate'>;
  readonly keeper: Sections;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Bytes of an inner packet: at most, and what fits everywhere in the mesh as it is now. */
  readonly mtu: number;
  readonly meshMtu: () => number;
  /**
   * The address that the container which Docker starts now had before; `container` is its name, where Docker tells it (29 and later).
   * From memory, at once.
   */
  readonly suggest?: (network: NetworkId, container: string | undefined) => string | undefined;
}
