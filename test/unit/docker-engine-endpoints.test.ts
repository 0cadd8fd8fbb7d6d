import assert from 'node:assert/strict';
import { test } from 'node:test';
import { APP, createEngineWorld, type EngineWorld } from './support/engine-world.ts';

/** A world with the network `app` in Docker; resolves to Docker's id of it. */
async function started(): Promise<EngineWorld & { readonly network: string }> {
  const world = createEngineWorld(APP);
  world.engine.start();
  await world.clock.settle();
  const [made] = await world.docker.networks();
  const network = made?.id ?? '';
  world.known.set(network, APP.id);
  return { ...world, network };
}

function namesIn({ names }: EngineWorld): string[] {
  return [...names.values()].flatMap((record) => record.names).sort();
}

test('a container is known by its name, host name, aliases and short id, and labelled', async () => {
  const world = await started();
  const { clock, docker, engine, network, names } = world;
  const id = docker.run({
    name: 'shop_web_1',
    hostname: 'front',
    aliases: ['web'],
    labels: { tier: 'edge' },
    networks: { [network]: '10.32.1.2' },
  });
  await clock.settle();
  const [endpoint = ''] = names.keys();
  assert.deepEqual(names.get(endpoint), {
    network: APP.id,
    address: '10.32.1.2',
    names: ['shop_web_1', 'front', 'web', id.slice(0, 12)],
  });
  assert.equal(engine.containers.labels().get(endpoint)?.get('tier'), 'edge');
});

test('names go with the container, and come with a new endpoint when it is started again', async () => {
  const world = await started();
  const { clock, docker, network, names } = world;
  const web = docker.run({ name: 'web', networks: { [network]: '10.32.1.2' } });
  await clock.settle();
  const [first] = names.keys();
  docker.stop(web);
  await clock.settle();
  assert.deepEqual(namesIn(world), []);
  await docker.start(web);
  await clock.settle();
  const [second] = names.keys();
  assert.notEqual(first, second);
  assert.ok(namesIn(world).includes('web'));
});

test('an answer that was on its way when the container ended publishes nothing', async () => {
  const world = await started();
  const { clock, docker, network } = world;
  const release = docker.hold();
  const web = docker.run({ name: 'web', networks: { [network]: '10.32.1.2' } });
  await clock.settle();
  docker.stop(web);
  release();
  await clock.settle();
  assert.deepEqual(namesIn(world), []);
});

test('a container on a network of another driver that is not internal has another way out, until it ends', async () => {
  const world = await started();
  const { clock, docker, network, leadOut } = world;
  const bridge = docker.addNetwork({ name: 'other', driver: 'bridge' });
  const closed = docker.addNetwork({ name: 'closed', driver: 'bridge', internal: true });
  docker.run({ name: 'plain', networks: { [network]: '10.32.1.2' } });
  docker.run({ name: 'shut', networks: { [network]: '10.32.1.3', [closed]: '172.18.0.2' } });
  await clock.settle();
  assert.equal(leadOut.size, 0);
  const web = docker.run({ name: 'web', networks: { [network]: '10.32.1.4', [bridge]: '172.17.0.2' } });
  await clock.settle();
  assert.equal(leadOut.size, 1);
  docker.stop(web);
  await clock.settle();
  assert.equal(leadOut.size, 0);
});

test('a container that Docker could not start without weft is started once weft is there, and no other one', async () => {
  const { clock, docker, network } = await started();
  const missing = 'Post "http://%2Frun%2Fdocker%2Fplugins%2Fweft.sock/IpamDriver.RequestAddress": dial unix';
  const wanted = docker.run({ name: 'web', restarts: true, networks: { [network]: '10.32.1.2' } });
  const once = docker.run({ name: 'job', networks: { [network]: '10.32.1.3' } });
  const broken = docker.run({ name: 'bad', restarts: true, networks: { [network]: '10.32.1.4' } });
  const ended = docker.run({ name: 'end', restarts: true, networks: { [network]: '10.32.1.5' } });
  for (const id of [wanted, once, broken, ended]) docker.stop(id);
  docker.failStart(wanted, missing);
  docker.failStart(once, missing);
  docker.failStart(broken, 'weft: 10.32.1.4 is in use by another container');
  await clock.advance(61_000);
  assert.deepEqual(
    docker.calls.filter((call) => call.startsWith('start')),
    ['start web'],
  );
});

test('a container that is on no network of the mesh is not named', async () => {
  const world = await started();
  const { clock, docker } = world;
  const bridge = docker.addNetwork({ name: 'other', driver: 'bridge' });
  docker.run({ name: 'alone', networks: { [bridge]: '172.17.0.2' } });
  await clock.settle();
  assert.deepEqual(namesIn(world), []);
});

test('names of containers that ended unseen are taken back when Docker answers again', async () => {
  const world = await started();
  const { clock, docker, network } = world;
  const web = docker.run({ name: 'web', networks: { [network]: '10.32.1.2' } });
  await clock.settle();
  docker.crash();
  docker.remove(web);
  await clock.settle();
  docker.restart();
  await clock.advance(6_000);
  assert.deepEqual(namesIn(world), []);
});

test('names that an earlier life of the daemon published go with their endpoints', async () => {
  const world = createEngineWorld(APP);
  const about = { network: APP.id, address: '10.32.1.2', names: ['web'] };
  const [gone, live, other] = ['a'.repeat(64), 'b'.repeat(64), 'made-by-another-door'];
  for (const endpoint of [gone, live, other]) world.names.set(endpoint, about);
  world.endpoints.set(live, { id: live, dockerNetwork: 'n', address: '10.32.1.2' });
  world.engine.start();
  await world.clock.settle();
  assert.deepEqual([...world.names.keys()], [live, other]);
});

test('an endpoint that Docker has forgotten is released after a second look, with its names', async () => {
  const world = await started();
  const { clock, docker, network, endpoints, names } = world;
  const live = docker.run({ name: 'web', networks: { [network]: '10.32.1.2' } });
  await clock.settle();
  const [inUse = ''] = names.keys();
  endpoints.set(inUse, { id: inUse, dockerNetwork: network, address: '10.32.1.2' });
  endpoints.set('lost', { id: 'lost', dockerNetwork: network, address: '10.32.1.3' });
  names.set('lost', { network: APP.id, address: '10.32.1.3', names: ['gone'] });
  await clock.advance(60_000);
  assert.ok(endpoints.has('lost'), 'one look is not enough');
  await clock.advance(10_000);
  assert.deepEqual([...endpoints.keys()], [inUse]);
  assert.ok(!namesIn(world).includes('gone'));
  assert.ok(live.length > 0 && names.has(inUse));
});

test('an endpoint that is being made while Docker is looked at stays', async () => {
  const world = await started();
  const { clock, docker, network, endpoints, names } = world;
  endpoints.set('new', { id: 'new', dockerNetwork: network, address: '10.32.1.2' });
  await clock.advance(60_000);
  docker.run({ name: 'web', networks: { [network]: '10.32.1.2' } });
  await clock.settle();
  const [endpoint = ''] = names.keys();
  endpoints.delete('new');
  endpoints.set(endpoint, { id: endpoint, dockerNetwork: network, address: '10.32.1.2' });
  await clock.advance(200_000);
  assert.deepEqual([...endpoints.keys()], [endpoint]);
});

test('what Docker lists without a container and weft does not know is taken off the network', async () => {
  const { clock, docker, network } = await started();
  docker.leave(network, 'stale', 'web');
  await clock.advance(70_000);
  assert.deepEqual(
    docker.calls.filter((call) => call.startsWith('disconnect')),
    ['disconnect web'],
  );
  assert.deepEqual((await docker.network(network))?.endpoints, []);
});

test('a running container that weft does not know is named with what to do', async () => {
  const { clock, docker, network, warnings, endpoints } = await started();
  docker.run({ name: 'web', networks: { [network]: '10.32.1.2' } });
  await clock.advance(70_000);
  assert.deepEqual(warnings(), ['docker-endpoint-unknown']);
  const [endpoint] = (await docker.network(network))?.endpoints ?? [];
  endpoints.set(endpoint?.id ?? '', { id: endpoint?.id ?? '', dockerNetwork: network, address: '10.32.1.2' });
  await clock.advance(70_000);
  assert.deepEqual(warnings(), []);
});
