import { DockerError, type DockerNetwork } from './api.ts';
import type { Doubt } from './doubt.ts';
import type { EngineParts, EngineWarning, MeshNetwork } from './parts.ts';

/** Option of the networks that the daemon makes: the network of the mesh. */
export const NETWORK_OPTION = 'weft.network';

/**
 * Makes Docker's networks those of the mesh: what the mesh has is there under the same name, what was removed from the mesh goes, and a
 * network that was made through Docker gets its name in the mesh. In a swarm only that: its managers make and remove networks. Resolves
 * to what stands in the way; whatever fails is tried again at the next look.
 */
export async function syncNetworks(
  parts: Pick<EngineParts, 'api' | 'driverName' | 'scope' | 'networks' | 'driver' | 'log'>,
  /** Networks of the driver that Docker does not list. */
  leaked: Doubt,
): Promise<readonly EngineWarning[]> {
  const { api, driverName, scope, networks, driver, log } = parts;
  const warnings: EngineWarning[] = [];
  // Docker's list first: a network that comes in between is in the mesh's list only, or in both.
  const there = await api.networks();
  const wanted = new Map(networks.list().map((network) => [network.id, network]));
  const present = new Set<string>();
  const listed = new Set(there.map(({ id }) => id));
  const known = driver.networks();
  for (const id of leaked.confirm([...known.keys()].filter((one) => !listed.has(one)))) {
    await driver.releaseNetwork(id);
    log.info('forgot a network that Docker has forgotten', { network: known.get(id), docker: id });
  }

  for (const docker of there.filter((network) => network.driver === driverName)) {
    const id = meshNetworkOf(docker);
    const network = id === undefined ? undefined : wanted.get(id);
    if (network !== undefined) {
      present.add(network.id);
      await learnName(network, docker);
    } else if (scope === 'global') continue;
    else if (id !== undefined && networks.isRemoved(id)) await remove(docker);
    else warnings.push(unknownNetwork(docker));
  }
  if (scope === 'global') return warnings;
  for (const network of wanted.values()) {
    if (network.name !== null && !present.has(network.id)) await create(network, network.name);
  }
  return warnings;

  function meshNetworkOf(docker: DockerNetwork): string | undefined {
    const bySubnet = () => [...wanted.values()].find(({ subnet }) => docker.subnets.includes(subnet))?.id;
    return known.get(docker.id) ?? docker.options.get(NETWORK_OPTION) ?? bySubnet();
  }

  async function learnName(network: MeshNetwork, docker: DockerNetwork): Promise<void> {
    if (network.name === docker.name) return;
    if (network.name !== null) {
      warnings.push(otherName(network.name, docker));
      return;
    }
    try {
      await networks.rename(network.id, docker.name);
      log.info('network made through Docker', { network: docker.name, subnet: network.subnet });
    } catch (error) {
      warnings.push(noName(docker, error));
    }
  }

  async function remove(docker: DockerNetwork): Promise<void> {
    try {
      await api.removeNetwork(docker.id);
      log.info('network removed from Docker', { network: docker.name });
    } catch (error) {
      if (!(error instanceof DockerError) || error.code !== 'in-use') throw error;
      warnings.push(stillUsed(docker));
    }
  }

  async function create(network: MeshNetwork, name: string): Promise<void> {
    const rival = there.find((docker) => docker.name === name);
    if (rival !== undefined) {
      warnings.push(nameTaken(name, rival));
      return;
    }
    const { id, subnet, internal } = network;
    try {
      await api.createNetwork({ name, subnet, internal, options: { [NETWORK_OPTION]: id } });
      log.info('network made in Docker', { network: name, subnet });
    } catch (error) {
      if (!(error instanceof DockerError) || error.code === 'unreachable') throw error;
      // Somebody made it in the meantime; the next look sees it.
      if (error.code !== 'name-taken') warnings.push(notMade(name, error));
    }
  }
}

function nameTaken(name: string, rival: DockerNetwork): EngineWarning {
  return {
    code: 'docker-name-taken',
    severity: 'warning',
    text: `Docker on this host has a network ${name} of the driver ${rival.driver}, so the mesh's network ${name} is not in it`,
    remedy: `remove or rename that one (docker network rm ${name}) and the mesh's network comes by itself`,
  };
}

function otherName(name: string, docker: DockerNetwork): EngineWarning {
  return {
    code: 'docker-other-name',
    severity: 'warning',
    text: `The network ${name} of the mesh is called ${docker.name} in this host's Docker`,
    remedy: `docker network rm ${docker.name}: it comes back as ${name}`,
  };
}

function noName(docker: DockerNetwork, error: unknown): EngineWarning {
  return {
    code: 'docker-name-refused',
    severity: 'warning',
    text: `Docker's network ${docker.name} has no name in the mesh and stays on this host: ${messageOf(error)}`,
    remedy: `docker network rm ${docker.name}, and create it under another name`,
  };
}

function stillUsed(docker: DockerNetwork): EngineWarning {
  return {
    code: 'docker-network-in-use',
    severity: 'warning',
    text: `The network ${docker.name} was removed from the mesh, and containers of this host are still attached to it`,
    remedy: `stop them (docker network inspect ${docker.name} lists them) and it goes by itself`,
  };
}

function unknownNetwork(docker: DockerNetwork): EngineWarning {
  return {
    code: 'docker-network-unknown',
    severity: 'warning',
    text: `Docker has a network ${docker.name} of weft that this mesh does not know; its containers cannot start`,
    remedy: `docker network rm ${docker.name}, and create it again`,
  };
}

function notMade(name: string, error: Error): EngineWarning {
  return {
    code: 'docker-network-missing',
    severity: 'warning',
    text: `Docker on this host did not take the network ${name}: ${error.message}`,
    remedy: 'it is tried again every minute; see the log of dockerd',
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
