import type { EndpointId } from '../src/core/ids.ts';
import type { JsonObject } from '../src/core/json.ts';
import { createLocks } from '../src/core/locks.ts';
import type { Timer } from '../src/ports/clock.ts';
import { HostError } from '../src/ports/host.ts';
import { idOf } from './fields.ts';
import { createIpam, type Ipam } from './ipam.ts';
import { createLeases } from './leases.ts';
import { createNetworkDriver, macFor, type NetworkDriver } from './network-driver.ts';
import type { DoorParts } from './parts.ts';
import { type EndpointRecord, type NetworkRecord, openRecords } from './records.ts';
import type { Swarm } from './swarm.ts';

/** Docker's networks and containers on this host, while the mesh is up. */
export interface DockerDoor {
  readonly ipam: Ipam;
  readonly swarm: Pick<Swarm, 'allocateNetwork' | 'freeNetwork'>;
  readonly driver: Omit<NetworkDriver, 'dropEndpoint' | 'dropNetwork'>;
  /** Docker networks that Docker has made here. */
  networks(): readonly NetworkRecord[];
  /** In the order in which they came. */
  endpoints(): readonly DoorEndpoint[];
  /** Whether a link belongs to a container of Docker's. */
  owns(id: EndpointId): boolean;
  /** Called after each change of networks or endpoints. Returns the way to stop. */
  watch(listener: () => void): () => void;
  /** What the engine calls the container. Fine when the endpoint is gone. */
  name(id: EndpointId, name: string): Promise<void>;
  /** For what Docker, asked for its own list, does not have (any more): takes away link, address and record. The mesh keeps its network. */
  forgetEndpoint(id: EndpointId): Promise<void>;
  forgetNetwork(id: string): Promise<void>;
  /** Puts right what a crash or somebody else on the machine has broken, now and every RECONCILE_INTERVAL. */
  start(): Promise<void>;
  /** Resolves when the look under way is over. */
  stop(): Promise<void>;
}

export interface DoorEndpoint extends EndpointRecord {
  readonly mac: string;
  readonly hostLink: string | null;
  readonly up: boolean;
}

export const RECONCILE_INTERVAL = 30_000;

export function createDockerDoor(parts: DoorParts): DockerDoor {
  const { host, clock, log } = parts;
  const listeners = new Set<() => void>();
  const records = openRecords(parts.keeper);
  const locks = createLocks();
  const leases = createLeases(parts, records);
  const shared = { ...parts, records, leases, locks };
  const driver = createNetworkDriver(shared);
  const ipam = createIpam({ ...shared, dropEndpoint: driver.dropEndpoint });
  const { swarm } = ipam;
  let links = new Map<EndpointId, { readonly hostLink: string; readonly up: boolean }>();
  let timer: Timer | undefined;
  let running = false;
  let underWay: Promise<unknown> = Promise.resolve();

  /** The same call, with the news of it. */
  function told<Args extends unknown[]>(call: (...args: Args) => Promise<object>) {
    return async (...args: Args): Promise<object> => {
      try {
        return await call(...args);
      } finally {
        for (const listener of [...listeners]) listener();
      }
    };
  }

  async function deleteNetwork(body: JsonObject): Promise<object> {
    const record = records.networks.get(idOf(body, 'NetworkID'));
    const answer = await driver.deleteNetwork(body);
    if (record !== undefined) await ipam.settlePool(record.network);
    return answer;
  }

  async function forgetEndpoint(id: EndpointId): Promise<void> {
    await locks(id, async () => {
      const lease = records.endpoints.get(id)?.lease;
      await driver.dropEndpoint(id);
      if (lease !== undefined) await leases.release(lease);
    });
    for (const listener of [...listeners]) listener();
  }

  async function reconcile(): Promise<void> {
    await leases.tidy();
    await ipam.tidy();
    await swarm.tidy();
    links = new Map((await host.plugged()).map((link) => [link.endpoint, link]));
    for (const { id, sandbox } of records.endpoints.all()) {
      if (sandbox === null || links.has(id)) continue;
      try {
        await locks(id, () => replug(id));
      } catch (error) {
        log.warn('a container could not be attached again', { endpoint: id, error: String(error) });
      }
    }
  }

  /**
   * After `weft down`, or when somebody deleted its link. A sandbox that is missing is either dead, which Docker tells, or just being
   * made; an offer that Docker is about to move is a link that is there.
   */
  async function replug(id: EndpointId): Promise<void> {
    const record = records.endpoints.get(id);
    if (record === undefined || record.sandbox === null) return;
    if ((await host.plugged()).some(({ endpoint }) => endpoint === id)) return;
    const mtu = records.networks.get(record.docker)?.mtu ?? parts.meshMtu();
    try {
      const { hostLink } = await host.plug({
        endpoint: id,
        sandbox: record.sandbox,
        address: `${record.address}/${record.prefix}`,
        mtu: Math.min(mtu, parts.mtu),
        ...(record.mac === null ? {} : { mac: record.mac }),
      });
      links.set(id, { hostLink, up: true });
      log.info('docker container attached again', { endpoint: id, address: record.address });
    } catch (error) {
      if (!(error instanceof HostError) || error.code !== 'sandbox-missing') throw error;
    }
  }

  function schedule(): void {
    timer = clock.setTimer(RECONCILE_INTERVAL, () => {
      underWay = reconcile()
        .catch((error) => log.warn('containers were not looked after', { error: String(error) }))
        .then(() => {
          if (running) schedule();
        });
    });
  }

  return {
    ipam,
    swarm,
    driver: {
      ...driver,
      createNetwork: told(driver.createNetwork),
      deleteNetwork: told(deleteNetwork),
      deleteEndpoint: told(driver.deleteEndpoint),
      join: told(driver.join),
      leave: told(driver.leave),
    },
    networks: records.networks.all,
    endpoints: () =>
      records.endpoints.all().map((record) => ({
        ...record,
        mac: record.mac ?? macFor(record.address),
        hostLink: links.get(record.id)?.hostLink ?? null,
        up: record.sandbox !== null && links.get(record.id)?.up !== false,
      })),
    owns: (id) => records.endpoints.get(id) !== undefined,
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async name(id, name) {
      const record = records.endpoints.get(id);
      if (record !== undefined && record.name !== name) await records.endpoints.put({ ...record, name });
    },
    forgetEndpoint,
    async forgetNetwork(id) {
      const record = records.networks.get(id);
      await driver.dropNetwork(id);
      if (record !== undefined) await ipam.forgetPool(record.network);
      for (const listener of [...listeners]) listener();
    },
    async start() {
      await reconcile();
      running = true;
      schedule();
    },
    async stop() {
      running = false;
      timer?.cancel();
      await underWay;
    },
  };
}
