import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RETRY } from '../../src/core/relay.ts';
import { rest } from './mesh-checks.ts';
import { createMeshWorld, type MeshWorld, packetOf, type SimHost, textOf } from './mesh-world.ts';

/** Walls for datagrams between whole hosts: who carries, who takes over, and how long packets do not pass meanwhile, in virtual time. */

const STEP = 100;
/** ms until a path counts as blocked and somebody carries; and until questions by one who died have been missed, too. */
const FOUND = 8_000;
/** ms after which a path that works again is used: some good answers in a row. */
const RETURNED = 4 * RETRY + 2_000;

/** ms after which everybody has heard of it: hosts whose paths come and go tell of them rarely. */
const TOLD = 20_000;

interface Scene {
  readonly world: MeshWorld;
  readonly hosts: readonly SimHost[];
  readonly addresses: ReadonlyMap<SimHost, string>;
}

async function createScene(seed: number | string, size: number): Promise<Scene> {
  const world = createMeshWorld({ seed, latency: 10, relays: true });
  const [first] = [world.addHost()];
  await world.settled(first.found());
  for (let at = 1; at < size; at++) {
    await world.settled(world.addHost().join(await world.settled(first.invite())), 10_000);
  }
  await rest(world, 30_000);
  const addresses = new Map<SimHost, string>();
  for (const host of world.hosts) addresses.set(host, (await world.settled(host.allocate('web'))).address);
  return { world, hosts: world.hosts, addresses };
}

/** Both send to each other all the while; resolves to how many ms passed until a packet of each had arrived that left after this began. */
async function untilPassing(
  { world, addresses }: Scene,
  a: SimHost,
  b: SimHost,
  limit: number,
): Promise<number> {
  const begun = world.clock.now();
  const text = `since ${begun}`;
  const isThere = ({ received }: SimHost) => received.some((packet) => textOf(packet) === text);
  const send = (from: SimHost, to: SimHost) => {
    const [source = '', destination = ''] = [addresses.get(from), addresses.get(to)];
    from.datapath?.send(packetOf(source, destination, text));
  };
  while (!isThere(a) || !isThere(b)) {
    const took = world.clock.now() - begun;
    assert.ok(
      took < limit,
      `nothing passes between ${a.name} and ${b.name} for ${took} ms\n${drawingOf(world)}`,
    );
    send(a, b);
    send(b, a);
    await world.clock.advance(STEP);
  }
  return world.clock.now() - begun;
}

const pathOf = (from: SimHost, to: SimHost) => from.relays?.status(to.peer);
const ends = (a: SimHost, b: SimHost) => JSON.stringify([pathOf(a, b), pathOf(b, a)]);
const isRelayed = (a: SimHost, b: SimHost, by: SimHost) =>
  pathOf(a, b)?.by === by.peer && pathOf(b, a)?.by === by.peer;
const isDirect = (a: SimHost, b: SimHost) =>
  [pathOf(a, b), pathOf(b, a)].every((path) => path?.direct === 'works');

async function during(
  scene: Scene,
  a: SimHost,
  b: SimHost,
  condition: () => boolean,
  limit: number,
): Promise<number> {
  const begun = scene.world.clock.now();
  while (!condition()) {
    assert.ok(scene.world.clock.now() - begun < limit, `${condition}: ${ends(a, b)}`);
    await untilPassing(scene, a, b, limit);
  }
  return scene.world.clock.now() - begun;
}

test('a pair with a wall between is carried within seconds, by another host when that one dies, and goes directly when the wall falls', async () => {
  const scene = await createScene('one wall', 5);
  const { world, hosts } = scene;
  const [a, b] = hosts as [SimHost, SimHost];
  await untilPassing(scene, a, b, 1_000);
  world.wall(a, b);
  const carried = await untilPassing(scene, a, b, FOUND);
  const by = () => hosts.find(({ peer }) => peer === pathOf(a, b)?.by) as SimHost;
  await during(scene, a, b, () => by() !== undefined && isRelayed(a, b, by()), FOUND);
  assert.ok(carried > 1_000, 'while nothing was known nothing passed');

  const first = by();
  first.crash();
  await untilPassing(scene, a, b, FOUND);
  await during(scene, a, b, () => by() !== first && isRelayed(a, b, by()), FOUND);

  world.heal();
  const back = await during(scene, a, b, () => isDirect(a, b), RETURNED);
  assert.ok(back >= RETRY, 'one good answer is not enough');
  assert.equal(by(), undefined);
  const carries = () => hosts.some((host) => (host.relays?.pairs() ?? 0) > 0);
  await world.until(() => !carries(), TOLD);
});

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 98, 107, 115];
const STEPS = 40;
/** What a host tells of walls may be old where they come and go: who is asked to carry in vain costs some seconds. */
const SORTED_OUT = 30_000;
/** A path that has fallen again and again is used after two dozen good answers, one each RETRY. */
const ALL_RETURNED = 26 * RETRY + 10_000;

for (const seed of SEEDS) {
  test(`whatever walls come and go and whoever dies, packets pass where a host that lives reaches both ends: seed ${seed}`, async () => {
    const scene = await createScene(`walls ${seed}`, 6);
    const { world, hosts } = scene;
    const any = () => hosts[Math.floor(world.random.fraction() * hosts.length)] as SimHost;
    const pairs = () => {
      const up = world.running();
      return up.flatMap((a, at) => up.slice(at + 1).map((b) => [a, b] as const));
    };
    const canPass = (a: SimHost, b: SimHost) =>
      world.passes(a, b) || world.running().some((c) => world.passes(a, c) && world.passes(c, b));
    let relayed = 0;
    for (let step = 0; step < STEPS; step++) {
      const dice = world.random.fraction();
      const [one, other] = [any(), any()];
      if (dice < 0.6 && one !== other) world.wall(one, other);
      else if (dice < 0.7) world.heal();
      else if (one.mesh === undefined) await world.settled(one.boot());
      else if (world.running().length > 3) one.crash();
      await world.clock.advance(world.random.fraction() * 5_000);
      for (const [a, b] of pairs()) {
        if (!canPass(a, b)) continue;
        await untilPassing(scene, a, b, SORTED_OUT);
        if (pathOf(a, b)?.by !== undefined) relayed++;
      }
    }
    assert.ok(relayed > 0, 'somebody was relayed');
    world.heal();
    for (const host of hosts) if (host.mesh === undefined) await world.settled(host.boot());
    for (const [a, b] of pairs()) await during(scene, a, b, () => isDirect(a, b), ALL_RETURNED);
  });
}

/** A line for each host: to each other one whether datagrams pass, what the host believes, and who carries. */
function drawingOf(world: MeshWorld): string {
  const { hosts } = world;
  const cell = (from: SimHost, to: SimHost) => {
    const { direct = '-', by, proven = false } = pathOf(from, to) ?? {};
    const carrier = hosts.find(({ peer }) => peer === by)?.name ?? '';
    return `${world.passes(from, to) ? 'open' : 'wall'} ${direct} ${carrier}${proven ? '' : '?'}`;
  };
  return hosts
    .map((from) => `${from.name}: ${hosts.map((to) => cell(from, to).padEnd(18)).join('| ')}`)
    .join('\n');
}
