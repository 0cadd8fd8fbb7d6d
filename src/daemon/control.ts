import type { NetworkInfo } from '../core/network.ts';
import {
  type Control,
  type EndpointStatus,
  pathRowsOf,
  type Started,
  type TrustStatus,
} from '../doors/control.ts';
import { ControlError } from '../doors/errors.ts';
import { createDnsControl } from './dns-control.ts';
import type { Network } from './network.ts';
import { createRemovalControl } from './removal-control.ts';
import { nameOf, networkStatus } from './status/networks.ts';
import { peerStatuses } from './status/peers.ts';
import { createStatus, relayStatus, type StatusParts } from './status.ts';

/** Seconds, as people give them; invites count in milliseconds. */
const DEFAULT_TTL = 86_400;

export function createControl(parts: StatusParts): Control {
  const { runner } = parts;
  const status = createStatus(parts);

  function running(): Network {
    runner.phases.requireReady();
    const network = runner.network();
    if (network === undefined) throw new ControlError('starting');
    return network;
  }

  function find(network: string): NetworkInfo {
    const found = running().mesh.networks.get(network);
    if (found !== undefined) return found;
    throw new ControlError('unknown-network', `there is no network ${network}`);
  }

  /** With the name of its network in place of the id. */
  function named(endpoint: EndpointStatus): EndpointStatus {
    return { ...endpoint, network: nameOf(running().mesh, endpoint.network) };
  }

  const started = (created: boolean): Started => ({ created, status: status() });

  return {
    status,
    watchPhase: (handler) => runner.phases.watch(handler),
    found: async (request) => started(await runner.found(request)),
    join: async (request) => started(await runner.join(request)),
    async invite({ ttl = DEFAULT_TTL, uses = 1 }) {
      const { mesh, reach } = running();
      const { id, token } = await mesh.invites.issue({ ttl: ttl * 1_000, uses });
      return { id, token, ttl, uses, addresses: reach().control };
    },
    async attach(request) {
      const { endpoints, names } = running();
      const endpoint = await endpoints.attach(request);
      await names.settle(endpoint.id);
      return named(endpoint);
    },
    async detach({ endpoint }) {
      const { endpoints, names } = running();
      const detached = await endpoints.detach(endpoint);
      await names.settle();
      return named(detached);
    },
    expose: async (request) => named(await running().endpoints.expose(request)),
    hide: async () => (await running().endpoints.hide()).map(named),
    async createNetwork(request) {
      const { mesh } = running();
      return networkStatus(mesh, await mesh.networks.create(request));
    },
    async removeNetwork({ network }) {
      const { mesh } = running();
      const found = find(network);
      await mesh.networks.remove(found.id);
      return networkStatus(mesh, found);
    },
    async renameNetwork({ network, name }) {
      const { mesh } = running();
      return networkStatus(mesh, await mesh.networks.rename(find(network).id, name));
    },
    async paths() {
      const network = running();
      await network.paths.refresh();
      const counters = network.datapath.counters();
      const paths = pathRowsOf(peerStatuses(network, counters, parts.clock));
      return { paths, relay: relayStatus(network, counters) };
    },
    trusted: () => trustStatus(running()),
    trust: async ({ subnet }) => {
      const network = running();
      await network.trust.add(subnet);
      await network.paths.retrust();
      return trustStatus(network);
    },
    distrust: async ({ subnet }) => {
      const network = running();
      await network.trust.remove(subnet);
      await network.paths.retrust();
      return trustStatus(network);
    },
    ...createRemovalControl(running),
    dns: createDnsControl(running, runner.network),
    down: () => runner.down(),
  };
}

function trustStatus({ mesh, trust }: Network): TrustStatus {
  return { everywhere: mesh.membership.genesis.plain, subnets: trust.list() };
}
