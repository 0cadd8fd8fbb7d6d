import type { DockerDoor } from '../../docker-plugin/door.ts';
import type { Endpoints } from '../attach/endpoints.ts';
import type { EndpointId } from '../core/ids.ts';
import type { Dns, NamePlace } from '../doors/dns/dns.ts';
import type { Names } from '../mesh/names.ts';
import type { Log } from '../ports/log.ts';

/** Keeps names and answers true to what is attached: publishes, withdraws, opens and closes as endpoints come and go. */
export interface Naming {
  /** Resolves when what has changed until now is done: names on disk, and the endpoint's sandbox answered. Never rejects. */
  settle(endpoint?: string): Promise<void>;
  /** Resolves when the sandboxes ask whom they asked before Weft. Names stay published: their endpoints live on. */
  stop(): Promise<void>;
}

/** Those who have endpoints: `weft attach`, Docker. */
export interface NamedEndpoints {
  list(): readonly NamedEndpoint[];
  /** Called after each change of `list`. Returns the way to stop. */
  watch(handler: () => void): () => void;
}

export interface NamedEndpoint {
  readonly id: EndpointId;
  readonly network: string;
  /** IPv4 text. */
  readonly address: string;
  /** Where its programs are; null while that is not known. */
  readonly sandbox: string | null;
  /** Null: somebody else publishes them. */
  readonly names: readonly string[] | null;
  /** See NamePlace. */
  readonly outside?: boolean;
}

export interface NamingParts {
  readonly sources: readonly NamedEndpoints[];
  readonly names: Pick<Names, 'publish' | 'withdraw' | 'published'>;
  readonly dns: Pick<Dns, 'open' | 'close' | 'list' | 'stop'>;
  readonly log: Log;
}

export function createNaming({ sources, names, dns, log }: NamingParts): Naming {
  /** What was published here, to leave it alone while it is the same. */
  const said = new Map<EndpointId, string>();
  const stops = sources.map((source) => source.watch(() => void settle()));
  /** Places that are being opened: sandboxes that are not there yet hold up nobody else. */
  const opening = new Map<string, { readonly place: NamePlace; readonly done: Promise<unknown> }>();
  let underWay: Promise<void> | undefined;
  let again = false;
  let stopped = false;

  /** Changes that come meanwhile are one more round. */
  async function settle(endpoint?: string): Promise<void> {
    again = true;
    underWay ??= rounds().finally(() => {
      underWay = undefined;
    });
    await underWay;
    if (endpoint !== undefined) await opening.get(endpoint)?.done;
  }

  async function rounds(): Promise<void> {
    while (again && !stopped) {
      again = false;
      const there = sources.flatMap((source) => source.list());
      await Promise.all([settleNames(there), settlePlaces(there)]);
    }
  }

  async function settleNames(there: readonly NamedEndpoint[]): Promise<void> {
    const ids = new Set(there.map(({ id }) => id));
    const gone = names.published().filter((id) => !ids.has(id));
    for (const id of said.keys()) if (!ids.has(id)) said.delete(id);
    await Promise.all([...gone.map(withdraw), ...there.map(publish)]);
  }

  async function publish({ id, network, address, names: own }: NamedEndpoint): Promise<void> {
    const about = own === null ? undefined : { network, address, names: own };
    const text = JSON.stringify(about);
    if (about === undefined || said.get(id) === text) return;
    try {
      await names.publish(id, about);
      said.set(id, text);
    } catch (error) {
      log.warn('names of an endpoint could not be published', { endpoint: id, error: String(error) });
    }
  }

  const withdraw = (id: EndpointId) =>
    names
      .withdraw(id)
      .catch((error: unknown) =>
        log.warn('names of an endpoint could not be withdrawn', { endpoint: id, error: String(error) }),
      );

  async function settlePlaces(there: readonly NamedEndpoint[]): Promise<void> {
    const wanted = new Map(
      there.flatMap((one) => placeOf(one) ?? []).map((place) => [place.endpoint, place]),
    );
    const open = new Map(dns.list().map((place) => [place.endpoint, place]));
    const gone = [...open.keys()].filter((endpoint) => !wanted.has(endpoint));
    for (const place of wanted.values()) {
      const before = open.get(place.endpoint);
      if (before?.works !== true || !isSame(before, place)) begin(place);
    }
    await Promise.all(gone.map((endpoint) => dns.close(endpoint)));
  }

  function begin(place: NamePlace): void {
    const { endpoint } = place;
    const before = opening.get(endpoint)?.place;
    if (before !== undefined && isSame(before, place)) return;
    const done = dns.open(place).finally(() => {
      if (opening.get(endpoint)?.done === done) opening.delete(endpoint);
    });
    opening.set(endpoint, { place, done });
  }

  return {
    settle,
    async stop() {
      stopped = true;
      for (const stop of stops) stop();
      await dns.stop();
      await underWay;
    },
  };
}

function isSame(one: NamePlace, other: NamePlace): boolean {
  return one.sandbox === other.sandbox && one.network === other.network && one.outside === other.outside;
}

function placeOf({ id, sandbox, network, outside }: NamedEndpoint): NamePlace | undefined {
  if (sandbox === null) return undefined;
  return { endpoint: id, sandbox, network, ...(outside === undefined ? {} : { outside }) };
}

/** What `weft attach` and `weft expose` made: an endpoint is known by its name, where it has one. */
export function attachedEndpoints(endpoints: Endpoints): NamedEndpoints {
  return {
    list: () =>
      endpoints.list().map(({ id, network, address, sandbox, name }) => ({
        id,
        network,
        address,
        sandbox,
        names: name === null ? [] : [name],
      })),
    watch: (handler) => endpoints.watch(handler),
  };
}

/** Docker's containers. What they are called its engine tells, which is asked beside; a network may be internal on one engine only. */
export function dockerEndpoints(
  door: Pick<DockerDoor, 'endpoints' | 'networks' | 'watch'>,
  outside: ReadonlySet<string>,
): NamedEndpoints {
  return {
    list() {
      const internal = new Set(door.networks().flatMap((network) => (network.internal ? [network.id] : [])));
      return door.endpoints().map(({ id, docker, network, address, sandbox }) => ({
        id,
        network,
        address,
        sandbox,
        names: null,
        ...(outside.has(id) ? { outside: true } : internal.has(docker) ? { outside: false } : {}),
      }));
    },
    watch: (handler) => door.watch(handler),
  };
}
