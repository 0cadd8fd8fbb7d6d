import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CrashPoint } from './disk.ts';
import { draw } from './drawing.ts';
import { assertTraffic, assertWholeRing, createChecks, rest } from './mesh-checks.ts';
import { createMeshWorld, type MeshWorld, type SimHost } from './mesh-world.ts';
import { SMALL_RANGE } from './story.ts';

/**
 * One story, in which hosts join, allocate, claim, release and give addresses away, told once for each write of each host: there the host
 * loses its power, before the bytes are on disk or after and before anybody is told. It starts again and the story goes on.
 */
const HOSTS = 3;
/** Virtual ms until what nobody waits for is on disk, too: a host may lose its power there after the story. */
const LATE_WRITES = 10_000;

interface Plot {
  readonly world: MeshWorld;
  readonly check: () => void;
  readonly told: Map<string, string>;
}

/** Tries until it succeeds, starting the hosts that are down: what a person and a service manager do together. */
async function insist<T>({ world, check }: Plot, host: SimHost, act: () => Promise<T>): Promise<T> {
  for (let tries = 0; tries < 8; tries++) {
    const { life } = host;
    try {
      if (host.mesh === undefined) await world.settled(host.boot(), 5_000);
      let over = false;
      const answer = act().finally(() => {
        over = true;
      });
      answer.catch(() => {});
      await world.clock.runUntil(() => over || host.life !== life, 60_000);
      if (over) return await answer;
    } catch (error) {
      world.note(`${host.name} tries again: ${error}`);
    }
    check();
    await world.clock.advance(1_000);
    for (const one of world.hosts)
      if (one.mesh === undefined && one.wasMember()) await world.settled(one.boot());
  }
  throw new Error(`${host.name} did not get there`);
}

async function allocate(plot: Plot, host: SimHost, endpoint: string, wanted?: string): Promise<void> {
  const options = wanted === undefined ? {} : { wanted };
  const { address } = await insist(plot, host, () => host.allocate(endpoint, options));
  plot.told.set(`${host.name} ${endpoint}`, address);
  plot.check();
}

async function story(plot: Plot): Promise<void> {
  const { world } = plot;
  const [a, b, c] = world.hosts as [SimHost, SimHost, SimHost];
  for (const [host, issuer] of [
    [b, a],
    [c, b],
  ] as const) {
    const token = await insist(plot, issuer, () => issuer.invite(9));
    await insist(plot, host, async () => {
      if (host.mesh === undefined) await host.join(token);
    });
  }
  for (const host of world.hosts) await allocate(plot, host, 'web');
  await allocate(plot, c, 'claimed here', '10.32.0.9');
  await allocate(plot, a, 'claimed there', '10.32.0.200');
  plot.told.delete('h2 web');
  await insist(plot, c, () => c.release('web'));
  for (let at = 0; at < 6; at++) await allocate(plot, b, `many ${at}`);
}

async function tell(crash?: { host: number; write: number; when: CrashPoint }): Promise<readonly number[]> {
  const world = createMeshWorld({ seed: 'write points' });
  for (let at = 0; at < HOSTS; at++) world.addHost();
  const checks = createChecks(world);
  const plot: Plot = { world, check: checks.check, told: checks.told };
  try {
    const [first] = world.hosts as [SimHost];
    const begun = world.settled(first.found(SMALL_RANGE));
    await begun;
    if (crash !== undefined) {
      const victim = world.hosts[crash.host] as SimHost;
      victim.disk.crashAt(crash.write, crash.when, () => victim.crash());
    }
    await story(plot);
    await world.clock.advance(LATE_WRITES);
    for (const host of world.hosts) if (host.mesh === undefined) await world.settled(host.boot());
    await rest(world, 60_000);
    checks.check();
    assertWholeRing(world.hosts);
    const addresses = new Map(
      world.hosts.slice(0, 2).map((host) => [host, checks.told.get(`${host.name} web`) as string]),
    );
    await assertTraffic(world, addresses);
    return world.hosts.map(({ disk }) => disk.begun());
  } catch (error) {
    const where = crash && `h${crash.host} crashes ${crash.when} write ${crash.write}`;
    throw new Error(`${where}: ${error instanceof Error ? error.stack : error}\n\n${draw(world)}`, {
      cause: error,
    });
  } finally {
    for (const host of world.hosts) host.crash();
  }
}

test('a host that loses its power at any of its writes comes back with all that it promised', async () => {
  const writes = await tell();
  let crashes = 0;
  for (const [host, count] of writes.entries()) {
    // The founding itself is told elsewhere: until then there is no mesh to come back to.
    for (let write = host === 0 ? 4 : 1; write <= count; write++) {
      for (const when of ['before', 'after'] as const) {
        await tell({ host, write, when });
        crashes++;
      }
    }
  }
  assert.ok(crashes > 100, `${crashes} crashes in ${writes} writes`);
});
