import type { PeerId } from '../../src/core/ids.ts';
import { RemovalError } from '../../src/mesh/removal.ts';
import { SpaceError } from '../../src/mesh/space.ts';
import { draw } from './drawing.ts';
import { createChecks, meshOf } from './mesh-checks.ts';
import { createMeshWorld, type MeshWorld, type SimHost } from './mesh-world.ts';
import { SMALL_RANGE } from './story.ts';

/**
 * Random stories in which heirs hand their roles over, and hosts are removed that are up, down or on the other side of a cut, by whom it comes to mind, while others
 * allocate, crash, come back and join. At every moment no address is used by two hosts that are admitted, and none that was promised to
 * one of them is missing. When all wires are whole and all hosts up, the addresses of those that are gone belong to those that are left: by itself,
 * or once somebody has done what the status of a host says.
 */
const HOSTS = 6;
const STEPS = 40;
/** From when on what has not settled is stuck, ms. */
const PATIENCE = 120_000;

interface Plot {
  readonly world: MeshWorld;
  /** Private seed of the mesh's root key. */
  readonly root: Uint8Array;
  readonly checks: ReturnType<typeof createChecks>;
  removals: number;
  /** Peers that have got another heir. */
  handovers: number;
}

const pick = <T>({ world }: Plot, from: readonly T[]): T | undefined =>
  from[Math.floor(world.random.fraction() * from.length)];

/** As any host that runs, and does not know that it was removed itself, knows. */
const isGone = ({ world }: Plot, { peer }: SimHost) =>
  world.running().some((host) => {
    const { membership } = meshOf(host);
    return membership.isRemoved(peer) && (host.peer === peer || !membership.isRemoved(host.peer));
  });
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
  // Whether a host was removed is known when all others are up.
  const down = () => admitted(plot).filter(({ mesh }) => mesh === undefined);
  while (down().length > 0) {
    for (const host of down()) await world.settled(host.boot());
    await pass(plot, 60_000);
  }
}

/** All know one ring, in which each address belongs to somebody who is admitted. */
function settled(plot: Plot): boolean {
  const left = admitted(plot);
  const peers = new Set(left.map(({ peer }) => peer));
  const rings = left.map((host) => meshOf(host).space.ring());
  const owned = rings.every((ring) => ring.every(({ owner }) => owner !== undefined && peers.has(owner)));
  return owned && new Set(rings.map((ring) => JSON.stringify(ring))).size === 1;
}

/** What a user does whom the status of a host tells to do something; undefined when it tells nothing. */
async function heed({ world, root }: Plot, host: SimHost): Promise<string | undefined> {
  const { removal, space, membership } = meshOf(host);
  const name = (peer: PeerId) => world.hosts.find((one) => one.peer === peer)?.name ?? peer;
  const rootless = space.inheritance.waiting().find(({ taker }) => taker === undefined);
  if (rootless !== undefined) {
    await world.settled(removal.recover(rootless.peer, root, false));
    return `${host.name} recovers from the loss of ${name(rootless.peer)} with the root key`;
  }
  const owners = new Set(space.ring().map(({ owner }) => owner));
  const outsider = membership.outsiders().find((peer) => owners.has(peer));
  // Down for good, or told that it was removed by who had been removed itself.
  const lost = membership.members().find((peer) => {
    const there = world.hosts.find((one) => one.peer === peer)?.mesh;
    return there === undefined || there.membership.isRemoved(peer);
  });
  const useless = outsider ?? lost;
  if (useless === undefined) return undefined;
  await world.settled(removal.remove(useless));
  return `${host.name} removes ${name(useless)}, which ${useless === outsider ? 'a removed host let in' : 'is lost'}`;
}

/** Until all has settled; what had to be done for it. Rejects when something is stuck and no host says what to do. */
async function settle(plot: Plot): Promise<readonly string[]> {
  const { world } = plot;
  const helped: string[] = [];
  for (;;) {
    const end = world.clock.now() + PATIENCE;
    while (!settled(plot) && world.clock.now() < end) await pass(plot, 1_000);
    if (settled(plot)) return helped;
    let done: string | undefined;
    for (const host of admitted(plot)) done ??= await heed(plot, host);
    if (done === undefined) throw new Error(`not settled in ${PATIENCE} ms, and no host says what to do`);
    world.note(done);
    helped.push(done);
    await repair(plot);
  }
}

export interface RemovalsTold {
  /** What had to be done by hand at the end, with the seed. */
  readonly helped: readonly string[];
  readonly removals: number;
  readonly handovers: number;
  readonly left: number;
  readonly hosts: number;
}

/** Rejects with an error that holds the seed and a drawing. */
export async function tellRemovals(seed: number): Promise<RemovalsTold> {
  const world = createMeshWorld({ seed: `removals ${seed}` });
  try {
    const first = world.addHost();
    await world.settled(first.found(SMALL_RANGE));
    const root = meshOf(first).membership.rootSeed() as Uint8Array;
    const plot: Plot = { world, root, checks: createChecks(world), removals: 0, handovers: 0 };
    while (world.hosts.length < 4) await join(plot, first);
    for (let at = 0; at < STEPS; at++) await step(plot);
    await repair(plot);
    const helped = (await settle(plot)).map((line) => `seed ${seed}: ${line}`);
    const { removals, handovers } = plot;
    return { removals, handovers, helped, left: admitted(plot).length, hosts: world.hosts.length };
  } catch (error) {
    const problem = error instanceof Error ? error.stack : error;
    throw new Error(`seed ${seed}: ${problem}\n\n${draw(world)}`, { cause: error });
  } finally {
    for (const host of world.hosts) host.crash();
  }
}
