import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DockerDoor } from '../../docker-plugin/door.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { createFault, type Fault } from './support/attach-world.ts';
import { createDockerWorld, type DockerWorld } from './support/docker-world.ts';

/**
 * The life of a network with one container, with a fault at each call that the door makes to the mesh, the machine and the disk in turn.
 * Docker goes on as it does: it undoes a start that failed, and takes no notice of errors while it takes something down. After a crash it gets
 * no answer, and repeats the call without its body, which is an error to it like any other. What it no longer has when all is over is told
 * to the door as the engine part does; then nothing may be left.
 */
const KINDS = ['refuse', 'lose', 'crash-before', 'crash-after'] as const;
const NETWORK = 'a'.repeat(64);
const ENDPOINT = 'e'.repeat(64);
const GATEWAY = { RequestAddressType: 'com.docker.network.gateway' };

for (const subnet of ['10.50.0.0/24', '']) {
  for (const kind of KINDS) {
    const which = subnet === '' ? 'a subnet of our choice' : 'a wanted subnet';
    test(`a network with ${which}: ${kind} at any step leaks nothing`, async () => {
      let at = 1;
      while (await tell(createFault(kind, at), subnet)) at++;
      assert.ok(at > 10, `only ${at - 1} steps were tried`);
    });
  }
}

/** False when the story made fewer calls than the fault waits for. */
async function tell(fault: Fault, subnet: string): Promise<boolean> {
  const world = createDockerWorld();
  world.machine.addSandbox('box');
  let door = await world.live(fault);
  fault.arm();

  let crashed = false;

  /** What Docker sees: an answer, or undefined for an error of any kind. */
  async function call<T>(run: (door: DockerDoor) => Promise<object>): Promise<T | undefined> {
    const answer = run(door).then(
      (result) => result as T,
      () => undefined,
    );
    const outcome = await (crashed ? answer : Promise.race([answer, fault.crashed]));
    if (outcome !== 'crashed') return outcome as T | undefined;
    crashed = true;
    door = await world.live();
    return undefined;
  }

  const live = await story(call, subnet);
  const step = `${fault.kind} at ${fault.at}`;
  const hit = fault.hit();
  door = await world.live();
  await tidyUp(world, door, live);
  assert.deepEqual([...world.leases], [], step);
  assert.deepEqual(world.machine.offers(), [], step);
  assert.deepEqual(world.machine.interfaces('box'), [], step);
  assert.deepEqual(door.endpoints(), [], step);
  assert.deepEqual(
    door.networks().map(({ id }) => id),
    live.network ? [NETWORK] : [],
    step,
  );
  // A network that could not be removed is still one of the mesh: the engine part makes it in Docker again.
  if (!live.failedRemoval) assert.equal(world.networks.size, live.network ? 2 : 1, step);
  await door.stop();

  const again = await world.live();
  const calm = <T>(run: (door: DockerDoor) => Promise<object>) => run(again) as Promise<T>;
  if (!live.network)
    assert.deepEqual(await story(calm, subnet), { network: false, failedRemoval: false }, step);
  assert.deepEqual([...world.leases], [], `${step}, then once more`);
  return hit;
}

type Call = <T>(run: (door: DockerDoor) => Promise<object>) => Promise<T | undefined>;

interface Outcome {
  /** Docker has the network. */
  readonly network: boolean;
  /** Docker does not have it any more, though it was told of an error. */
  readonly failedRemoval: boolean;
}

const FAILED: Outcome = { network: false, failedRemoval: false };

async function story(call: Call, subnet: string): Promise<Outcome> {
  const pool = await call<{ PoolID: string; Pool: string }>(({ ipam }) =>
    ipam.requestPool({ AddressSpace: 'WeftLocal', Pool: subnet, SubPool: '', Options: null, V6: false }),
  );
  if (pool === undefined) return FAILED;
  const { PoolID, Pool } = pool;
  const release = (Address: string) => call(({ ipam }) => ipam.releaseAddress({ PoolID, Address }));
  const taken: string[] = [];
  const start = Pool.replace(/0\/24$/, '');
  for (const [Address, Options] of [
    [`${start}1`, GATEWAY],
    [`${start}2`, null],
  ] as [string, JsonObject | null][]) {
    if ((await call(({ ipam }) => ipam.requestAddress({ PoolID, Address, Options }))) === undefined) {
      return undo(taken, call, PoolID);
    }
    taken.push(Address);
  }
  const IPv4Data = [{ AddressSpace: 'WeftLocal', Pool, Gateway: '' }];
  const Options = { 'com.docker.network.internal': true };
  const made = await call(({ driver }) =>
    driver.createNetwork({ NetworkID: NETWORK, Options, IPv4Data, IPv6Data: [] }),
  );
  if (made === undefined) return undo(taken, call, PoolID);

  const lease = await call<{ Address: string }>(({ ipam }) =>
    ipam.requestAddress({ PoolID, Address: '', Options: null }),
  );
  if (lease !== undefined) {
    await runAndStop(call, lease.Address);
    await release(lease.Address.split('/')[0] ?? '');
  }

  for (const address of taken) await release(address);
  const pooled = await call(({ ipam }) => ipam.releasePool({ PoolID }));
  const gone = await call(({ driver }) => driver.deleteNetwork({ NetworkID: NETWORK }));
  return { network: false, failedRemoval: pooled === undefined || gone === undefined };
}

async function undo(taken: readonly string[], call: Call, PoolID: string): Promise<Outcome> {
  for (const Address of taken) await call(({ ipam }) => ipam.releaseAddress({ PoolID, Address }));
  const pooled = await call(({ ipam }) => ipam.releasePool({ PoolID }));
  return { network: false, failedRemoval: pooled === undefined };
}

/** From CreateEndpoint to DeleteEndpoint; Docker releases the address itself in any case. */
async function runAndStop(call: Call, Address: string): Promise<void> {
  const ids = { NetworkID: NETWORK, EndpointID: ENDPOINT };
  const Interface = { Address, AddressIPv6: '', MacAddress: '' };
  const created = await call(({ driver }) => driver.createEndpoint({ ...ids, Interface, Options: {} }));
  if (created === undefined) return;
  const joined = await call(({ driver }) =>
    driver.join({ ...ids, SandboxKey: '/run/netns/box', Options: {} }),
  );
  if (joined !== undefined) await call(({ driver }) => driver.leave(ids));
  await call(({ driver }) => driver.deleteEndpoint(ids));
}

/** The engine part, once it has compared the lists; then the time after which nobody comes for an address any more. */
async function tidyUp(world: DockerWorld, door: DockerDoor, live: Outcome): Promise<void> {
  await door.start();
  for (const { id } of door.endpoints()) await door.forgetEndpoint(id);
  if (!live.network) for (const { id } of door.networks()) await door.forgetNetwork(id);
  await world.clock.advance(700_000);
}
