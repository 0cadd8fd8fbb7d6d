import assert from 'node:assert/strict';
import { formatIpv4, type Range } from '../../src/core/address.ts';
import { sizeOf } from '../../src/core/ranges.ts';
import { JoinError } from '../../src/mesh/join.ts';
import { SpaceError } from '../../src/mesh/space.ts';
import { draw } from './drawing.ts';
import { ALL_FAULTS, drawFault, type FaultName, mendAll } from './faults.ts';
import { assertTraffic, assertWholeRing, type Checks, createChecks, rest } from './mesh-checks.ts';
import { createMeshWorld, type MeshWorld, RANGE, type SimHost } from './mesh-world.ts';

/**
 * Random stories of joins, allocations, claims, crashes and broken wires on whole hosts. At every moment no address is used twice, none
 * that was promised is missing, and every ring is whole. When all is repaired, everybody is a member, all agree, nothing waits any more,
 * and packets flow. All that happens follows from the seed.
 */
export interface StoryOptions {
  readonly seed: number | string;
  readonly hosts: number;
  /** Operations and faults. */
  readonly steps: number;
  readonly faults?: readonly FaultName[];
  readonly range?: Range;
  /** Called when all hosts are there and before anything happens. */
  readonly prepare?: (world: MeshWorld) => void;
  /** Called after each step. */
  readonly onProgress?: (progress: Progress) => void;
}

export interface Progress {
  readonly step: number;
  /** Virtual milliseconds since the beginning. */
  readonly time: number;
  readonly world: MeshWorld;
}

export interface StoryEnd {
  /** What was begun, by kind, and what came of it. */
  readonly operations: Readonly<Record<string, number>>;
  readonly refusals: number;
  /** Virtual milliseconds. */
  readonly time: number;
}

/** What a story came to that must never happen; the message holds the seed and a drawing. */
export class StoryError extends Error {
  readonly seed: number | string;
  constructor(seed: number | string, cause: unknown, drawing: string) {
    const problem = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    super(`seed ${seed}: ${problem}\n\n${drawing}`, { cause });
    this.name = 'StoryError';
    this.seed = seed;
  }
}

export const SMALL_RANGE: Range = { start: RANGE.start, last: RANGE.start + 255 };
const TINY_RANGE: Range = { start: RANGE.start, last: RANGE.start + 63 };
const ENDPOINTS = ['a', 'b', 'c', 'd', 'e'];
const TEN_YEARS = 10 * 365 * 86_400_000;
/** Patience of an allocation, and what its answer may take on top of that. */
const ALLOCATION = 10_000;
const ALLOWANCE = 1_500;
/** A joiner waits this long for its issuer at each of its steps: see mesh/join.ts. */
const JOINING = 3 * 90_000 + 10_000;
const REPAIR = 180_000;
/** Of the steps; the others are operations. */
const FAULTY_STEPS = 0.4;

interface Story {
  readonly world: MeshWorld;
  readonly checks: Checks;
  readonly faults: readonly FaultName[];
  readonly range: Range;
  /** The token that each host was given last. */
  readonly tokens: Map<SimHost, string>;
  /** What is under way, and until when it has to have come to an end. */
  readonly open: Set<Operation>;
  readonly operations: Record<string, number>;
  refusals: number;
  /** What no story may see; thrown at the next check. */
  readonly failures: unknown[];
}

interface Operation {
  readonly what: string;
  readonly until: number;
  readonly over: () => boolean;
}

/** The range by seed: in small ones addresses run out, so that hosts have to give each other some. */
export function rangeOf(seed: number): Range {
  return [RANGE, SMALL_RANGE, TINY_RANGE][seed % 3] as Range;
}

/** Rejects with StoryError. */
export async function tellStory(options: StoryOptions): Promise<StoryEnd> {
  const { seed, hosts, steps, faults = ALL_FAULTS, range = RANGE, prepare, onProgress } = options;
  const world = createMeshWorld({ seed: `mesh ${seed}` });
  const checks = createChecks(world);
  const story: Story = {
    world,
    checks,
    faults,
    range,
    tokens: new Map(),
    open: new Set(),
    operations: {},
    refusals: 0,
    failures: [],
  };
  // In a daemon it would go to the log at best, and whoever waits for it would wait for ever.
  const unhandled = (error: unknown) =>
    void story.failures.push(new Error('a rejection that nobody handles', { cause: error }));
  process.on('unhandledRejection', unhandled);
  try {
    for (let at = 0; at < hosts; at++) {
      world.addHost({ wallOffset: (world.random.fraction() - 0.5) * 2 * TEN_YEARS });
    }
    await world.settled((world.hosts[0] as SimHost).found(range));
    prepare?.(world);
    for (let at = 0; at < steps; at++) {
      await step(story);
      onProgress?.({ step: at + 1, time: world.clock.now(), world });
    }
    await repair(story);
    assertWholeRing(world.hosts, range === RANGE);
    await use(story);
    return { operations: story.operations, refusals: story.refusals, time: world.clock.now() };
  } catch (error) {
    throw new StoryError(seed, error, draw(world));
  } finally {
    for (const host of world.hosts) host.crash();
    process.off('unhandledRejection', unhandled);
  }
}

function pick<T>({ world }: Story, from: readonly T[]): T | undefined {
  return from[Math.floor(world.random.fraction() * from.length)];
}

interface Begun<T> {
  /** First word: the kind. */
  readonly what: string;
  readonly limit: number;
  readonly run: () => Promise<T>;
  readonly done?: (value: T) => void;
  readonly allowed?: (error: unknown) => boolean;
  /** After an error, allowed or not. */
  readonly failed?: (error: unknown) => void;
}

/** Watches an operation: it ends in time unless its host does not live to see it. */
function begin<T>(story: Story, host: SimHost, { what, limit, run, done, allowed, failed }: Begun<T>): void {
  const { world, open, operations } = story;
  const { life, disk } = host;
  const kind = what.split(' ')[0] as string;
  operations[kind] = (operations[kind] ?? 0) + 1;
  world.note(`${host.name} ${what}`);
  let settled = false;
  const errors = disk.failures();
  open.add({
    what: `${host.name} ${what}`,
    until: world.clock.now() + limit,
    over: () => settled || host.life !== life,
  });
  run().then(
    (value) => {
      settled = true;
      if (host.life === life) done?.(value);
    },
    (error: unknown) => {
      settled = true;
      if (host.life !== life) return;
      story.refusals++;
      world.note(`${host.name} ${what}: ${error instanceof Error ? error.message.slice(0, 160) : error}`);
      if (!allowed?.(error) && disk.failures() === errors) story.failures.push(error);
      failed?.(error);
    },
  );
}

function isRefusal(error: unknown): boolean {
  return error instanceof SpaceError && error.code !== 'bad-grant';
}

/** For a new or an old endpoint, anywhere, at an address that was drawn, or at one that somebody uses. */
function allocate(story: Story, host: SimHost): void {
  const { world, checks, range } = story;
  const endpoint = pick(story, ENDPOINTS) as string;
  const dice = world.random.fraction();
  const number = range.start + 1 + Math.floor(world.random.fraction() * Math.min(1_024, sizeOf(range) - 2));
  // One that is asked for again keeps what it has.
  const wanted =
    dice < 0.3 ? formatIpv4(number) : dice < 0.4 ? pick(story, [...checks.told.values()]) : undefined;
  begin(story, host, {
    what: wanted === undefined ? `allocates for ${endpoint}` : `claims ${wanted} for ${endpoint}`,
    limit: ALLOCATION + ALLOWANCE,
    run: () => host.allocate(endpoint, { timeout: ALLOCATION, ...(wanted === undefined ? {} : { wanted }) }),
    done({ address }) {
      const all = host.mesh?.space.allocations() ?? [];
      // Unless it was released meanwhile, and perhaps asked for again.
      if (all.some((one) => one.endpoint === endpoint && one.address === address))
        checks.told.set(`${host.name} ${endpoint}`, address);
    },
    allowed: isRefusal,
  });
}

function release(story: Story, host: SimHost): void {
  const endpoint = pick(story, ENDPOINTS) as string;
  story.checks.told.delete(`${host.name} ${endpoint}`);
  begin(story, host, {
    what: `releases ${endpoint}`,
    limit: ALLOWANCE,
    run: () => host.release(endpoint),
  });
}

/** With the token that it has, or one of any member: what a person would try next. */
async function join(story: Story, host: SimHost): Promise<void> {
  const { world, tokens } = story;
  const issuer = pick(story, world.running());
  let token = tokens.get(host);
  if (issuer !== undefined && (token === undefined || world.random.fraction() < 0.3)) {
    token = await world.settled(whileAlive(story, issuer, issuer.invite())).catch(() => undefined);
    if (token === undefined) return;
    tokens.set(host, token);
    world.note(`${issuer.name} invites ${host.name}`);
  }
  if (token === undefined) return;
  const text = token;
  begin(story, host, {
    what: 'joins',
    limit: JOINING,
    run: () => host.join(text),
    allowed: (error) => error instanceof JoinError,
    // A daemon that is a member now and cannot start ends.
    failed: (error) => void (error instanceof JoinError || host.crash()),
  });
}

/** What the host answers; undefined soon after its life has ended, since then it never will. */
async function whileAlive<T>({ world }: Story, host: SimHost, answer: Promise<T>): Promise<T | undefined> {
  const { life } = host;
  let settled = false;
  const end = () => {
    settled = true;
  };
  answer.then(end, end);
  const dead = async () => {
    while (host.life === life && !settled) {
      await new Promise<void>((resolve) => void world.clock.setTimer(20, resolve));
    }
    return undefined;
  };
  return Promise.race([answer, dead()]);
}

async function step(story: Story): Promise<void> {
  const { world, faults } = story;
  const { random } = world;
  if (faults.length > 0 && random.fraction() < FAULTY_STEPS) await strike(story);
  else await operate(story);
  await pass(story, random.fraction() < 0.25 ? random.fraction() * 6_000 : random.fraction() * 150);
}

async function strike(story: Story): Promise<void> {
  const { world, faults, operations } = story;
  const fault = drawFault(faults, world.random.fraction());
  const host = pick(story, world.hosts) as SimHost;
  const other = pick(story, world.hosts) as SimHost;
  operations.faults = (operations.faults ?? 0) + 1;
  await fault?.strike({ world, host, other, start: (one) => bootUp(story, one) });
}

async function operate(story: Story): Promise<void> {
  const { world } = story;
  const dice = world.random.fraction();
  const up = pick(story, world.running());
  if (dice < 0.5) up && allocate(story, up);
  else if (dice < 0.63) up && release(story, up);
  else if (dice < 0.66) up && (await stop(story, up));
  else {
    const out = world.hosts.filter((one) => one.mesh === undefined && !isJoining(story, one));
    const host = pick(story, out);
    if (host === undefined) return;
    await bootUp(story, host);
    if (host.mesh === undefined && !host.isMember()) await join(story, host);
  }
}

const isJoining = ({ open }: Story, host: SimHost) =>
  [...open].some(({ what, over }) => what === `${host.name} joins` && !over());

/** A daemon that cannot start ends; whoever watches over it starts it again later. */
async function bootUp(story: Story, host: SimHost): Promise<void> {
  if (host.mesh !== undefined || isJoining(story, host)) return;
  const { world } = story;
  world.note(`${host.name} starts`);
  const failed = host.disk.failures();
  const { life } = host;
  try {
    await world.settled(whileAlive(story, host, host.boot()), 5_000);
  } catch (error) {
    world.note(`${host.name} cannot start: ${error}`);
    const wasKilled = host.life !== life;
    if (!wasKilled) host.crash();
    if (!wasKilled && host.disk.failures() === failed) throw error;
  }
}

async function stop(story: Story, host: SimHost): Promise<void> {
  const { world } = story;
  const { life } = host;
  const failed = host.disk.failures();
  try {
    await world.settled(whileAlive(story, host, host.stop()), 5_000);
  } catch (error) {
    if (host.life === life) host.crash();
    if (host.disk.failures() === failed) throw error;
  }
}

/** Time, in pieces, with a look at everything after each. */
async function pass(story: Story, ms: number): Promise<void> {
  const { world, checks, open, failures } = story;
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
  const { world, faults, open } = story;
  world.note('everything is repaired');
  mendAll(world, faults);
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
    [...open].map(({ what }) => what),
    [],
    'nothing waits any more',
  );
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
