import { test } from 'node:test';
import { RemovalError } from '../../src/mesh/removal.ts';
import { SpaceError } from '../../src/mesh/space.ts';
import { draw } from './drawing.ts';
import { createChecks, meshOf } from './mesh-checks.ts';
import { createMeshWorld, type MeshWorld, type SimHost } from './mesh-world.ts';
import { SMALL_RANGE } from './story.ts';

/**
 * Random stories in which heirs hand their roles over, and hosts are removed that are up, down or on the other side of a cut, by whom it comes to mind, while others
 * allocate, crash, come back and join. At every moment no address is used by two hosts that are admitted, and none that was promised to
 * one of them is missing. When all wires are whole and all hosts up, the addresses of those that are gone belong to those that are left.
 */
const HOSTS = 6;
const STEPS = 40;
const SEEDS = 8;

interface Plot {
  readonly world: MeshWorld;
  readonly checks: ReturnType<typeof createChecks>;
  removals: number;
  /** Peers that have got another heir. */
  handovers: number;
}

const pick = <T>({ world }: Plot, from: readonly T[]): T | undefined =>
  from[Math.floor(world.random.fraction() * from.length)];

/** As any host that runs knows. */
const isGone = ({ world }: Plot, { peer }: SimHost) =>
  world.running().some(({ mesh }) => mesh?.membership.isRemoved(peer));
const admitted = (plot: Plot) => plot.world.hosts.filter((host) => host.wasMember() && !isGone(plot, host));

/** Time, in pieces, with a look at everything after each. */
async function pass({ world, checks }: Plot, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 250) {
    await world.clock.advance(Math.min(left, 250));
    checks.check();
  }
}

/** What the host answers in some seconds, if it lives; nothing when it refuses. */
async function ask<T>(plot: Plot, host: SimHost, answer: Promise<T>): Promise<T | undefined> {
  const { world } = plot;
  const { life } = host;
  let over = false;
  let value: T | undefined;
  let wrong: unknown;
  answer.then(
    (result) => {
      [over, value] = [true, result];
    },
    (error: unknown) => {
      [over, wrong] = [true, error];
    },
  );
  for (let waited = 0; !over && host.life === life && waited < 15_000; waited += 250) await pass(plot, 250);
  if (wrong === undefined || wrong instanceof SpaceError || wrong instanceof RemovalError) return value;
  world.note(`${host.name}: ${wrong}`);
  throw wrong;
}

async function allocate(plot: Plot, host: SimHost): Promise<void> {
  const endpoint = `e${Math.floor(plot.world.random.fraction() * 4)}`;
  const { life } = host;
  const given = await ask(plot, host, host.allocate(endpoint, { timeout: 5_000 }));
  if (given !== undefined && host.life === life)
    plot.checks.told.set(`${host.name} ${endpoint}`, given.address);
}

async function remove(plot: Plot, by: SimHost): Promise<void> {
  const target = pick(
    plot,
    admitted(plot).filter((host) => host !== by),
  );
  // Somebody is left who goes on.
  if (target === undefined || admitted(plot).length < 3) return;
  plot.world.note(`${by.name} removes ${target.name}`);
  if ((await ask(plot, by, meshOf(by).removal.remove(target.peer))) !== undefined) plot.removals++;
}

async function handOver(plot: Plot, by: SimHost): Promise<void> {
  const from = pick(plot, admitted(plot));
  const to = pick(
    plot,
    admitted(plot).filter((host) => host !== from),
  );
  if (from === undefined || to === undefined) return;
  plot.world.note(`${by.name} has ${from.name} hand its roles to ${to.name}`);
  const outcome = await ask(plot, by, meshOf(by).handover.handOver(from.peer, to.peer));
  plot.handovers += outcome?.handed.length ?? 0;
}

async function join(plot: Plot, issuer: SimHost): Promise<void> {
  const { world } = plot;
  if (admitted(plot).length >= HOSTS) return;
  const token = await ask(plot, issuer, issuer.invite());
  if (token === undefined || issuer.mesh === undefined) return;
  const host = world.addHost();
  const gone = new AbortController();
  const joined = host.join(token, gone.signal).catch(() => undefined);
  await ask(plot, host, joined);
  gone.abort();
  if (host.mesh === undefined) host.crash();
}

async function step(plot: Plot): Promise<void> {
  const { world } = plot;
  const dice = world.random.fraction();
  const up = pick(
    plot,
    admitted(plot).filter(({ mesh }) => mesh !== undefined),
  );
  const down = pick(
    plot,
    admitted(plot).filter(({ mesh }) => mesh === undefined),
  );
  if (dice < 0.3) up && (await allocate(plot, up));
  else if (dice < 0.43) up && (await remove(plot, up));
  else if (dice < 0.5) up && (await handOver(plot, up));
  else if (dice < 0.6) up && (await join(plot, up));
  else if (dice < 0.7) up?.crash();
  else if (dice < 0.85) down && (await ask(plot, down, down.boot()));
  else if (dice < 0.92) {
    const side = world.hosts.filter(() => world.random.fraction() < 0.5);
    world.note(`cut apart: ${side.map(({ name }) => name)}`);
    world.partition(
      side,
      world.hosts.filter((host) => !side.includes(host)),
    );
  } else world.heal();
  await pass(plot, world.random.fraction() * 4_000);
}

/** Everybody who is admitted is up, and all wires are whole. */
async function repair(plot: Plot): Promise<void> {
  const { world } = plot;
  world.heal();
  for (const host of admitted(plot)) if (host.mesh === undefined) await world.settled(host.boot());
  await pass(plot, 60_000);
}

/** All know one ring, in which each address belongs to somebody who is admitted. */
function settled(plot: Plot): boolean {
  const left = admitted(plot);
  const peers = new Set(left.map(({ peer }) => peer));
  const rings = left.map((host) => meshOf(host).space.ring());
  const owned = rings.every((ring) => ring.every(({ owner }) => owner !== undefined && peers.has(owner)));
  return owned && new Set(rings.map((ring) => JSON.stringify(ring))).size === 1;
}

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`hosts that are removed while anything happens leave their addresses to the others, and to one only (seed ${seed})`, async (t) => {
    const world = createMeshWorld({ seed: `removals ${seed}` });
    const plot: Plot = { world, checks: createChecks(world), removals: 0, handovers: 0 };
    try {
      const first = world.addHost();
      await world.settled(first.found(SMALL_RANGE));
      while (world.hosts.length < 4) await join(plot, first);
      for (let at = 0; at < STEPS; at++) await step(plot);
      await repair(plot);
      t.diagnostic(
        `${plot.removals} removals, ${plot.handovers} other heirs, ${admitted(plot).length} of ${world.hosts.length} hosts are left`,
      );
      await world.until(() => settled(plot), 120_000);
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : error}\n\n${draw(world)}`, {
        cause: error,
      });
    } finally {
      for (const host of world.hosts) host.crash();
    }
  });
}
