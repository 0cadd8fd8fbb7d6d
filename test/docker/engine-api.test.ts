import assert from 'node:assert/strict';
import { DockerError, type DockerEvent } from '../../docker-plugin/engine/api.ts';
import { createDockerApi } from '../../docker-plugin/engine/http-api.ts';
import { createSystemClock } from '../../src/host/clock.ts';
import { until } from '../lab/wait.ts';
import { story } from './story.ts';

story(
  'the client reads what a real engine says of networks, containers and events',
  { hosts: 1 },
  async (lab) => {
    await lab.startEngines();
    const host = lab.host(1);
    const api = createDockerApi({
      socket: host.file('/run/docker.sock'),
      driver: 'weft',
      clock: createSystemClock(),
    });
    const events: DockerEvent[] = [];
    const abort = new AbortController();
    let isOpen = false;
    const onOpen = () => {
      isOpen = true;
    };
    const broken = isUnreachable(
      api.follow({ onOpen, onEvent: (event) => events.push(event) }, abort.signal),
    );
    await until('the stream of events', () => isOpen);

    const id = await host.ask('network', 'create', '--subnet', '10.9.0.0/24', '--opt', 'color=red', 'app');
    const web = await host.ask(
      ...['run', '-d', '--name', 'web', '--hostname', 'front', '--label', 'tier=edge', '--network', 'app'],
      ...['--network-alias', 'www', 'busybox', 'sleep', '1000'],
    );
    const network = (await api.networks()).find(({ name }) => name === 'app');
    assert.deepEqual(network, {
      id,
      name: 'app',
      driver: 'bridge',
      ipamDriver: 'default',
      subnets: ['10.9.0.0/24'],
      internal: false,
      options: new Map([['color', 'red']]),
    });
    const [endpoint] = (await api.network(id))?.endpoints ?? [];
    assert.deepEqual({ ...endpoint, id: '' }, { id: '', container: web, name: 'web', address: '10.9.0.2' });
    assert.deepEqual(await api.containers(), [{ id: web, name: 'web', state: 'running', networks: [id] }]);
    const detail = await api.container(web);
    assert.deepEqual([detail?.name, detail?.hostname, detail?.running], ['web', 'front', true]);
    assert.equal(detail?.labels.get('tier'), 'edge');
    const aliases = detail?.attachments[0]?.aliases ?? [];
    assert.deepEqual(detail?.attachments, [
      { network: id, endpoint: endpoint?.id, address: '10.9.0.2', aliases },
    ]);
    // Docker 25 and later leave the others out.
    assert.ok(aliases.length > 0);
    assert.deepEqual(aliases, ['www', web.slice(0, 12), 'front'].slice(0, aliases.length));

    await assert.rejects(
      api.removeNetwork(id),
      (error) => error instanceof DockerError && error.code === 'in-use',
    );
    await api.disconnect(id, web);
    assert.deepEqual((await api.network(id))?.endpoints, []);
    await api.removeNetwork(id);
    assert.equal(await api.network(id), undefined);
    await api.removeNetwork(id);
    assert.equal(await api.container('nobody'), undefined);

    await host.ask('rm', '-f', 'web');
    const told = (action: string) => events.find((event) => event.action === action);
    await until('the end of the container to be told', () => told('die'));
    const about = (type: 'network' | 'container', action: string, of: string, name: string | null) => ({
      type,
      action,
      id: of,
      container: type === 'network' && action !== 'create' ? web : null,
      name,
    });
    assert.deepEqual(told('connect'), about('network', 'connect', id, 'app'));
    assert.deepEqual(told('start'), about('container', 'start', web, 'web'));
    assert.deepEqual(told('die'), about('container', 'die', web, 'web'));
    await host.engine.kill();
    await broken;
    await isUnreachable(api.networks());
  },
);

function isUnreachable(task: Promise<unknown>): Promise<void> {
  return assert.rejects(task, (error) => error instanceof DockerError && error.code === 'unreachable');
}
