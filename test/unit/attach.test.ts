import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AttachRequest, EndpointError, type EndpointErrorCode } from '../../src/attach/endpoint.ts';
import { type Endpoints, RECONCILE_INTERVAL } from '../../src/attach/endpoints.ts';
import type { EndpointId } from '../../src/core/ids.ts';
import { SpaceError } from '../../src/mesh/space.ts';
import { HostError } from '../../src/ports/host.ts';
import { createFault, createWorld, type World } from './support/attach-world.ts';

function fails(code: EndpointErrorCode, task: Promise<unknown>): Promise<void> {
  return assert.rejects(task, (error) => error instanceof EndpointError && error.code === code);
}

async function begin(): Promise<{ world: World; endpoints: Endpoints }> {
  const world = createWorld();
  world.machine.addSandbox('web', { process: 4711 });
  world.machine.addSandbox('db', { interfaces: ['eth0'] });
  return { world, endpoints: await world.live() };
}

test('an attached sandbox has an interface, an address and a place in the list', async () => {
  const { world, endpoints } = await begin();
  const endpoint = await endpoints.attach({ sandbox: 'web', name: 'front' });
  assert.match(endpoint.id, /^[0-9a-f]{24}$/);
  assert.deepEqual(endpoints.list(), [endpoint]);
  assert.deepEqual(world.machine.interfaces('web'), ['eth0']);
  assert.deepEqual([...world.allocated], [[endpoint.id, endpoint.address]]);
  const { address, prefix, network, kind, sandbox, up, interface: link } = endpoint;
  assert.deepEqual(
    { address, prefix, network, kind, sandbox, up, link },
    {
      address: '10.32.0.1',
      prefix: 12,
      network: 'weft',
      kind: 'sandbox',
      sandbox: 'web',
      up: true,
      link: 'eth0',
    },
  );
});

test('the same sandbox is attached once, by whatever text it is named, also at the same time', async () => {
  const { world, endpoints } = await begin();
  const ways: AttachRequest[] = [
    { sandbox: 'web' },
    { sandbox: '/run/netns/web' },
    { sandbox: '4711' },
    { sandbox: 'web', interface: 'eth0' },
    { sandbox: 'web', ip: '10.32.0.1' },
  ];
  const results = await Promise.all(ways.map((way) => endpoints.attach(way)));
  assert.equal(new Set(results.map(({ id }) => id)).size, 1);
  assert.equal(world.allocated.size, 1);
});

test('a second interface of a sandbox is another endpoint', async () => {
  const { world, endpoints } = await begin();
  await endpoints.attach({ sandbox: 'web' });
  await endpoints.attach({ sandbox: 'web', interface: 'eth5' });
  assert.deepEqual(world.machine.interfaces('web'), ['eth0', 'eth5']);
  assert.equal(endpoints.list().length, 2);
});

test('an attach that contradicts what is there says so and changes nothing', async () => {
  const { endpoints } = await begin();
  const first = await endpoints.attach({ sandbox: 'web', name: 'front' });
  await fails('interface-taken', endpoints.attach({ sandbox: 'web', ip: '10.32.0.77' }));
  await fails('interface-taken', endpoints.attach({ sandbox: 'web', network: 'other', interface: 'eth0' }));
  await fails('name-taken', endpoints.attach({ sandbox: 'db', name: 'front' }));
  await fails('bad-request', endpoints.attach({ sandbox: 'db', id: first.id }));
  assert.deepEqual(endpoints.list(), [first]);
});

test('a refused attach leaves nothing', async () => {
  const { world, endpoints } = await begin();
  await assert.rejects(endpoints.attach({ sandbox: 'db', interface: 'eth0' }), HostError);
  await assert.rejects(endpoints.attach({ sandbox: 'nobody' }), HostError);
  await endpoints.attach({ sandbox: 'web' });
  await assert.rejects(endpoints.attach({ sandbox: 'db', ip: '10.32.0.1' }), SpaceError);
  assert.deepEqual(world.machine.interfaces('db'), ['eth0']);
  assert.deepEqual([...world.allocated.values()], ['10.32.0.1']);
  assert.equal(endpoints.list().length, 1);
});

test('attaching again gives an endpoint its new name', async () => {
  const { world, endpoints } = await begin();
  const first = await endpoints.attach({ sandbox: 'web', name: 'front' });
  const second = await endpoints.attach({ sandbox: 'web', name: 'back' });
  assert.deepEqual(second, { ...first, name: 'back' });
  assert.deepEqual((await world.live()).list(), [second]);
});

test('detach goes by id, start of an id, name, address and sandbox', async () => {
  const { world, endpoints } = await begin();
  const ways = ['web', '/run/netns/web', 'front', '10.32.0.1'];
  for (const way of ways) {
    const endpoint = await endpoints.attach({ sandbox: 'web', name: 'front' });
    assert.equal((await endpoints.detach(way)).id, endpoint.id);
  }
  for (const length of [24, 6]) {
    const { id } = await endpoints.attach({ sandbox: 'web' });
    assert.equal((await endpoints.detach(id.slice(0, length))).id, id);
  }
  assert.deepEqual(world.machine.interfaces('web'), []);
  assert.equal(world.allocated.size, 0);
  assert.deepEqual((await world.live()).list(), []);
});

test('detach refuses what means nothing or several endpoints', async () => {
  const { endpoints } = await begin();
  const first = await endpoints.attach({ sandbox: 'web' });
  await endpoints.attach({ sandbox: 'web', interface: 'eth1' });
  await fails('unknown-endpoint', endpoints.detach('db'));
  await fails('unknown-endpoint', endpoints.detach(first.id.slice(0, 3)));
  await fails('ambiguous-endpoint', endpoints.detach('web'));
  assert.equal(endpoints.list().length, 2);
});

test('two detaches at once: one does it, the other is told', async () => {
  const { endpoints } = await begin();
  await endpoints.attach({ sandbox: 'web' });
  const [one, two] = await Promise.allSettled([endpoints.detach('web'), endpoints.detach('web')]);
  assert.deepEqual([one.status, two.status], ['fulfilled', 'rejected']);
});

test('the host has its address once, and more when it asks for more', async () => {
  const { world, endpoints } = await begin();
  const first = await endpoints.expose();
  assert.deepEqual(await endpoints.expose(), first);
  assert.deepEqual([first.kind, first.interface, first.sandbox], ['host', 'weft0', null]);
  const second = await endpoints.expose({ ip: '10.32.0.9' });
  assert.deepEqual(world.machine.hostAddresses(), ['10.32.0.1/12', '10.32.0.9/12']);
  assert.deepEqual(await endpoints.hide(), [first, second]);
  assert.deepEqual(world.machine.hostAddresses(), []);
  assert.deepEqual(endpoints.list(), []);
  assert.equal(world.allocated.size, 0);
});

test('the next life knows all endpoints and finds them as they were', async () => {
  const { world, endpoints } = await begin();
  await endpoints.attach({ sandbox: 'web' });
  await endpoints.expose();
  const before = endpoints.list();
  const next = await world.live();
  const result = await next.reconcile();
  assert.deepEqual(result, { replugged: [], released: [], removed: [], failed: [] });
  assert.deepEqual(next.list(), before);
});

test('a start connects what lost its link, releases what lost its sandbox, removes what nobody knows', async () => {
  const { world, endpoints } = await begin();
  world.machine.addSandbox('gone');
  const web = await endpoints.attach({ sandbox: 'web' });
  const db = await endpoints.attach({ sandbox: 'db' });
  const gone = await endpoints.attach({ sandbox: 'gone' });
  world.machine.tamper(web.id, 'delete');
  world.machine.tamper(db.id, 'down');
  world.machine.removeSandbox('gone');
  world.machine.addStray('stray' as EndpointId, 'db', '10.32.0.200');
  world.machine.addStray('docker' as EndpointId, 'db', '10.32.0.201');
  world.foreign.add('docker');
  const next = await world.live();
  const result = await next.reconcile();
  assert.deepEqual(result, {
    replugged: [web.id, db.id],
    released: [gone.id],
    removed: ['stray'],
    failed: [],
  });
  assert.deepEqual(next.list(), [web, db]);
  assert.deepEqual(world.machine.interfaces('db'), ['eth0', 'eth0', 'weft0']);
  assert.deepEqual([...world.allocated.keys()].sort(), [web.id, db.id].sort());
});

test('a sandbox that took the place of another does not inherit its endpoint', async () => {
  const { world, endpoints } = await begin();
  const old = await endpoints.attach({ sandbox: 'web', id: 'job' });
  world.machine.removeSandbox('web');
  world.machine.addSandbox('web');
  const next = await endpoints.attach({ sandbox: 'web', id: 'job' });
  assert.deepEqual([old.id, next.id], ['job', 'job']);
  assert.deepEqual(endpoints.list(), [next]);
  assert.deepEqual(world.machine.interfaces('web'), ['eth0']);
});

test('a sandbox that ends without a word gives its address back within half a minute', async () => {
  const { world, endpoints } = await begin();
  await endpoints.attach({ sandbox: 'web' });
  await endpoints.start();
  world.machine.removeSandbox('web');
  await world.clock.advance(RECONCILE_INTERVAL);
  await world.clock.settle();
  assert.deepEqual(endpoints.list(), []);
  assert.equal(world.allocated.size, 0);
  await endpoints.stop();
  assert.equal(world.clock.pending(), 0);
});

test('a stop waits for the look under way', async () => {
  const world = createWorld();
  world.machine.addSandbox('web');
  let hold = Promise.resolve();
  const slow = { ...createFault('refuse', 0), guard: <T>(call: () => Promise<T>) => hold.then(call) };
  const endpoints = await world.live(slow);
  const { id } = await endpoints.attach({ sandbox: 'web' });
  await endpoints.start();
  world.machine.tamper(id, 'delete');
  const gate = Promise.withResolvers<void>();
  hold = gate.promise;
  await world.clock.advance(RECONCILE_INTERVAL);
  let stopped = false;
  const stopping = endpoints.stop().then(() => {
    stopped = true;
  });
  await world.clock.settle();
  assert.deepEqual([stopped, world.machine.interfaces('web')], [false, []]);
  gate.resolve();
  await stopping;
  assert.deepEqual(world.machine.interfaces('web'), ['eth0']);
  assert.equal(world.clock.pending(), 0);
});
