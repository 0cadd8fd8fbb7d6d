import type { DockerEndpoint } from './api.ts';
import { DRIVER } from './networks.ts';
import type { EngineParts, EngineWarning } from './parts.ts';

/** What the looks before have found; kept from one to the next. */
export interface Suspects {
  /** Endpoints of the driver that Docker did not list. */
  readonly driver: ReadonlySet<string>;
  /** Endpoints of Docker that the driver does not know. */
  readonly docker: ReadonlySet<string>;
}

export const NO_SUSPECTS: Suspects = { driver: new Set(), docker: new Set() };

export interface EndpointsSeen {
  readonly suspects: Suspects;
  readonly warnings: readonly EngineWarning[];
}

/**
 * Compares the driver's endpoints with Docker's. Docker never repeats a teardown call that failed or found nobody, so what it has
 * forgotten is released here; what it has left behind without a container is taken off the network. Only what two looks in
 * a row agree on counts: in between, a container is being started or stopped.
 */
export async function syncEndpoints(
  { api, driver, names, log }: Pick<EngineParts, 'api' | 'driver' | 'names' | 'log'>,
  before: Suspects,
): Promise<EndpointsSeen> {
  const warnings: EngineWarning[] = [];
  const listed = await listEndpoints(api);
  const known = driver.endpoints();
  const inDocker = new Set(listed.map(({ endpoint }) => endpoint.id));
  const inDriver = new Set(known.map(({ id }) => id));

  const leaked = known.filter(({ id }) => !inDocker.has(id));
  for (const { id, address } of leaked.filter((one) => before.driver.has(one.id))) {
    await driver.releaseEndpoint(id);
    await names.withdraw(id);
    log.info('released an endpoint that Docker has forgotten', { endpoint: id, address });
  }
  const strange = listed.filter(({ endpoint }) => !inDriver.has(endpoint.id));
  for (const found of strange.filter(({ endpoint }) => before.docker.has(endpoint.id))) await repair(found);
  return {
    suspects: {
      driver: new Set(leaked.map(({ id }) => id)),
      docker: new Set(strange.map(({ endpoint }) => endpoint.id)),
    },
    warnings,
  };

  async function repair({ network, networkName, endpoint }: Listed): Promise<void> {
    const { container, name } = endpoint;
    if (container === null) {
      await api.disconnect(network, name);
      log.info('took a container off its network that is gone', { container: name, network: networkName });
      return;
    }
    warnings.push({
      code: 'docker-endpoint-unknown',
      severity: 'warning',
      text: `The container ${name} is on ${networkName} for Docker, and not for weft: its traffic may stop`,
      remedy: `docker restart ${name}`,
    });
  }
}

interface Listed {
  readonly network: string;
  readonly networkName: string;
  readonly endpoint: DockerEndpoint;
}

async function listEndpoints(api: EngineParts['api']): Promise<readonly Listed[]> {
  const listed: Listed[] = [];
  for (const { id, driver } of await api.networks()) {
    if (driver !== DRIVER) continue;
    const found = await api.network(id);
    for (const endpoint of found?.endpoints ?? []) {
      listed.push({ network: id, networkName: found?.name ?? id, endpoint });
    }
  }
  return listed;
}
