import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JoinError } from '../../src/mesh/join.ts';
import { SpaceError } from '../../src/mesh/space.ts';
import { assertTraffic, assertWholeRing, type Checks, createChecks, rest } from './mesh-checks.ts';
import { createMeshWorld, type MeshWorld, type SimHost } from './mesh-world.ts';

/**
 * Random stories of joins, allocations, crashes and broken wires. At every moment no address is used twice and every ring is whole; when
 * all is repaired, everybody who wanted to is a member, all agree, and packets flow. More: WEFT_SIM_SEEDS=2000 node --test FILE.
 */
const SEEDS = Number(process.env.WEFT_SIM_SEEDS ?? 30);
const FIRST_SEED = Number(process.env.WEFT_SIM_FIRST_SEED ?? 1);
const STEPS = 40;
const ENDPOINTS = ['a', 'b', 'c', 'd'];
/** Patience of an allocation, and what its answer may take on top of that. */
const ALLOCATION = 10_000;
const ALLOWANCE = 1_500;
/** A joiner waits this long for its issuer at each of its steps: see mesh/join.ts. */
const JOINING = 3 * 90_000 + 10_000;
const REPAIR = 180_000;

interface Story {
  readonly world: MeshWorld;
  readonly checks: Checks;
  /** The token that each host was given last. */
  readonly tokens: Map<SimHost, string>;
  /** What is under way, and until when it has to have come to an end. */
  readonly open: Set<{ readonly what: string; readonly until: number; readonly over: () => boolean }>;
}

function pick<T>({ world }: Story, from: readonly T[]): T | undefined {
  return from[Math.floor(world.random.fraction() * from.length)];
}

/** Watches an operation: it ends in time unless its host does not live to see it. */
function begin<T>(
  story: Story,
  host: SimHost,
  what: string,
  limit: number,
  run: () => Promise<T>,
  done: (value: T) => void,
  allowed: (error: unknown) => boolean,
): void {
  const { world, open } = story;
  const { life } = host;
  world.note(`${host.name} ${what}`);
  let settled = false;
  open.add({
    what: `${host.name} ${what}`,
    until: world.clock.now() + limit,
    over: () => settled || host.life !== life,
  });
  run().then(
    (value) => {
      settled = true;
      if (host.life === life) done(value);
    },
    (error: unknown) => {
      settled = true;
      if (host.life !== life) return;
      world.note(`${host.name} ${what}: ${error instanceof Error ? error.message.slice(0, 160) : error}`);
      if (!allowed(error)) failures.push(error);
    },
  );
}

/** Errors that no story may see; thrown at the next check. */
const failures: unknown[] = [];

function isRefusal(error: unknown): boolean {
  return error instanceof SpaceError && error.code !== 'bad-grant';
}

function allocate(story: Story, host: SimHost): void {
  const { world, checks } = story;
  const endpoint = pick(story, ENDPOINTS) as string;
  const key = `${host.name} ${endpoint}`;
  // An endpoint that is asked for again keeps what it has.
  const others = [...checks.told.values()];
  const dice = world.random.fraction();
  const somewhere = `10.32.${Math.floor(world.random.fraction() * 4)}.${1 + Math.floor(world.random.fraction() * 8)}`;
  const wanted = dice < 0.3 ? somewhere : dice < 0.4 ? pick(story, others) : undefined;
  const what = `allocates for ${endpoint}${wanted === undefined ? '' : ` the address ${wanted}`}`;
  const run = () =>
    host.allocate(endpoint, { timeout: ALLOCATION, ...(wanted === undefined ? {} : { wanted }) });
  begin(
    story,
    host,
    what,
    ALLOCATION + ALLOWANCE,
    run,
    ({ address }) => {
      const held = host.mesh?.space.allocations().some((one) => one.endpoint === endpoint);
      // Released again meanwhile.
      if (held) checks.told.set(key, address);
    },
    isRefusal,
  );
}

function release(story: Story, host: SimHost): void {
  const endpoint = pick(story, ENDPOINTS) as string;
  story.checks.told.delete(`${host.name} ${endpoint}`);
  const run = () => host.release(endpoint);
  begin(
    story,
    host,
    `releases ${endpoint}`,
    ALLOWANCE,
    run,
    () => {},
    () => false,
  );
}

/** With the token that it has, or one of any member: what a person would try next. */
async function join(story: Story, host: SimHost): Promise<void> {
  const { world, tokens } = story;
  const issuer = pick(story, world.running());
  let token = tokens.get(host);
  if (issuer !== undefined && (token === undefined || world.random.fraction() < 0.3)) {
    token = await world.settled(issuer.invite()).catch(() => undefined);
    if (token === undefined) return;
    tokens.set(host, token);
    world.note(`${issuer.name} invites ${host.name}`);
  }
  if (token === undefined) return;
  const text = token;
  begin(
    story,
    host,
    'joins',
    JOINING,
    () => host.join(text),
    () => {},
    (error) => error instanceof JoinError,
  );
}

async function step(story: Story): Promise<void> {
  const { world } = story;
  const { random, hosts } = world;
  const host = pick(story, hosts) as SimHost;
  const other = pick(story, hosts) as SimHost;
  const up = pick(story, world.running());
  const dice = random.fraction();
  if (dice < 0.3) up && allocate(story, up);
  else if (dice < 0.37) up && release(story, up);
  else if (dice < 0.6) {
    const out = hosts.filter((one) => one.mesh === undefined && !isJoining(story, one));
    const joiner = pick(story, out);
    if (joiner?.isMember()) await bootUp(story, joiner);
    else if (joiner !== undefined) await join(story, joiner);
  } else if (dice < 0.68) host.crash();
  else if (dice < 0.71) await stop(story, host);
  else if (dice < 0.78) await bootUp(story, host);
  else if (dice < 0.83 && host !== other) {
    world.note(`nothing passes from ${host.name} to ${other.name}`);
    world.block(host, other);
  } else if (dice < 0.88) {
    const side = hosts.filter(() => random.fraction() < 0.5);
    world.note(`cut apart: ${side.map(({ name }) => name)}`);
    world.partition(
      side,
      hosts.filter((one) => !side.includes(one)),
    );
  } else if (dice < 0.95) {
    world.note('healed');
    world.heal();
  } else {
    const slow = 1 + Math.floor(random.fraction() * 150);
    world.note(`packets take ${slow} ms and more`);
    world.setLatency((from, to) => slow + ((from * 5 + to * 3) % 7) * 10);
  }
  await pass(story, random.fraction() < 0.25 ? random.fraction() * 6_000 : random.fraction() * 150);
}

const isJoining = ({ open }: Story, host: SimHost) =>
  [...open].some(({ what, over }) => what === `${host.name} joins` && !over());

async function bootUp(story: Story, host: SimHost): Promise<void> {
  if (host.mesh !== undefined || isJoining(story, host)) return;
  story.world.note(`${host.name} starts`);
  await story.world.settled(host.boot(), 2_000);
}

async function stop(story: Story, host: SimHost): Promise<void> {
  if (host.mesh !== undefined) await story.world.settled(host.stop(), 5_000);
}

/** Time, in pieces, with a look at everything after each. */
async function pass(story: Story, ms: number): Promise<void> {
  const { world, checks, open } = story;
  for (let left = ms; left > 0; left -= 500) {
    await world.clock.advance(Math.min(left, 500));
    checks.check();
    for (const one of open) {
      if (one.over()) open.delete(one);
      else assert.ok(world.clock.now() < one.until, `${one.what}: still waiting`);
    }
    if (failures.length > 0) throw failures.shift();
  }
}

/** Everything works again, and everybody tries once more what did not succeed. */
async function repair(story: Story): Promise<void> {
  const { world } = story;
  world.note('everything is repaired');
  world.heal();
  for (const host of world.hosts) await bootUp(story, host);
  await pass(story, 15_000);
  const end = world.clock.now() + REPAIR;
  for (;;) {
    const out = world.hosts.filter(({ mesh }) => mesh === undefined);
    if (out.length === 0) break;
    assert.ok(world.clock.now() < end, `${out.map(({ name }) => name)} cannot join`);
    for (const host of out) if (!isJoining(story, host)) await join(story, host);
    await pass(story, 3_000);
  }
  await rest(world, REPAIR);
  await pass(story, ALLOCATION + ALLOWANCE);
  assert.deepEqual(
    [...story.open].map(({ what }) => what),
    [],
    'nothing waits any more',
  );
}

async function tell(seed: number): Promise<void> {
  const world = createMeshWorld({ seed: `mesh ${seed}` });
  const story: Story = { world, checks: createChecks(world), tokens: new Map(), open: new Set() };
  failures.length = 0;
  try {
    for (let at = 0; at < 3 + (seed % 4); at++) {
      world.addHost({ wallOffset: (world.random.fraction() - 0.5) * 20 * 365 * 86_400_000 });
    }
    await world.settled((world.hosts[0] as SimHost).found());
    for (let at = 0; at < STEPS; at++) await step(story);
    await repair(story);
    assertWholeRing(world.hosts);
    await use(story);
  } catch (error) {
    const last = world.trace.slice(-60).join('\n');
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new Error(`seed ${seed}: ${message}\nwhat happened:\n${last}`, { cause: error });
  } finally {
    for (const host of world.hosts) host.crash();
  }
}

/** Each host allocates, and packets flow between all. */
async function use({ world, checks }: Story): Promise<void> {
  const addresses = new Map<SimHost, string>();
  for (const host of world.hosts) {
    addresses.set(host, (await world.settled(host.allocate('last'), 15_000)).address);
  }
  await rest(world, 10_000);
  await world.clock.advance(100);
  checks.check();
  await assertTraffic(world, addresses);
}

for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
  test(`whatever happened, a repaired mesh is whole and no address was ever used twice (seed ${seed})`, () =>
    tell(seed));
}
