import { createServer } from 'node:http';
import type { DockerHost } from '../lab/docker-host.ts';

/**
 * A network driver of Docker that does nothing but answer: its links are made before and it has no state. What a container costs on its network is
 * what Docker itself takes for any driver outside of it: the calls, its resolver, and its second interface as the way out.
 */
export interface IdleDriver {
  readonly name: string;
  close(): void;
}

const TYPE = 'application/vnd.docker.plugins.v1.2+json';

export interface IdlePlan {
  /** Of the driver and its network; at most six letters. */
  readonly name: string;
  readonly subnet: `${string}.0/24`;
  /** Whether containers leave by its network: Docker then gives them no second interface. Nobody is there. */
  readonly leadsOut: boolean;
}

/** Makes the driver of the host and its network, for at most `containers` containers, one after the other. */
export async function createIdleDriver(
  host: DockerHost,
  containers: number,
  { name, subnet, leadsOut }: IdlePlan,
): Promise<IdleDriver> {
  const links = Array.from({ length: containers }, (_, at) => `${name}${at}`);
  const way = leadsOut ? { Gateway: subnet.replace('.0/24', '.1') } : {};
  const lines = links.map((link) => `link add ${link} type veth peer name ${link}h\nlink set ${link}h up\n`);
  await host.run(['ip', '-batch', '-'], { say: null, input: lines.join('') });

  const answers: Readonly<Record<string, () => object>> = {
    'Plugin.Activate': () => ({ Implements: ['NetworkDriver', 'IpamDriver'] }),
    'NetworkDriver.GetCapabilities': () => ({ Scope: 'local', ConnectivityScope: 'global' }),
    'IpamDriver.GetDefaultAddressSpaces': () => ({
      LocalDefaultAddressSpace: `${name}Local`,
      GlobalDefaultAddressSpace: `${name}Global`,
    }),
    'IpamDriver.RequestPool': () => {
      return { PoolID: name, Pool: subnet, Data: { 'com.docker.network.gateway': subnet } };
    },
    'IpamDriver.RequestAddress': () => ({ Address: subnet.replace('.0/', '.9/'), Data: {} }),
    'NetworkDriver.CreateEndpoint': () => ({ Interface: { MacAddress: '02:57:00:00:00:09' } }),
    'NetworkDriver.Join': () => {
      return { InterfaceName: { SrcName: links.shift() ?? '', DstPrefix: 'eth' }, ...way };
    },
    'NetworkDriver.EndpointOperInfo': () => ({ Value: {} }),
  };
  const server = createServer((request, response) => {
    request.resume();
    request.once('end', () => {
      const answer = answers[(request.url ?? '').slice(1)]?.() ?? {};
      response.writeHead(200, { 'content-type': TYPE, connection: 'close' });
      response.end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(host.file(`/run/docker/plugins/${name}.sock`), resolve);
  });
  try {
    await host.ask('network', 'create', '-d', name, '--ipam-driver', name, '--subnet', subnet, name);
  } catch (error) {
    server.close();
    throw error;
  }
  return { name, close: () => void server.close() };
}
