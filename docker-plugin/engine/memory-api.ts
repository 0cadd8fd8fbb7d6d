import {
  type DockerApi,
  type DockerContainerDetail,
  DockerError,
  type DockerEvent,
  type DockerNetwork,
  type EventStream,
} from './api.ts';

const DRIVER = 'weft';

/** An engine in memory: what its users do with it, and what it tells of that. */
export interface MemoryDocker extends DockerApi {
  /** As from the command line: a network of any driver. Resolves to its id. */
  addNetwork(network: Partial<DockerNetwork> & { readonly name: string }): string;
  dropNetwork(id: string): void;
  /** Makes a container and starts it on networks, given by id. */
  run(container: MemoryContainer): string;
  /** What its last start failed with, while it does not run. */
  failStart(id: string, error: string): void;
  stop(id: string): void;
  remove(id: string): void;
  /** An endpoint that a container left behind, listed under the container's name. */
  leave(network: string, endpoint: string, name: string): void;
  /** Nobody listens any more, and the streams break. */
  crash(): void;
  restart(): void;
  /** The next answers about a container wait until the returned function is called. */
  hold(): () => void;
  /** Calls since it was made, by name. */
  readonly calls: readonly string[];
}

export interface MemoryContainer {
  readonly name: string;
  readonly hostname?: string;
  readonly aliases?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  /** Address by id of the network. */
  readonly networks: Readonly<Record<string, string>>;
  readonly restarts?: boolean;
}

interface Kept extends MemoryContainer {
  readonly id: string;
  running: boolean;
  error: string;
  /** Endpoint by id of the network, while it runs. */
  endpoints: Readonly<Record<string, string>>;
}

export function createMemoryDocker(): MemoryDocker {
  const networks = new Map<string, DockerNetwork>();
  const containers = new Map<string, Kept>();
  const left = new Map<string, { readonly network: string; readonly name: string }>();
  const streams = new Set<{ readonly stream: EventStream; readonly fail: (error: Error) => void }>();
  const calls: string[] = [];
  let up = true;
  let held: Promise<void> | undefined;
  let count = 0;

  const newId = () => (++count).toString(16).padStart(12, '0').padEnd(64, 'e');
  const emit = (event: DockerEvent) => {
    for (const { stream } of streams) stream.onEvent(event);
  };
  const aboutContainer = (action: string, { id, name }: Kept) =>
    emit({ type: 'container', action, id, container: null, name });
  const aboutNetwork = (action: string, id: string, container: string | null) =>
    emit({ type: 'network', action, id, container, name: networks.get(id)?.name ?? null });

  /** Notes the call; an engine that is down answers none. */
  function answer(call: string): void {
    if (!up) throw new DockerError('unreachable', 'nobody listens');
    calls.push(call);
  }

  function add(network: Partial<DockerNetwork> & { readonly name: string }): string {
    const id = newId();
    const fallback = { driver: DRIVER, ipamDriver: DRIVER, subnets: [], internal: false, options: new Map() };
    networks.set(id, { ...fallback, ...network, id });
    aboutNetwork('create', id, null);
    return id;
  }

  function bringUp(container: Kept): void {
    const ids = Object.keys(container.networks);
    container.endpoints = Object.fromEntries(ids.map((network) => [network, newId()]));
    container.running = true;
    container.error = '';
    for (const network of ids) aboutNetwork('connect', network, container.id);
    aboutContainer('start', container);
  }

  function bringDown(container: Kept): void {
    container.running = false;
    container.endpoints = {};
    aboutContainer('die', container);
    for (const network of Object.keys(container.networks)) aboutNetwork('disconnect', network, container.id);
  }

  function must(id: string): Kept {
    const found = containers.get(id);
    if (found === undefined) throw new Error(`there is no container ${id}`);
    return found;
  }

  return {
    calls,
    addNetwork: add,
    dropNetwork(id) {
      networks.delete(id);
      aboutNetwork('destroy', id, null);
    },
    run(wanted) {
      const container: Kept = { ...wanted, id: newId(), running: false, error: '', endpoints: {} };
      containers.set(container.id, container);
      aboutContainer('create', container);
      bringUp(container);
      return container.id;
    },
    failStart(id, error) {
      must(id).error = error;
    },
    async start(id) {
      answer(`start ${containers.get(id)?.name}`);
      const found = containers.get(id);
      if (found !== undefined && !found.running) bringUp(found);
    },
    stop: (id) => bringDown(must(id)),
    remove(id) {
      const container = must(id);
      if (container.running) bringDown(container);
      containers.delete(id);
      aboutContainer('destroy', container);
    },
    leave: (network, endpoint, name) => void left.set(endpoint, { network, name }),
    crash() {
      up = false;
      for (const { fail } of [...streams]) fail(new DockerError('unreachable', 'the stream broke'));
    },
    restart() {
      up = true;
    },
    hold() {
      let go = () => {};
      held = new Promise((resolve) => {
        go = resolve;
      });
      return () => {
        held = undefined;
        go();
      };
    },
    async networks() {
      answer('networks');
      return [...networks.values()];
    },
    async network(id) {
      answer('network');
      const found = networks.get(id);
      if (found === undefined) return undefined;
      const attached = [...containers.values()].flatMap(
        ({ id: container, name, endpoints, networks: own }) =>
          endpoints[id] === undefined
            ? []
            : [{ id: endpoints[id], container, name, address: own[id] ?? null }],
      );
      const behind = [...left].flatMap(([endpoint, { network, name }]) =>
        network === id ? [{ id: endpoint, container: null, name, address: null }] : [],
      );
      return { ...found, endpoints: [...attached, ...behind] };
    },
    async createNetwork({ name, subnet, internal, options }) {
      answer(`create ${name}`);
      if ([...networks.values()].some((network) => network.name === name)) {
        throw new DockerError('name-taken', `network with name ${name} already exists`);
      }
      return add({ name, subnets: [subnet], internal, options: new Map(Object.entries(options)) });
    },
    async removeNetwork(id) {
      answer(`remove ${networks.get(id)?.name}`);
      if ([...containers.values()].some(({ endpoints }) => endpoints[id] !== undefined)) {
        throw new DockerError('in-use', 'network has active endpoints');
      }
      networks.delete(id);
      aboutNetwork('destroy', id, null);
    },
    async containers() {
      answer('containers');
      return [...containers.values()].map(({ id, name, running, networks: own }) => ({
        id,
        name,
        state: running ? 'running' : 'exited',
        networks: Object.keys(own),
      }));
    },
    async container(id) {
      answer(`container ${containers.get(id)?.name}`);
      const found = containers.get(id);
      // What it was when the question came, however late the answer is.
      const detail = found && detailOf(found);
      await held;
      return detail;
    },
    async disconnect(network, name) {
      answer(`disconnect ${name}`);
      for (const [endpoint, one] of left) {
        if (one.network === network && one.name === name) left.delete(endpoint);
      }
    },
    follow(stream, signal) {
      return new Promise((resolve, reject) => {
        if (!up) {
          reject(new DockerError('unreachable', 'nobody listens'));
          return;
        }
        const entry = {
          stream,
          fail(error: Error) {
            streams.delete(entry);
            reject(error);
          },
        };
        streams.add(entry);
        signal.addEventListener('abort', () => {
          streams.delete(entry);
          resolve();
        });
        stream.onOpen();
      });
    },
    close: () => {},
  };
}

function detailOf(container: Kept): DockerContainerDetail {
  const { id, name, hostname, aliases = [], labels = {}, running, networks, endpoints } = container;
  const { error, restarts = false } = container;
  return {
    id,
    name,
    running,
    error,
    restarts,
    hostname: hostname ?? id.slice(0, 12),
    labels: new Map(Object.entries(labels)),
    attachments: Object.entries(networks).map(([network, address]) => ({
      network,
      endpoint: endpoints[network] ?? null,
      address: running ? address : null,
      aliases: [...aliases, id.slice(0, 12)],
    })),
  };
}
