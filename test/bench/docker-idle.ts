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

const NAME = 'idle';
const SUBNET = '10.99.0.0/24';
const TYPE = 'application/vnd.docker.plugins.v1.2+json';

/** Makes the driver of the host and the network `idle`, for at most `containers` containers, one after the other. */
export async function createIdleDriver(host: DockerHost, containers: number): Promise<IdleDriver> {
  const links = Array.from({ length: containers }, (_, at) => `idle${at}`);
  const lines = links.map((link) => `link add ${link} type veth peer name ${link}h\nlink set ${link}h up\n`);
  await host.run(['ip', '-batch', '-'], { say: null, input: lines.join('') });

  const answers: Readonly<Record<string, () => object>> = {
    'Plugin.Activate': () => ({ Implements: ['NetworkDriver', 'IpamDriver'] }),
    'NetworkDriver.GetCapabilities': () => ({ Scope: 'local', ConnectivityScope: 'global' }),
    'IpamDriver.GetDefaultAddressSpaces': () => ({
      LocalDefaultAddressSpace: 'IdleLocal',
      GlobalDefaultAddressSpace: 'IdleGlobal',
    }),
    'IpamDriver.RequestPool': () => {
      return { PoolID: NAME, Pool: SUBNET, Data: { 'com.docker.network.gateway': SUBNET } };
    },
    'IpamDriver.RequestAddress': () => ({ Address: SUBNET.replace('.0/', '.9/'), Data: {} }),
    'NetworkDriver.CreateEndpoint': () => ({ Interface: { MacAddress: '02:57:00:00:00:09' } }),
    'NetworkDriver.Join': () => ({ InterfaceName: { SrcName: links.shift() ?? '', DstPrefix: 'eth' } }),
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
    server.listen(host.file(`/run/docker/plugins/${NAME}.sock`), resolve);
  });
  try {
    await host.ask('network', 'create', '-d', NAME, '--ipam-driver', NAME, '--subnet', SUBNET, NAME);
  } catch (error) {
    server.close();
    throw error;
  }
  return { name: NAME, close: () => void server.close() };
}
