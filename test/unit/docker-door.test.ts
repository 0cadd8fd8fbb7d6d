import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import type { DockerDoor } from '../../docker-plugin/door.ts';
import type { EndpointId } from '../../src/core/ids.ts';
import { createDocker, createDockerWorld, type Docker, type DockerWorld } from './support/docker-world.ts';

let world: DockerWorld;
let door: DockerDoor;
let docker: Docker;

beforeEach(async () => {
  world = createDockerWorld();
  door = await world.live();
  docker = createDocker(() => door);
});

type Net = Awaited<ReturnType<Docker['createNetwork']>>;

/** `docker run`: what Docker does until the container's process starts. */
async function run(net: Net, options: { ip?: string; mac?: string; sandbox?: string } = {}) {
  const { ip, mac, sandbox = `box-${world.leases.size}` } = options;
  const id = docker.id('e') as EndpointId;
  world.machine.addSandbox(sandbox);
  const address = await docker.requestAddress(net.PoolID, ip);
  const created = await docker.createEndpoint(net.NetworkID, id, address, mac);
  const { InterfaceName } = await docker.join(net.NetworkID, id, `/run/netns/${sandbox}`);
  world.machine.takeOffer(InterfaceName.SrcName, sandbox, 'eth0');
  return { id, address, sandbox, mac: created.Interface.MacAddress, plain: address.split('/')[0] ?? '' };
}

async function stop(net: Net, { id, plain }: { id: EndpointId; plain: string }): Promise<void> {
  await docker.leave(net.NetworkID, id);
  await docker.deleteEndpoint(net.NetworkID, id);
  await docker.releaseAddress(net.PoolID, plain);
}

function nothingLeft(): void {
  assert.deepEqual([...world.leases], []);
  assert.deepEqual(world.machine.offers(), []);
  assert.deepEqual(door.endpoints(), []);
}

test('a container gets an address of its network and an interface, and gives both back', async () => {
  const net = await docker.createNetwork();
  const one = await run(net);
  assert.equal(one.address, '10.99.0.1/24');
  assert.equal(one.mac, '0a:57:0a:63:00:01');
  assert.deepEqual(world.machine.interfaces(one.sandbox), ['eth0']);
  assert.deepEqual(
    door.endpoints().map(({ address, sandbox, up }) => [address, sandbox, up]),
    [['10.99.0.1', `/run/netns/${one.sandbox}`, true]],
  );
  await stop(net, one);
  assert.deepEqual(world.machine.interfaces(one.sandbox), []);
  nothingLeft();
  await docker.removeNetwork(net);
  assert.deepEqual([...world.networks.keys()], ['weft']);
});

test('every wish of `docker network create` holds', async () => {
  const net = await docker.createNetwork({
    subnet: '10.50.0.0/16',
    ipRange: '10.50.5.0/24',
    gateway: '10.50.5.1',
    aux: ['10.50.5.2'],
    internal: true,
    opt: { 'com.docker.network.driver.mtu': '1200' },
  });
  assert.equal(net.data['com.docker.network.gateway'], '10.50.0.0/16');
  const [network] = door.networks();
  assert.deepEqual([network?.internal, network?.mtu], [true, 1200]);
  const inMesh = world.networks.get(net.PoolID);
  assert.equal(inMesh?.gateway, '10.50.5.1');
  assert.deepEqual([inMesh?.internal, inMesh?.reserved], [true, ['10.50.5.2']]);
  assert.equal((await run(net)).address, '10.50.5.0/16');
  assert.equal((await run(net, { ip: '10.50.77.7' })).address, '10.50.77.7/16');
  await assert.rejects(run(net, { ip: '10.50.77.7' }), /in use by another container here/);
  await assert.rejects(run(net, { ip: '10.50.5.1' }), /set aside/);
});

test('a MAC address that the user chose is used and not answered', async () => {
  const net = await docker.createNetwork();
  const one = await run(net, { mac: '02:11:22:33:44:55' });
  assert.equal(one.mac, undefined);
  await assert.rejects(run(net, { mac: '01:00:5e:00:00:01' }), /MAC address/);
});

test('the same create on a second host, or under a second name, is the same network', async () => {
  const first = await docker.createNetwork({ subnet: '10.50.0.0/16', gateway: '10.50.0.1' });
  const second = await docker.createNetwork({ subnet: '10.50.0.0/16', gateway: '10.50.0.1' });
  assert.equal(second.PoolID, first.PoolID);
  await assert.rejects(
    docker.createNetwork({ subnet: '10.50.0.0/16', gateway: '10.50.0.2' }),
    /set-aside addresses \(10\.50\.0\.1\)/,
  );
  const otherRange = docker.createNetwork({ subnet: '10.50.0.0/16', ipRange: '10.50.1.0/24' });
  await assert.rejects(otherRange, /without an --ip-range/);
  await assert.rejects(
    docker.createNetwork({ subnet: '10.50.0.0/16', internal: true }),
    /without --internal/,
  );
  await docker.removeNetwork(first);
  assert.ok(world.networks.has(first.PoolID), 'others use it');
});

test('a create that fails in Docker takes away what it made, and nothing else', async () => {
  const ask = { AddressSpace: 'WeftLocal', SubPool: '', Options: null, V6: false };
  const made = (await door.ipam.requestPool({ ...ask, Pool: '' })) as { PoolID: string };
  await door.ipam.releasePool({ PoolID: made.PoolID });
  assert.equal(world.networks.has(made.PoolID), false);
  const elsewhere = await docker.createNetwork({ subnet: '10.50.0.0/16' });
  const other = createDockerWorld();
  other.networks.set(elsewhere.PoolID, world.networks.get(elsewhere.PoolID) as never);
  const otherDoor = await other.live();
  await otherDoor.ipam.requestPool({ ...ask, Pool: '10.50.0.0/16' });
  await otherDoor.ipam.releasePool({ PoolID: elsewhere.PoolID });
  assert.ok(other.networks.has(elsewhere.PoolID));
});

test('the default network is never removed', async () => {
  const net = await docker.createNetwork({ subnet: '10.0.0.0/8' });
  assert.equal(net.PoolID, 'weft');
  await docker.removeNetwork(net);
  assert.ok(world.networks.has('weft'));
});

test('what weft networks do not do is refused in one clear line', async () => {
  const data = { AddressSpace: 'LocalDefault', Pool: '172.18.0.0/16', Gateway: '172.18.0.1/16' };
  const create = (more: object) =>
    door.driver.createNetwork({ NetworkID: docker.id('a'), Options: {}, IPv4Data: [data], ...more } as never);
  await assert.rejects(create({}), /docker network create -d weft --ipam-driver weft NAME/);
  await assert.rejects(create({ IPv6Data: [data] }), /no IPv6 yet: leave out --ipv6/);
  const ask = { AddressSpace: 'WeftLocal', Pool: 'fd51::/64', SubPool: '', Options: null, V6: true };
  await assert.rejects(door.ipam.requestPool(ask), /no IPv6 yet/);
  for (const mtu of ['9000', '0', '-1', 'x', '1e3']) {
    const opt = { 'com.docker.network.driver.mtu': mtu };
    await assert.rejects(docker.createNetwork({ opt }), /must be from 576 to 1400/, mtu);
  }
});

test('fifty containers at once each have their own address and link', async () => {
  const net = await docker.createNetwork();
  const all = await Promise.all(
    Array.from({ length: 50 }, (_, index) => run(net, { sandbox: `parallel-${index}` })),
  );
  assert.equal(new Set(all.map(({ address }) => address)).size, 50);
  for (const { sandbox } of all) assert.deepEqual(world.machine.interfaces(sandbox), ['eth0']);
  await Promise.all(all.map((one) => stop(net, one)));
  nothingLeft();
});

test('a container in two networks has an address in each', async () => {
  const [one, two] = [await docker.createNetwork(), await docker.createNetwork()];
  const first = await run(one, { sandbox: 'both' });
  const id = docker.id('e') as EndpointId;
  const address = await docker.requestAddress(two.PoolID);
  await docker.createEndpoint(two.NetworkID, id, address);
  const { InterfaceName } = await docker.join(two.NetworkID, id, '/run/netns/both');
  world.machine.takeOffer(InterfaceName.SrcName, 'both', 'eth1');
  assert.deepEqual([first.address, address], ['10.99.0.1/24', '10.99.1.1/24']);
  assert.deepEqual(world.machine.interfaces('both'), ['eth0', 'eth1']);
  await docker.leave(two.NetworkID, id);
  await docker.deleteEndpoint(two.NetworkID, id);
  await docker.releaseAddress(two.PoolID, address);
  assert.deepEqual(world.machine.interfaces('both'), ['eth0']);
});

test('a repeated call says the same and changes nothing', async () => {
  const net = await docker.createNetwork();
  const one = await run(net);
  const created = await docker.createEndpoint(net.NetworkID, one.id, one.address);
  assert.equal(created.Interface.MacAddress, one.mac);
  await stop(net, one);
  await stop(net, one);
  nothingLeft();
  await docker.removeNetwork(net);
  await docker.removeNetwork(net);
});

test('an endpoint that is deleted without a leave, or whose address alone comes back, is gone', async () => {
  const net = await docker.createNetwork();
  const one = await run(net);
  await docker.deleteEndpoint(net.NetworkID, one.id);
  await docker.releaseAddress(net.PoolID, one.plain);
  nothingLeft();
  const two = await run(net);
  await docker.releaseAddress(net.PoolID, two.plain);
  nothingLeft();
});

test('the link of a container is begun before Docker asks for it, and goes when Docker never does', async () => {
  const net = await docker.createNetwork();
  const [one, other] = [docker.id('e'), docker.id('e')];
  for (const id of [one, other]) {
    await docker.createEndpoint(net.NetworkID, id, await docker.requestAddress(net.PoolID));
  }
  const begun = world.machine.offers();
  assert.equal(begun.length, 2);
  const { InterfaceName } = await docker.join(net.NetworkID, one, '/run/netns/box');
  assert.ok(begun.includes(InterfaceName.SrcName));
  await docker.deleteEndpoint(net.NetworkID, other);
  assert.deepEqual(world.machine.offers(), [InterfaceName.SrcName]);
});

test('a restart of weftd between any two calls goes unnoticed', async () => {
  docker = createDocker(() => door);
  const again = async () => {
    await door.stop();
    door = await world.live();
    await door.start();
  };
  const pool = (await door.ipam.requestPool({
    AddressSpace: 'WeftLocal',
    Pool: '',
    SubPool: '',
    Options: null,
    V6: false,
  })) as { PoolID: string; Pool: string };
  await again();
  const NetworkID = docker.id('a');
  const IPv4Data = [{ AddressSpace: 'WeftLocal', Pool: pool.Pool, Gateway: '' }];
  await door.driver.createNetwork({ NetworkID, Options: {}, IPv4Data, IPv6Data: [] });
  await again();
  const address = await docker.requestAddress(pool.PoolID);
  await again();
  const id = docker.id('e') as EndpointId;
  await docker.createEndpoint(NetworkID, id, address);
  await again();
  world.machine.addSandbox('box');
  const { InterfaceName } = await docker.join(NetworkID, id, '/run/netns/box');
  await again();
  world.machine.takeOffer(InterfaceName.SrcName, 'box', 'eth0');
  await again();
  assert.deepEqual(world.machine.interfaces('box'), ['eth0']);
  await docker.leave(NetworkID, id);
  await again();
  await docker.deleteEndpoint(NetworkID, id);
  await again();
  await docker.releaseAddress(pool.PoolID, address.split('/')[0] ?? '');
  await again();
  await docker.removeNetwork({ PoolID: pool.PoolID, NetworkID });
  await again();
  nothingLeft();
  assert.deepEqual([...world.networks.keys()], ['weft']);
});

test('an address that no container came for is free again after a minute', async () => {
  const net = await docker.createNetwork();
  await door.start();
  await docker.requestAddress(net.PoolID, '10.99.0.40');
  await assert.rejects(docker.requestAddress(net.PoolID, '10.99.0.40'), /in use/);
  await world.clock.advance(10_000);
  assert.equal(await docker.requestAddress(net.PoolID, '10.99.0.40'), '10.99.0.40/24');
  await world.clock.advance(120_000);
  nothingLeft();
  await door.stop();
});

test('a container whose link was taken down with weft gets a new one, a container that is gone does not', async () => {
  const net = await docker.createNetwork();
  const [one, two] = [await run(net, { sandbox: 'one' }), await run(net, { sandbox: 'two' })];
  world.machine.tamper(one.id, 'delete');
  world.machine.removeSandbox('two');
  await door.start();
  assert.deepEqual(world.machine.interfaces('one'), ['eth0']);
  assert.ok(door.owns(two.id), 'Docker has not said that it is gone');
  await door.stop();
});

test('what Docker no longer has is taken away when the engine says so', async () => {
  const net = await docker.createNetwork();
  const one = await run(net);
  await door.name(one.id, 'web');
  assert.equal(door.endpoints()[0]?.name, 'web');
  let told = 0;
  door.watch(() => {
    told++;
  });
  await door.forgetEndpoint(one.id);
  nothingLeft();
  const two = await run(net);
  await door.forgetNetwork(net.NetworkID);
  assert.equal(door.owns(two.id), false);
  nothingLeft();
  assert.ok(told >= 2);
});
