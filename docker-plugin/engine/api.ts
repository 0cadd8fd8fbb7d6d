/**
 * What Weft asks of the Docker engine. The real one is http-api.ts on the engine's socket, the twin memory-api.ts. Everything rejects
 * with DockerError. Never called inside a driver's handler: the engine holds the container's lock while it waits for that.
 * Shapes: Docker Engine API 1.41, the parts that all releases from 20.10 on have in common.
 */
export interface DockerApi {
  /** All networks of the engine, whoever drives them; without their containers. */
  networks(): Promise<readonly DockerNetwork[]>;
  /** Undefined when there is none (any more). */
  network(id: string): Promise<DockerNetworkDetail | undefined>;
  /** Resolves to the id. Rejects with `name-taken` when a network of that name is there. */
  createNetwork(plan: NetworkPlan): Promise<string>;
  /** Fine when it is gone; rejects with `in-use` while containers are attached. */
  removeNetwork(id: string): Promise<void>;
  /** All containers, also those that do not run. */
  containers(): Promise<readonly DockerContainer[]>;
  /** Undefined when there is none (any more). Waits while the engine starts or stops that container. */
  container(id: string): Promise<DockerContainerDetail | undefined>;
  /** Fine when it runs already or is gone. Waits until it runs; rejects with `refused` when it cannot. */
  start(container: string): Promise<void>;
  /** Takes the container off the network by force, also when it does not run; fine when either is gone. */
  disconnect(network: string, container: string): Promise<void>;
  /** Follows the engine's events until the stream breaks, which rejects, or `signal` ends it, which resolves. */
  follow(stream: EventStream, signal: AbortSignal): Promise<void>;
  /** Breaks off whatever is under way: it rejects with `unreachable`. */
  close(): void;
}

export interface EventStream {
  /** From here on no event is missed. */
  readonly onOpen: () => void;
  readonly onEvent: (event: DockerEvent) => void;
}

export interface DockerNetwork {
  /** 64 hex digits, or 25 letters and digits for one of a swarm. */
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  readonly ipamDriver: string;
  /** CIDR texts. */
  readonly subnets: readonly string[];
  readonly internal: boolean;
  readonly options: ReadonlyMap<string, string>;
}

export interface DockerNetworkDetail extends DockerNetwork {
  readonly endpoints: readonly DockerEndpoint[];
}

export interface DockerEndpoint {
  readonly id: string;
  /** Null while the engine has not put it into a container, and for one that a container left behind. */
  readonly container: string | null;
  /** Of the container. */
  readonly name: string;
  /** IPv4 text without prefix; null when it has none. */
  readonly address: string | null;
}

export interface NetworkPlan {
  readonly name: string;
  readonly subnet: string;
  readonly internal: boolean;
  /** Given to the network and to its IPAM driver. */
  readonly options: Readonly<Record<string, string>>;
}

export interface DockerContainer {
  readonly id: string;
  readonly name: string;
  /** `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`. */
  readonly state: string;
  /** Ids of the networks that it is, or will be, on. */
  readonly networks: readonly string[];
}

export interface DockerContainerDetail {
  readonly id: string;
  readonly name: string;
  readonly running: boolean;
  /** Why its last start failed, in Docker's words; empty when it did not. */
  readonly error: string;
  /** Docker is to start it whenever it does not run. */
  readonly restarts: boolean;
  readonly hostname: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly attachments: readonly DockerAttachment[];
}

/** A container's place in a network; endpoint and address are null while it does not run. */
export interface DockerAttachment {
  readonly network: string;
  readonly endpoint: string | null;
  readonly address: string | null;
  readonly aliases: readonly string[];
}

export interface DockerEvent {
  readonly type: 'network' | 'container';
  /** `create`, `start`, `die`, `destroy`, `rename`, `connect`, `disconnect`, … */
  readonly action: string;
  /** Of the network or the container. */
  readonly id: string;
  /** Of a network's event about a container. */
  readonly container: string | null;
  /** Name of the network or the container; null when the event does not tell. */
  readonly name: string | null;
}

export type DockerErrorCode =
  /** Nobody listens on the socket, or the connection broke. */
  | 'unreachable'
  /** No answer in time. */
  | 'timeout'
  /** An answer that is none of Docker's, or too large. */
  | 'bad-answer'
  | 'name-taken'
  | 'in-use'
  /** Any other refusal, in Docker's words. */
  | 'refused';

export class DockerError extends Error {
  readonly code: DockerErrorCode;
  constructor(code: DockerErrorCode, message: string) {
    super(message);
    this.name = 'DockerError';
    this.code = code;
  }
}
