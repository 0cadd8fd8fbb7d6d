import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SpaceError } from '../../src/mesh/space.ts';
import { assertTraffic, assertWholeRing, isEstablished, meshOf, rest } from './mesh-checks.ts';
import { createMeshWorld, type MeshWorld, packetOf, type SimHost, textOf } from './mesh-world.ts';

/** How long things take, in virtual time and with 10 ms from host to host. */
const YEAR = 365 * 86_400_000;

async function grow(world: MeshWorld, size: number, offsets: readonly number[] = []): Promise<SimHost[]> {
  for (let at = 0; at < size; at++) {
    const host = world.addHost({ wallOffset: offsets[at] ?? 0 });
    const [first] = world.hosts as [SimHost];
    if (host === first) await world.settled(host.found());
    else await world.settled(host.join(await world.settled(first.invite())), 10_000);
  }
  await rest(world, 30_000);
  return [...world.hosts];
}

/** How long until the condition holds, ms. */
async function timed(world: MeshWorld, condition: () => boolean, limit = 30_000): Promise<number> {
  const begun = world.clock.now();
  await world.until(condition, limit, 5);
  return world.clock.now() - begun;
}

/** A packet to `to` leaves `from`, and arrives: what a route, keys and the table of sources make possible. */
function probe(
  world: MeshWorld,
  from: SimHost,
  to: SimHost,
  source: string,
  destination: string,
): () => boolean {
  const text = `probe ${from.name} ${to.name} ${world.clock.now()}`;
  return () => {
    if (from.mesh !== undefined) from.datapath?.send(packetOf(source, destination, text));
    return to.received.some((packet) => textOf(packet) === text);
  };
}

test('each host sends to a new one less than a second after it has joined', async () => {
  const world = createMeshWorld({ seed: 'new one', latency: 10 });
  const hosts = await grow(world, 8);
  const addresses = new Map<SimHost, string>();
  for (const host of hosts) addresses.set(host, (await world.settled(host.allocate('web'))).address);
  const token = await world.settled((hosts[3] as SimHost).invite());
  const fresh = world.addHost();
  await world.settled(fresh.join(token), 2_000);
  const joined = world.clock.now();
  const { address } = await world.settled(fresh.allocate('web'));
  const probes = hosts.flatMap((host) => [
    probe(world, host, fresh, addresses.get(host) as string, address),
    probe(world, fresh, host, address, addresses.get(host) as string),
  ]);
  await world.until(() => probes.map((tried) => tried()).every((arrived) => arrived), 5_000, 10);
  const took = world.clock.now() - joined;
  assert.ok(took < 1_000, `${took} ms`);
});

test('a host that was killed has new sessions two seconds after it is back', async () => {
  const world = createMeshWorld({ seed: 'killed', latency: 10 });
  const hosts = await grow(world, 8);
  const addresses = new Map<SimHost, string>();
  for (const host of hosts) addresses.set(host, (await world.settled(host.allocate('web'))).address);
  for (const away of [50, 4_000, 60_000]) {
    const victim = hosts[2] as SimHost;
    victim.crash();
    await world.clock.advance(away);
    await world.settled(victim.boot(), 1_000);
    const others = hosts.filter((host) => host !== victim);
    const home = addresses.get(victim) as string;
    const probes = others.flatMap((host) => [
      probe(world, host, victim, addresses.get(host) as string, home),
      probe(world, victim, host, home, addresses.get(host) as string),
    ]);
    const took = await timed(world, () => probes.map((tried) => tried()).every((arrived) => arrived));
    assert.ok(took < 2_000, `back after ${away} ms, it took ${took} ms`);
    assert.equal(meshOf(victim).space.allocations()[0]?.address, home, 'the same address');
    await rest(world, 10_000);
  }
});

test('while the creator is away others allocate, and let new ones in when a witness is there', async () => {
  const world = createMeshWorld({ seed: 'creator', latency: 10 });
  const [creator, second, third, fourth] = (await grow(world, 4)) as [SimHost, SimHost, SimHost, SimHost];
  creator.crash();
  await world.clock.advance(30_000);
  const begun = world.clock.now();
  for (const host of [second, third, fourth]) {
    for (const endpoint of ['a', 'b', 'c']) await world.settled(host.allocate(endpoint), 1_000);
  }
  assert.ok(world.clock.now() - begun < 100, 'own space needs nobody');

  // Whoever received its space from the creator has it as its witness; somebody else has one that is up.
  const token = await world.settled(third.invite());
  const fresh = world.addHost();
  await world.settled(fresh.join(token), 20_000);
  await rest(world, 10_000);
  assertWholeRingWithout(world.running(), creator);

  world.setLatency(() => 10);
  await world.settled(creator.boot(), 1_000);
  await rest(world, 30_000);
  assertWholeRing(world.hosts);
});

test('with no witness in reach a joiner hears in time that the mesh cannot give it addresses', async () => {
  const world = createMeshWorld({ seed: 'no witness', latency: 10 });
  const [creator, second] = (await grow(world, 2)) as [SimHost, SimHost];
  creator.crash();
  await world.clock.advance(30_000);
  const token = await world.settled(second.invite());
  const fresh = world.addHost();
  const begun = world.clock.now();
  const refused = await world.settled(
    fresh.join(token).catch((error: unknown) => error),
    60_000,
  );
  assert.equal((refused as { code?: string }).code, 'no-space');
  assert.match(String(refused), /cannot reach its witness/);
  assert.ok(world.clock.now() - begun < 15_000, `${world.clock.now() - begun} ms`);
  assert.equal((await world.settled(second.allocate('a'), 1_000)).prefix, 12, 'own space is still there');

  await world.settled(creator.boot(), 1_000);
  await world.clock.advance(5_000);
  await world.settled(fresh.join(token), 30_000);
  await rest(world, 30_000);
  assertWholeRing(world.hosts);
});

test('an address of a host that is away is refused in time, with its name', async () => {
  const world = createMeshWorld({ seed: 'owner away', latency: 10 });
  const [first, second] = (await grow(world, 3)) as [SimHost, SimHost, SimHost];
  const { address } = await world.settled(second.allocate('a'));
  second.crash();
  await world.clock.advance(30_000);
  const begun = world.clock.now();
  const wanted = address.replace(/\d+$/, (digits) => String(Number(digits) + 1));
  const asked = first.allocate('b', { wanted, timeout: 5_000 });
  const refused = await world.settled(
    asked.catch((error: unknown) => error),
    20_000,
  );
  assert.ok(refused instanceof SpaceError && refused.code === 'owner-unreachable', String(refused));
  assert.match(refused.message, /belongs to h1/);
  assert.ok(world.clock.now() - begun < 6_000);
});

for (const [title, offset] of [
  ['ten years ahead', 10 * YEAR],
  ['ten years behind', -10 * YEAR],
] as const) {
  test(`a clock that is ${title} on one host changes nothing`, async () => {
    const world = createMeshWorld({ seed: title, latency: 10 });
    const hosts = await grow(world, 4, [0, offset, 0]);
    const odd = hosts[1] as SimHost;
    // The odd one issues, is joined through, restarts, and what it wrote is replaced by others and by itself.
    const fresh = world.addHost();
    await world.settled(fresh.join(await world.settled(odd.invite())), 10_000);
    odd.crash();
    await world.clock.advance(1_000);
    await world.settled(odd.boot(), 1_000);
    await rest(world, 30_000);
    assertWholeRing(world.hosts);
    const addresses = new Map<SimHost, string>();
    for (const host of world.hosts) addresses.set(host, (await world.settled(host.allocate('web'))).address);
    await world.clock.advance(200);
    await assertTraffic(world, addresses);
    // Through several changes of keys.
    await world.clock.advance(600_000);
    await assertTraffic(world, addresses);
    for (const host of world.hosts) {
      for (const other of world.hosts) if (host !== other) assert.ok(isEstablished(host, other));
    }
  });
}

function assertWholeRingWithout(hosts: readonly SimHost[], away: SimHost): void {
  const owners = new Set(
    meshOf(hosts[0] as SimHost)
      .space.ring()
      .map(({ owner }) => owner),
  );
  assert.deepEqual(owners, new Set([away, ...hosts].map(({ peer }) => peer)));
}
