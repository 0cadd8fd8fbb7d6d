import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import type { DockerDoor } from '../../docker-plugin/door.ts';
import { DockerError } from '../../docker-plugin/errors.ts';
import type { EndpointId, NetworkId } from '../../src/core/ids.ts';
import { createDockerWorld, type DockerWorld } from './support/docker-world.ts';

const SWARMS_ID = 'odumd3iwn2k5r7kz0yq8m1p3x';
const GATEWAY = { RequestAddressType: 'com.docker.network.gateway' };

let world: DockerWorld;
let door: DockerDoor;

beforeEach(async () => {
  world = createDockerWorld('global');
  door = await world.live();
});

interface Pool {
  readonly PoolID: string;
  readonly Pool: string;
  readonly Data: Readonly<Record<string, string>>;
}

const requestPool = (AddressSpace: string, subnet = '') =>
  door.ipam.requestPool({
    AddressSpace,
    Pool: subnet,
    SubPool: '',
    Options: null,
    V6: false,
  }) as Promise<Pool>;

async function address(PoolID: string, Address = '', Options: object | null = null): Promise<string> {
  const body = { PoolID, Address, Options: Options as never };
  return ((await door.ipam.requestAddress(body)) as { Address: string }).Address;
}

/** The leading manager's calls for `docker network create`; also what a new leader repeats. */
async function allocate(subnet?: string): Promise<Pool> {
  const pool = await requestPool('WeftGlobal', subnet);
  const IPv4Data = [{ AddressSpace: '', Gateway: '', Pool: pool.Pool }];
  await door.swarm.allocateNetwork({ NetworkID: SWARMS_ID, Options: {}, IPv4Data });
  return pool;
}

async function free({ PoolID }: Pool): Promise<void> {
  await door.swarm.freeNetwork({ NetworkID: SWARMS_ID });
  await door.ipam.releasePool({ PoolID });
}

/** A node's calls before its first task in the network. */
async function prepareNode(subnet: string): Promise<Pool> {
  const pool = await requestPool('WeftLocal', subnet);
  const base = `${subnet.split('/')[0]}`;
  assert.equal(await address(pool.PoolID, base, GATEWAY), `${base}/24`);
  await door.driver.createNetwork({
    NetworkID: SWARMS_ID,
    Options: { 'com.docker.network.generic': {} },
    IPv4Data: [{ AddressSpace: 'WeftLocal', Gateway: `${base}/24`, Pool: subnet }],
  });
  return pool;
}

test('a manager gives a placeholder for each task, and the node an address of its own', async () => {
  const global = await allocate();
  assert.equal(global.Data['com.docker.network.gateway'], '10.99.0.0/24');
  const placeholders = [await address(global.PoolID), await address(global.PoolID)];
  assert.deepEqual(placeholders, ['10.99.0.255/24', '10.99.0.255/24']);
  assert.equal(world.leases.size, 0);

  const local = await prepareNode(global.Pool);
  const own = [await address(local.PoolID, '10.99.0.255'), await address(local.PoolID, '10.99.0.255')];
  assert.deepEqual(own, ['10.99.0.1/24', '10.99.0.2/24']);
  // What a user asked for by number is held to.
  assert.equal(await address(global.PoolID, '10.99.0.77'), '10.99.0.77/24');
  assert.equal(await address(local.PoolID, '10.99.0.77'), '10.99.0.77/24');

  for (const Address of ['10.99.0.255', '10.99.0.255', '10.99.0.77'])
    await door.ipam.releaseAddress({ PoolID: global.PoolID, Address });
  assert.equal(world.leases.size, 3);
  for (const Address of ['10.99.0.1', '10.99.0.2', '10.99.0.77'])
    await door.ipam.releaseAddress({ PoolID: local.PoolID, Address });
  assert.equal(world.leases.size, 0);
});

test('the network stays when the last task leaves a node, and goes with the swarm’s', async () => {
  const global = await allocate();
  const local = await prepareNode(global.Pool);
  await door.ipam.releasePool({ PoolID: local.PoolID });
  await door.driver.deleteNetwork({ NetworkID: SWARMS_ID });
  assert.deepEqual(door.networks(), []);
  assert.equal(world.networks.size, 2);
  await free(global);
  assert.deepEqual([...world.networks.keys()], ['weft']);
});

test('a new leader that repeats everything changes nothing, and ends what another one made', async () => {
  const first = await allocate();
  door = await world.live();
  const again = await allocate(first.Pool);
  assert.deepEqual(again, first);
  assert.equal(await address(again.PoolID, '10.99.0.0', GATEWAY), '10.99.0.0/24');
  assert.equal(await address(again.PoolID, '10.99.0.255'), '10.99.0.255/24');
  await free(again);
  assert.deepEqual([...world.networks.keys()], ['weft']);
});

test('a network of the swarm that is still in use goes when nobody uses it any more', async () => {
  const global = await allocate();
  const local = await prepareNode(global.Pool);
  await address(local.PoolID, '10.99.0.255');
  await free(global);
  assert.equal(world.networks.size, 2);
  await door.ipam.releaseAddress({ PoolID: local.PoolID, Address: '10.99.0.1' });
  await door.start();
  assert.deepEqual([...world.networks.keys()], ['weft']);
  await door.stop();
});

test('a swarm network that came to nothing leaves nothing', async () => {
  const pool = await requestPool('WeftGlobal');
  await door.ipam.releasePool({ PoolID: pool.PoolID });
  assert.deepEqual([...world.networks.keys()], ['weft']);
});

test('a node makes no network: it waits until the manager’s is known, and then says so', async () => {
  const late = requestPool('WeftLocal', '10.77.0.0/24');
  await world.clock.settle();
  const info = { ...world.networks.get('weft'), id: '00000000000000aa' as NetworkId, subnet: '10.77.0.0/24' };
  world.addNetwork(info as never);
  assert.equal((await late).PoolID, '00000000000000aa');

  const never = assert.rejects(requestPool('WeftLocal', '10.78.0.0/24'), (error: unknown) => {
    return (
      error instanceof DockerError &&
      error.code === 'unknown-network' &&
      /weft status peers/.test(error.message)
    );
  });
  await world.clock.advance(5_000);
  await never;
  assert.equal(world.networks.size, 2);
});

test('--internal of a swarm holds on the node that hears of it first', async () => {
  const { Pool } = await allocate();
  const { PoolID } = await requestPool('WeftLocal', Pool);
  await door.driver.createNetwork({
    NetworkID: SWARMS_ID,
    Options: { 'com.docker.network.internal': true },
    IPv4Data: [{ AddressSpace: 'WeftLocal', Gateway: '', Pool }],
  });
  assert.equal(world.networks.get(PoolID)?.internal, true);
  const id = 'e'.padEnd(64, '0') as EndpointId;
  const own = await address(PoolID, '10.99.0.255');
  await door.driver.createEndpoint({ NetworkID: SWARMS_ID, EndpointID: id, Interface: { Address: own } });
  assert.deepEqual(
    door.endpoints().map((endpoint) => endpoint.address),
    ['10.99.0.1'],
  );
});
