import assert from 'node:assert/strict';
import { test } from 'node:test';
import { APP, createEngineWorld, createScopedWorld } from './support/engine-world.ts';

const WEFT = { id: 'weft', name: 'weft', subnet: '10.32.0.0/12', internal: false };

test('the default network is in Docker without any command', async () => {
  const { clock, docker, engine, dockerNetworks } = createEngineWorld(WEFT);
  engine.start();
  await clock.settle();
  assert.deepEqual(await dockerNetworks(), ['weft']);
  const [made] = await docker.networks();
  assert.deepEqual(made?.subnets, ['10.32.0.0/12']);
  assert.equal(made?.options.get('weft.network'), 'weft');
  assert.equal(engine.status().state, 'up');
});

test('a network that another host made appears under its name, and goes when it is removed', async () => {
  const { clock, engine, mesh, removed, change, dockerNetworks } = createEngineWorld();
  engine.start();
  await clock.settle();
  mesh.set(APP.id, APP);
  change();
  await clock.settle();
  assert.deepEqual(await dockerNetworks(), ['app']);
  mesh.delete(APP.id);
  removed.add(APP.id);
  change();
  await clock.settle();
  assert.deepEqual(await dockerNetworks(), []);
});

test('a network that was made through Docker gets its name in the mesh', async () => {
  const { clock, docker, engine, mesh, known } = createEngineWorld();
  engine.start();
  await clock.settle();
  mesh.set(APP.id, { ...APP, name: null });
  known.set(docker.addNetwork({ name: 'shop', subnets: [APP.subnet] }), APP.id);
  docker.addNetwork({ name: 'other', driver: 'bridge' });
  await clock.settle();
  assert.equal(mesh.get(APP.id)?.name, 'shop');
});

test('in a swarm networks get their names, and are made and removed by nobody but its managers', async () => {
  const { clock, docker, engine, mesh, removed, change, known } = createScopedWorld('global', [WEFT]);
  engine.start();
  await clock.settle();
  mesh.set(APP.id, { ...APP, name: null });
  known.set(docker.addNetwork({ name: 'shop', subnets: [APP.subnet] }), APP.id);
  await clock.settle();
  assert.equal(mesh.get(APP.id)?.name, 'shop');
  mesh.delete(APP.id);
  removed.add(APP.id);
  change();
  await clock.settle();
  assert.deepEqual(engine.status().warnings, []);
  assert.ok(!docker.calls.some((call) => /^(create|remove)/.test(call)), docker.calls.join());
});

test('a network whose name is not known yet is not made', async () => {
  const { clock, docker, engine } = createEngineWorld({ ...APP, name: null });
  engine.start();
  await clock.settle();
  assert.ok(!docker.calls.some((call) => call.startsWith('create')));
});

test('a host whose Docker was down catches up with what came and went', async () => {
  const OLD = { id: 'b2b2', name: 'old', subnet: '10.32.2.0/24', internal: false };
  const { clock, docker, engine, mesh, removed, change, dockerNetworks } = createEngineWorld(OLD);
  engine.start();
  await clock.settle();
  docker.crash();
  await clock.settle();
  assert.equal(engine.status().state, 'down');
  mesh.delete(OLD.id);
  removed.add(OLD.id);
  mesh.set(APP.id, APP);
  change();
  await clock.advance(60_000);
  docker.restart();
  await clock.advance(6_000);
  assert.equal(engine.status().state, 'up');
  assert.deepEqual(await dockerNetworks(), ['app']);
});

test('a name that a network of another driver has is a warning, and the network comes when the name is free', async () => {
  const { clock, docker, engine, warnings, dockerNetworks } = createEngineWorld(APP);
  const rival = docker.addNetwork({ name: 'app', driver: 'bridge' });
  engine.start();
  await clock.settle();
  assert.deepEqual(warnings(), ['docker-name-taken']);
  assert.match(engine.status().warnings[0]?.remedy ?? '', /docker network rm app/);
  docker.dropNetwork(rival);
  await clock.settle();
  assert.deepEqual(await dockerNetworks(), ['app']);
  assert.deepEqual(warnings(), []);
});

test('a removed network stays while containers of this host are on it, and goes after them', async () => {
  const { clock, docker, engine, mesh, removed, change, warnings, dockerNetworks } = createEngineWorld(APP);
  engine.start();
  await clock.settle();
  const [network] = await docker.networks();
  const web = docker.run({ name: 'web', networks: { [network?.id ?? '']: '10.32.1.2' } });
  mesh.delete(APP.id);
  removed.add(APP.id);
  change();
  await clock.settle();
  assert.deepEqual(warnings(), ['docker-network-in-use']);
  docker.stop(web);
  await clock.advance(61_000);
  assert.deepEqual(await dockerNetworks(), []);
  assert.deepEqual(warnings(), []);
});

test('a network of Docker that the mesh has never heard of is named and left alone', async () => {
  const { clock, docker, engine, warnings, dockerNetworks } = createEngineWorld();
  docker.addNetwork({ name: 'stale', subnets: ['10.99.0.0/24'] });
  engine.start();
  await clock.settle();
  assert.deepEqual(warnings(), ['docker-network-unknown']);
  assert.deepEqual(await dockerNetworks(), ['stale']);
});

test('a network that was removed from this Docker alone comes back', async () => {
  const { clock, docker, engine, dockerNetworks } = createEngineWorld(APP);
  engine.start();
  await clock.settle();
  const [network] = await docker.networks();
  docker.dropNetwork(network?.id ?? '');
  await clock.settle();
  assert.deepEqual(await dockerNetworks(), ['app']);
});

test('a network that Docker has forgotten is forgotten after a second look', async () => {
  const { clock, engine, known } = createEngineWorld();
  engine.start();
  await clock.settle();
  known.set('gone', APP.id);
  await clock.advance(60_000);
  assert.ok(known.has('gone'), 'it may be one that is just being made');
  await clock.advance(10_000);
  assert.deepEqual([...known], []);
});

test('a host without Docker asks for nothing but whether it is there', async () => {
  const { clock, docker, engine } = createEngineWorld(APP);
  docker.crash();
  engine.start();
  await clock.advance(60_000);
  assert.equal(engine.status().state, 'absent');
  assert.deepEqual(docker.calls, []);
  await engine.stop();
});
