import type { DockerContainerDetail } from './api.ts';
import type { EngineParts } from './parts.ts';
import type { Sticky } from './sticky.ts';

/** The engine's containers on networks of the mesh: their names are published while they run, and their labels are known here. */
export interface Containers {
  /** Looks at one container; when a look at it is under way, another one follows. Never rejects. */
  refresh(id: string): Promise<void>;
  /** It has ended: its names go at once. */
  ended(id: string): void;
  /** It is no longer on a network. */
  left(id: string, dockerNetwork: string): void;
  /** Whether names of it are published. */
  knows(id: string): boolean;
  /** Looks at all of them, and takes back the names of those that are gone. */
  refreshAll(): Promise<void>;
  /** Labels of the containers that run, by Docker's id of the endpoint. */
  labels(): ReadonlyMap<string, ReadonlyMap<string, string>>;
}

interface Published {
  readonly endpoint: string;
  readonly dockerNetwork: string;
  readonly labels: ReadonlyMap<string, string>;
  /** What was published, to leave it alone when it is the same. */
  readonly text: string;
}

/** Other doors' endpoints have ids of another form. */
const DOCKERS_ID = /^[0-9a-f]{64}$/;
/** Looks at the same time; each may wait for a container that is being started. */
const AT_ONCE = 8;

export function createContainers(
  parts: Pick<EngineParts, 'api' | 'driverName' | 'driver' | 'names' | 'log'>,
  sticky: Sticky,
): Containers {
  const { api, driverName, driver, names, log } = parts;
  /** By container and endpoint. */
  const published = new Map<string, Map<string, Published>>();
  /** Containers that are being looked at; true: once more afterwards. */
  const looking = new Map<string, boolean>();

  function withdraw(id: string, gone: (one: Published) => boolean): void {
    for (const one of published.get(id)?.values() ?? []) {
      if (!gone(one)) continue;
      published.get(id)?.delete(one.endpoint);
      driver.leadsOut(one.endpoint, false);
      names.withdraw(one.endpoint).catch((error: unknown) => {
        log.warn('names of a container could not be taken back', {
          endpoint: one.endpoint,
          error: String(error),
        });
      });
    }
    if (published.get(id)?.size === 0) published.delete(id);
  }

  async function revive({ id, name }: DockerContainerDetail): Promise<void> {
    log.info('starting a container that Docker could not start without weft', { container: name });
    await api.start(id);
  }

  async function look(id: string): Promise<void> {
    const container = await api.container(id);
    // Something happened to it while Docker answered: the answer may be from before.
    if (looking.get(id) === true) return;
    if (container === undefined || !container.running) {
      withdraw(id, () => true);
      if (container !== undefined && missedUs(container, driverName)) await revive(container);
      return;
    }
    const networks = driver.networks();
    sticky.onContainer(container, networks);
    await publish(container, networks);
  }

  async function publish(
    container: DockerContainerDetail,
    networks: ReadonlyMap<string, string>,
  ): Promise<void> {
    const { id, name, labels, attachments } = container;
    const there = published.get(id) ?? new Map<string, Published>();
    const current = new Set<string>();
    const outside = await hasOtherWay(
      attachments.map(({ network }) => network).filter((one) => !networks.has(one)),
    );
    for (const { network: dockerNetwork, endpoint, address, aliases } of attachments) {
      const network = networks.get(dockerNetwork);
      if (network === undefined || endpoint === null || address === null) continue;
      const record = { network, address, names: namesOf(container, aliases) };
      const text = JSON.stringify(record);
      current.add(endpoint);
      driver.leadsOut(endpoint, outside);
      const isNew = there.get(endpoint)?.text !== text;
      there.set(endpoint, { endpoint, dockerNetwork, labels, text });
      published.set(id, there);
      if (isNew) await Promise.all([names.publish(endpoint, record), driver.name(endpoint, name)]);
    }
    withdraw(id, ({ endpoint }) => !current.has(endpoint));
  }

  /** Whether one of these networks of other drivers leads out. */
  async function hasOtherWay(others: readonly string[]): Promise<boolean> {
    for (const id of others) {
      const network = await api.network(id);
      if (network !== undefined && !network.internal && network.driver !== 'null') return true;
    }
    return false;
  }

  async function refresh(id: string): Promise<void> {
    if (looking.has(id)) {
      looking.set(id, true);
      return;
    }
    try {
      do {
        looking.set(id, false);
        await look(id);
      } while (looking.get(id) === true);
    } catch (error) {
      log.debug('cannot look at a container', { container: id, error: String(error) });
    } finally {
      looking.delete(id);
    }
  }

  /** An answer that is on its way knows nothing of this. */
  function outdate(id: string): void {
    if (looking.has(id)) looking.set(id, true);
  }

  /** A daemon that ended while they were there has published them; Docker's own endpoints are gone. */
  async function withdrawOfEarlierLives(): Promise<void> {
    const current = new Set(driver.endpoints().map(({ id }) => id));
    for (const endpoint of names.published()) {
      if (DOCKERS_ID.test(endpoint) && !current.has(endpoint)) await names.withdraw(endpoint);
    }
  }

  return {
    refresh,
    knows: (id) => published.has(id),
    ended(id) {
      outdate(id);
      withdraw(id, () => true);
    },
    left(id, dockerNetwork) {
      outdate(id);
      withdraw(id, (one) => one.dockerNetwork === dockerNetwork);
    },
    async refreshAll() {
      const all = await api.containers();
      const known = driver.networks();
      const ids = all.filter(({ networks }) => networks.some((id) => known.has(id))).map(({ id }) => id);
      const alive = new Set(ids);
      for (const id of [...published.keys()]) if (!alive.has(id)) withdraw(id, () => true);
      const queue = [...ids];
      const worker = async () => {
        for (let id = queue.pop(); id !== undefined; id = queue.pop()) await refresh(id);
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      await withdrawOfEarlierLives();
    },
    labels: () => new Map([...published.values()].flatMap((all) => [...all.values()].map(labelled))),
  };
}

function labelled({ endpoint, labels }: Published): [string, ReadonlyMap<string, string>] {
  return [endpoint, labels];
}

/** Docker did not find the driver, or was told by the daemon, or by whoever stands in for it, that there is no answer yet. */
const NO_ANSWER = /plugins(\/|%2F)weft\.sock|no answer from weftd|weft: .*still starting/i;

/** An engine that starts before the daemon gives up on it, and never tries again: the container is to run, and could now. */
function missedUs({ restarts, error }: DockerContainerDetail, driver: string): boolean {
  return restarts && (NO_ANSWER.test(error) || error.includes(`plugin "${driver}" not found`));
}

/** The name first: an address is called by it. Docker puts the short id among the aliases; not in every release. */
function namesOf(
  { id, name, hostname }: DockerContainerDetail,
  aliases: readonly string[],
): readonly string[] {
  return [...new Set([name, hostname, ...aliases, id.slice(0, 12)])].filter((one) => one !== '');
}
