import { isDegraded, type Status } from '../doors/control.ts';
import type { RelayStatus } from '../doors/mesh-status.ts';
import type { Clock } from '../ports/clock.ts';
import type { DatapathCounters } from '../ports/datapath.ts';
import type { DockerService } from './docker.ts';
import type { Network } from './network.ts';
import type { Config } from './options.ts';
import type { Runner } from './runner.ts';
import { endpointStatuses } from './status/endpoints.ts';
import { ipamStatus } from './status/ipam.ts';
import { networkStatuses } from './status/networks.ts';
import { peerStatuses } from './status/peers.ts';
import { NO_TRAFFIC, trafficOf } from './status/traffic.ts';
import { warningsOf } from './status/warnings.ts';
import { readVersion } from './version.ts';

export interface StatusParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly runner: Runner;
  readonly docker: DockerService;
}

/** All that the daemon knows of itself, from memory. */
export function createStatus(parts: StatusParts): () => Status {
  const { config, clock, runner, docker } = parts;
  const since = clock.now();

  return () => {
    const network = runner.network();
    const { keeper, identity } = runner.held();
    const phase = runner.phases.get();
    const counters = network?.datapath.counters();
    const peers = network === undefined ? [] : peerStatuses(network, counters as DatapathCounters, clock);
    const warnings = warningsOf({ network, peers, keeper, docker: docker.problem(), now: clock.now() });
    return {
      version: readVersion(),
      phase,
      degraded: isDegraded(phase, warnings),
      nickname: config.nickname,
      peer: identity.peer,
      uptime: Math.floor((clock.now() - since) / 1_000),
      mesh: network === undefined ? null : meshStatus(network),
      listen: {
        control: network?.mesh.listening ?? [],
        data: network === undefined ? [] : dataAddresses(network),
        advertised: network?.reach().control ?? [],
      },
      device: network === undefined ? null : { name: config.device, mtu: network.mtu },
      peers,
      ipam: network === undefined ? null : ipamStatus(network, config.nickname),
      networks: network === undefined ? [] : networkStatuses(network.mesh),
      endpoints: network === undefined ? [] : endpointStatuses(network),
      traffic: counters === undefined ? NO_TRAFFIC : trafficOf(counters.total),
      drops: counters === undefined ? {} : dropsOf(counters),
      relay: network === undefined ? null : relayStatus(network, counters as DatapathCounters),
      warnings,
      state: {
        path: config.state,
        generation: keeper.generation === 'none' ? 'new' : keeper.generation,
        note: keeper.problem ?? null,
      },
    };
  };
}

function meshStatus({ mesh, range }: Network) {
  const { creator, self, genesis, epochs } = mesh.membership;
  const [newest] = epochs();
  const { authors, deltas, sum } = mesh.records.replica.digest();
  return {
    id: mesh.id,
    creator: creator === self,
    range,
    encryption: !genesis.plain,
    epoch: newest?.number ?? 0,
    digest: `${authors}-${deltas}-${sum.toString(16)}`,
  };
}

export function relayStatus({ relays }: Network, { total }: DatapathCounters): RelayStatus {
  return { on: relays.carries, pairs: relays.pairs(), bytes: Number(total.relayedBytes) };
}

/** The data path binds the same address as the control plane, and a port of its own only when that was left to the kernel. */
function dataAddresses({ mesh, datapath }: Network): readonly string[] {
  return mesh.listening.map((address) => address.replace(/:\d+$/, `:${datapath.port}`));
}

function dropsOf({ drops }: DatapathCounters): Readonly<Record<string, number>> {
  const counted = Object.entries(drops).filter(([, count]) => count > 0n);
  return Object.fromEntries(counted.map(([reason, count]) => [reason, Number(count)]));
}
