import type { DockerDoor } from '../../docker-plugin/door.ts';
import { createEngine, type Engine } from '../../docker-plugin/engine/engine.ts';
import { createDockerApi } from '../../docker-plugin/engine/http-api.ts';
import type { EndpointId, NetworkId } from '../core/ids.ts';
import type { Mesh } from '../mesh/mesh.ts';
import type { Clock } from '../ports/clock.ts';
import type { Host } from '../ports/host.ts';
import type { Log } from '../ports/log.ts';
import type { NameParts } from './names.ts';
import type { Config } from './options.ts';

/** Follows the Docker engine; the driver's records and the mesh in the form that it needs. */
export function followDocker(parts: {
  readonly config: Pick<Config, 'dockerEngine' | 'dockerDriver' | 'dockerScope'>;
  readonly mesh: Mesh;
  readonly door: DockerDoor;
  readonly names: NameParts;
  readonly host: Host;
  readonly clock: Clock;
  readonly log: Log;
}): Engine {
  const { config, mesh, door, names, host, clock, log } = parts;
  const { networks } = mesh;
  return createEngine({
    api: createDockerApi({ socket: config.dockerEngine, driver: config.dockerDriver, clock }),
    driverName: config.dockerDriver,
    scope: config.dockerScope,
    networks: {
      list: networks.list,
      isRemoved: networks.isRemoved,
      rename: (id, name) => networks.rename(id as NetworkId, name),
      watch: networks.watch,
    },
    driver: {
      networks: () => new Map(door.networks().map(({ id, network }) => [id, network])),
      endpoints: () =>
        door.endpoints().map(({ id, docker, address }) => ({ id, dockerNetwork: docker, address })),
      name: (endpoint, container) => door.name(endpoint as EndpointId, container),
      leadsOut: names.leadsOut,
      releaseEndpoint: (endpoint) => door.forgetEndpoint(endpoint as EndpointId),
      releaseNetwork: (dockerNetwork) => door.forgetNetwork(dockerNetwork),
    },
    names: {
      publish: (endpoint, record) => names.names.publish(endpoint as EndpointId, record),
      withdraw: (endpoint) => names.names.withdraw(endpoint as EndpointId),
      published: names.names.published,
    },
    // An engine that was just started may have closed the chain.
    beforeLook: () => host.admitForwarding(),
    clock,
    log,
  });
}
