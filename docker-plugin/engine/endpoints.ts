import type { DockerEndpoint } from './api.ts';
import type { Doubt } from './doubt.ts';
import type { EngineParts, EngineWarning } from './parts.ts';

export interface EndpointDoubts {
  /** Endpoints of the driver that Docker does not list. */
  readonly leaked: Doubt;
  /** Endpoints of Docker that the driver does not know. */
  readonly strange: Doubt;
}

/**
 * Compares the driver's endpoints with Docker's. Docker never repeats a teardown call that failed or found nobody, so what it has
 * forgotten is released here; what it has left behind without a container is taken off the network. Resolves to what needs a person.
 */
export async function syncEndpoints(
  {
    api,
    driverName,
    driver,
    names,
    log,
  }: Pick<EngineParts, 'api' | 'driverName' | 'driver' | 'names' | 'log'>,
  doubts: EndpointDoubts,
): Promise<readonly EngineWarning[]> {
  const warnings: EngineWarning[] = [];
  const listed = await listEndpoints(api, driverName);
  const known = driver.endpoints();
  const inDocker = new Set(listed.map(({ endpoint }) => endpoint.id));
  const inDriver = new Set(known.map(({ id }) => id));

  const leaked = doubts.leaked.confirm([...inDriver].filter((id) => !inDocker.has(id)));
  for (const { id, address } of known.filter((one) => leaked.has(one.id))) {
    await driver.releaseEndpoint(id);
    await names.withdraw(id);
    log.info('released an endpoint that Docker has forgotten', { endpoint: id, address });
  }
  const strange = doubts.strange.confirm([...inDocker].filter((id) => !inDriver.has(id)));
  for (const found of listed.filter(({ endpoint }) => strange.has(endpoint.id))) await repair(found);
  return warnings;

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

async function listEndpoints(api: EngineParts['api'], driverName: string): Promise<readonly Listed[]> {
  const listed: Listed[] = [];
  for (const { id, driver } of await api.networks()) {
    if (driver !== driverName) continue;
    const found = await api.network(id);
    for (const endpoint of found?.endpoints ?? []) {
      listed.push({ network: id, networkName: found?.name ?? id, endpoint });
    }
  }
  return listed;
}
