import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CrashPoint } from './disk.ts';
import { assertTraffic, assertWholeRing, createChecks, meshOf, rest } from './mesh-checks.ts';
import { createMeshWorld, type MeshWorld, type SimHost } from './mesh-world.ts';
import { SMALL_RANGE } from './story.ts';

/** What becomes of a mesh of which removals have left one host. */

type Three = readonly [SimHost, SimHost, SimHost];

/** h0 makes the mesh, and the others join through it. */
async function threeHosts(seed: string): Promise<{ world: MeshWorld; hosts: Three }> {
  const world = createMeshWorld({ seed });
  const [a, b, c] = [world.addHost(), world.addHost(), world.addHost()];
  await world.settled(a.found(SMALL_RANGE));
  for (const host of [b, c]) await admit(world, a, host);
  await rest(world, 20_000);
  return { world, hosts: [a, b, c] };
}

async function admit(world: MeshWorld, by: SimHost, host = world.addHost()): Promise<SimHost> {
  const token = await world.settled(by.invite());
  await world.settled(host.join(token));
  return host;
}

async function remove(world: MeshWorld, by: SimHost, ...hosts: readonly SimHost[]): Promise<void> {
  for (const { peer } of hosts) await world.settled(meshOf(by).removal.remove(peer));
}

/** Each of `hosts` has an address, everybody reaches everybody, and no address is lost of the range. */
async function inUse(world: MeshWorld, hosts: readonly SimHost[]): Promise<void> {
  const addresses = new Map<SimHost, string>();
  for (const host of hosts) addresses.set(host, (await world.settled(host.allocate('one more'))).address);
  await world.until(
    () => hosts.every((host) => meshOf(host).membership.members().length === hosts.length),
    60_000,
  );
  const ready = (host: SimHost, other: SimHost) =>
    meshOf(host).sessions.status(other.peer)?.state === 'established';
  const all = () => hosts.every((host) => hosts.every((other) => other === host || ready(host, other)));
  await world.until(all, 60_000);
  const rings = () => new Set(hosts.map((host) => JSON.stringify(meshOf(host).space.ring())));
  await world.until(() => rings().size === 1, 60_000);
  const taken = () => meshOf(hosts[0] as SimHost).space.ring();
  await world.until(() => taken().every(({ owner }) => hosts.some(({ peer }) => peer === owner)), 60_000);
  await world.until(() => rings().size === 1, 60_000);
  assertWholeRing(hosts);
  await assertTraffic(world, addresses);
}

for (const [at, who] of ['the host that made the mesh', 'its first joiner'].entries()) {
  test(`${who}, left alone by removals, goes on with a new heir, which goes on when it is removed as well`, async () => {
    const { world, hosts } = await threeHosts(`last ${at}`);
    const [last, other] = at === 0 ? [hosts[0], hosts[1]] : [hosts[1], hosts[0]];
    for (const host of hosts) if (host !== last) host.crash();
    await remove(world, last, other, hosts[2]);
    assert.equal(meshOf(last).membership.witnessOf(last.peer), undefined);

    const d = await admit(world, last);
    assert.equal(meshOf(last).membership.witnessOf(last.peer), d.peer);
    await inUse(world, [last, d]);
    const e = await admit(world, d);
    const f = await admit(world, last);
    await inUse(world, [last, d, e, f]);

    last.crash();
    await remove(world, e, last);
    await inUse(world, [d, e, f]);
    await world.until(() => meshOf(d).space.inheritance.waiting().length === 0, 10_000);
    await world.settled(d.stop());
    await world.settled(d.boot());
    await inUse(world, [d, e, f]);
  });
}

test('a host that is left alone twice names an heir twice', async () => {
  const { world, hosts } = await threeHosts('twice');
  const [a, b, c] = hosts;
  await remove(world, a, b, c);
  const d = await admit(world, a);
  d.crash();
  await remove(world, a, d);
  const e = await admit(world, a);
  assert.equal(meshOf(a).membership.witnessOf(a.peer), e.peer);
  await inUse(world, [a, e]);
});

test('who was to be the heir and did not come back in time is a host like any other', async () => {
  const { world, hosts } = await threeHosts('late');
  const [a, b, c] = hosts;
  await remove(world, a, b, c);
  const d = world.addHost();
  const token = await world.settled(a.invite());
  // It loses its power when it stores what it was given, and before it says so.
  d.disk.crashAt(d.disk.begun() + 1, 'after', () => d.crash());
  d.join(token).catch(() => {});
  await world.until(() => d.life > 0, 20_000);
  const e = await admit(world, a);
  assert.equal(meshOf(a).membership.witnessOf(a.peer), e.peer);
  await remove(world, a, e);
  await admit(world, a, d);
  assert.equal(meshOf(a).membership.witnessOf(a.peer), d.peer);
  await inUse(world, [a, d]);
});

test('the last host loses its power at any write while it names its heir, and no address is lost or given twice', async () => {
  let crashes = 0;
  for (let write = 1; write <= 8; write += 1) {
    for (const when of ['before', 'after'] as const satisfies readonly CrashPoint[]) {
      const { world, hosts } = await threeHosts(`write ${write} ${when}`);
      const [a, b, c] = hosts;
      await remove(world, a, b, c);
      const { check } = createChecks(world);
      const d = world.addHost();
      const token = await world.settled(a.invite(2));
      const { life } = a;
      a.disk.crashAt(a.disk.begun() + write, when, () => a.crash());
      d.join(token).catch(() => {});
      await world.clock.advance(30_000);
      a.disk.crashAt(0, 'before', () => {});
      if (a.life !== life) {
        crashes += 1;
        await world.settled(a.boot());
      }
      check();
      if (d.mesh === undefined) await world.settled(d.join(token));
      await inUse(world, [a, d]);
      check();
    }
  }
  assert.ok(crashes >= 6, `${crashes} crashes`);
});

test('hosts that removed each other in two halves, and each let somebody in, stay two meshes that share nothing', async () => {
  const { world, hosts } = await threeHosts('both');
  const [a, b, c] = hosts;
  world.partition([a], [b, c]);
  await world.clock.advance(15_000);
  await remove(world, b, a);
  await remove(world, a, b, c);
  const d = await admit(world, a);
  await inUse(world, [a, d]);
  await inUse(world, [b, c]);
  world.heal();
  await world.clock.advance(120_000);
  for (const here of [a, d]) {
    for (const there of [b, c]) {
      for (const [host, other] of [
        [here, there],
        [there, here],
      ] as const) {
        assert.equal(meshOf(host).links.neighbour(other.peer), undefined);
        assert.notEqual(meshOf(host).sessions.status(other.peer)?.state, 'established');
        assert.ok(!meshOf(host).membership.isMember(other.peer));
      }
    }
  }
});
