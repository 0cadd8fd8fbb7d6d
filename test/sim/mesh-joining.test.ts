import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertTraffic, assertWholeRing, createChecks, rest } from './mesh-checks.ts';
import { createMeshWorld, type MeshWorld, packetOf, type SimHost } from './mesh-world.ts';

/** A mesh whose hosts have joined one after another through the first. */
async function grow(world: MeshWorld, size: number): Promise<readonly SimHost[]> {
  const first = world.addHost();
  await world.settled(first.found());
  for (let at = 1; at < size; at++) {
    const token = await world.settled(first.invite());
    await world.settled(world.addHost().join(token), 10_000);
  }
  return world.hosts;
}

async function allocateEach(world: MeshWorld): Promise<Map<SimHost, string>> {
  const addresses = new Map<SimHost, string>();
  for (const host of world.hosts) {
    const { address } = await world.settled(host.allocate(`web on ${host.name}`));
    addresses.set(host, address);
  }
  return addresses;
}

for (const size of [3, 10, 30]) {
  test(`${size} hosts that join one after another end with one ring, sessions and packets`, async () => {
    const world = createMeshWorld({ seed: `grow ${size}` });
    const checks = createChecks(world);
    const hosts = await grow(world, size);
    await rest(world, 30_000);
    checks.check();
    assertWholeRing(hosts);
    const least = Math.min(...hosts.map((host) => ownedBy(host)));
    assert.ok(least >= 2 ** 20 / (5 * size), `nobody is left with crumbs: ${least}`);
    const addresses = await allocateEach(world);
    await world.clock.advance(1_000);
    await assertTraffic(world, addresses);
    checks.check();
  });
}

test('five hosts that join at once with one token end the same', async () => {
  const world = createMeshWorld({ seed: 'at once' });
  const first = world.addHost();
  await world.settled(first.found());
  const token = await world.settled(first.invite(5));
  const five = [1, 2, 3, 4, 5].map(() => world.addHost());
  await world.settled(Promise.all(five.map((host) => host.join(token))), 30_000);
  await rest(world, 30_000);
  createChecks(world).check();
  assertWholeRing(world.hosts);
  await assertTraffic(world, await allocateEach(world));
});

test('a packet with a source of somebody else is dropped where it leaves and where it arrives', async () => {
  const world = createMeshWorld({ seed: 'foreign' });
  const [a, b, c] = (await grow(world, 3)) as [SimHost, SimHost, SimHost];
  await rest(world, 30_000);
  const addresses = await allocateEach(world);
  const [atA, atB, atC] = [a, b, c].map((host) => addresses.get(host) as string) as [string, string, string];

  a.datapath?.send(packetOf(atC, atB, 'in the name of c'));
  await world.clock.advance(100);
  assert.equal(a.datapath?.counters().drops.txSource, 1n);
  assert.equal(b.received.length, 0);

  // A rogue host believes that everything is its own.
  const slot = a.mesh?.forwarding.slotOf(b.peer) as number;
  const to = { start: toNumber(atB), last: toNumber(atB) };
  a.datapath?.setRoutes(
    [
      { start: toNumber(atC), last: toNumber(atC), slot: 0 },
      { ...to, slot },
    ].sort((x, y) => x.start - y.start),
  );
  a.datapath?.send(packetOf(atC, atB, 'in the name of c again'));
  await world.clock.advance(100);
  assert.equal(b.datapath?.counters().drops.rxSource, 1n);
  assert.equal(b.received.length, 0);
  const told = b.datapath?.counters().peers.get(b.mesh?.forwarding.slotOf(a.peer) as number);
  assert.equal(told?.dropped, 1n, 'the drop is counted against who sent it');
  assert.notEqual(atA, atB);
});

function ownedBy({ mesh, peer }: SimHost): number {
  const own = (mesh?.space.ring() ?? []).filter(({ owner }) => owner === peer);
  return own.reduce((sum, { start, last }) => sum + last - start + 1, 0);
}

function toNumber(text: string): number {
  return text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}
