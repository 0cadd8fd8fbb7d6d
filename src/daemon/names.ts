import type { DockerDoor } from '../../docker-plugin/door.ts';
import type { Endpoints } from '../attach/endpoints.ts';
import { parseCidr } from '../core/address.ts';
import type { NetworkInfo } from '../core/network.ts';
import { createDns, type Dns } from '../doors/dns/dns.ts';
import { createLinuxNameSockets } from '../host/name-sockets.ts';
import type { Keeper } from '../mesh/keeper.ts';
import type { Mesh } from '../mesh/mesh.ts';
import { createNames, type Names, type NetworkOfNames } from '../mesh/names.ts';
import { createStaticNames, type StaticNames } from '../mesh/static-names.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Random } from '../ports/random.ts';
import { attachedEndpoints, createNaming, dockerEndpoints, type Naming } from './naming.ts';

/** All that names are made of on this host. */
export interface NameParts extends Naming {
  readonly names: Names;
  readonly statics: StaticNames;
  readonly dns: Dns;
  /** Whether a container has ways out beside its networks in the mesh: only the engine knows. */
  leadsOut(endpoint: string, outside: boolean): void;
}

export interface NameNeeds {
  readonly keeper: Keeper;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly mesh: Pick<Mesh, 'membership' | 'records' | 'space' | 'liveness' | 'networks'>;
  readonly endpoints: Endpoints;
  readonly docker: DockerDoor;
}

/** The kernel takes a namespace apart in its own time once nothing is open in it: the endpoints in it are looked at after these, ms. */
const AFTER_THE_END = [50, 200, 1_000] as const;

export function createNameParts({
  keeper,
  clock,
  random,
  log,
  mesh,
  endpoints,
  docker,
}: NameNeeds): NameParts {
  const { membership, records, space, liveness } = mesh;
  const statics = createStaticNames({ records, keeper, clock, log, membership });
  const names = createNames({
    self: membership.self,
    range: membership.genesis.range,
    records,
    membership,
    space,
    liveness,
    statics,
    networks: () => mesh.networks.list().flatMap(namedNetwork),
    watchNetworks: (handler) => mesh.networks.watch(handler),
  });

  /** The end of a sandbox is seen here first; who has its endpoints would see it a while later. */
  async function onGone(): Promise<void> {
    for (const delay of AFTER_THE_END) {
      await new Promise<void>((resume) => clock.setTimer(delay, resume));
      await endpoints.reconcile();
    }
  }

  const dns = createDns({
    sockets: createLinuxNameSockets({ log }),
    clock,
    random,
    log,
    resolve: names.resolve,
    leadsOut: (network) => mesh.networks.get(network)?.internal === false,
    onGone: () =>
      void onGone().catch((error: unknown) =>
        log.warn('endpoints were not reconciled', { error: String(error) }),
      ),
  });
  const outside = new Set<string>();
  const naming = createNaming({
    sources: [attachedEndpoints(endpoints), dockerEndpoints(docker, outside)],
    names,
    dns,
    log,
  });
  return {
    names,
    statics,
    dns,
    leadsOut(endpoint, leads) {
      if (outside.has(endpoint) === leads) return;
      if (leads) outside.add(endpoint);
      else outside.delete(endpoint);
      void naming.settle();
    },
    settle: naming.settle,
    async stop() {
      await naming.stop();
      names.close();
      statics.close();
    },
  };
}

function namedNetwork({ id, name, subnet }: NetworkInfo): readonly NetworkOfNames[] {
  const parsed = parseCidr(subnet);
  return parsed.ok ? [{ id, name, subnet: parsed.value }] : [];
}
