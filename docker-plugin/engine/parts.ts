import type { Clock } from '../../src/ports/clock.ts';
import type { Log } from '../../src/ports/log.ts';
import type { Scope } from '../parts.ts';
import type { DockerApi } from './api.ts';

/** What the engine part needs of the rest of the daemon; the mesh's networks and names and the driver's records have these forms. */
export interface EngineParts {
  readonly api: DockerApi;
  /** What Docker calls the driver. */
  readonly driverName: string;
  /** `global`: a swarm's managers make and remove networks, nobody else can. */
  readonly scope: Scope;
  readonly networks: MeshNetworks;
  readonly driver: DriverRecords;
  readonly names: PublishedNames;
  /** What else is to be put right as often as Docker is compared with; an error spoils the look. */
  readonly beforeLook: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface MeshNetwork {
  /** Never changes. */
  readonly id: string;
  /** Null between Docker's wish for a pool and the moment when Docker has told the name. */
  readonly name: string | null;
  /** CIDR. */
  readonly subnet: string;
  readonly internal: boolean;
}

export interface MeshNetworks {
  list(): readonly MeshNetwork[];
  /** Known to have been there, and removed. */
  isRemoved(id: string): boolean;
  rename(id: string, name: string): Promise<unknown>;
  /** Called after each change. Returns the way to stop. */
  watch(listener: () => void): () => void;
}

/** What the driver has told Docker, from its own state. */
export interface DriverRecords {
  /** Docker's ids of the networks that Docker has made here, each with the network of the mesh behind it. */
  networks(): ReadonlyMap<string, string>;
  endpoints(): readonly DriverEndpoint[];
  /** What the container is called. Fine when the endpoint is gone. */
  name(endpoint: string, container: string): Promise<void>;
  /** Whether the container is also on a network of another driver that leads out: then its questions for names may, too. */
  leadsOut(endpoint: string, outside: boolean): void;
  /** As if Docker had said that the endpoint is gone. Fine when it is. */
  releaseEndpoint(endpoint: string): Promise<void>;
  releaseNetwork(dockerNetwork: string): Promise<void>;
}

export interface DriverEndpoint {
  /** Docker's id of the endpoint. */
  readonly id: string;
  /** Docker's id of the network. */
  readonly dockerNetwork: string;
  readonly address: string;
}

export interface PublishedNames {
  /** Replaces what the endpoint had. */
  publish(endpoint: string, record: NameRecord): Promise<void>;
  /** Fine when there is nothing. */
  withdraw(endpoint: string): Promise<void>;
  /** Endpoints of this host that have names, also those that are none of Docker's. */
  published(): readonly string[];
}

export interface NameRecord {
  /** Network of the mesh. */
  readonly network: string;
  /** IPv4 text. */
  readonly address: string;
  readonly names: readonly string[];
}

/** As in status. */
export interface EngineWarning {
  readonly code: string;
  readonly severity: 'info' | 'warning' | 'error';
  readonly text: string;
  readonly remedy: string;
}
