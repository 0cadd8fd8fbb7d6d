import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type FormedMesh, type FormedPeer, formMesh, NOTE, type Traffic } from './formed.ts';

/**
 * How long things take among many peers, in virtual time: 0.5 ms one way inside each of four sites, 10 to 80 ms between them.
 */
export interface TimesOptions {
  readonly peers: number;
  readonly seed: number | string;
  readonly onProgress?: (what: string) => void;
}

export interface ChangeTimes {
  readonly peers: number;
  /** Until half, 99 % and all of the peers have seen a change, ms: the worst of several, one in each site. */
  readonly half: number;
  readonly most: number;
  readonly all: number;
  /** Of the process, in use after a collection, MB: heap and buffers. */
  readonly memory: number;
}

export interface HealTimes {
  readonly peers: number;
  /** From the first whole wire to the first link across, ms. */
  readonly firstLink: number;
  /** From that link until 99 % and all peers have everything that the other side wrote, ms. */
  readonly most: number;
  readonly all: number;
  readonly newRecords: number;
  readonly bytesPerPeer: number;
  /** As ChangeTimes.memory, but the most while it heals, messages on their way included. */
  readonly memory: number;
}

export interface SteadyTraffic {
  readonly peers: number;
  readonly changesPerSecond: number;
  /** Of one peer, sent, per second. */
  readonly messages: number;
  readonly bytes: number;
  readonly beats: number;
  /** Deltas that arrived, news and known ones, per second and peer. */
  readonly fresh: number;
  readonly duplicates: number;
  readonly verifications: number;
  /** Until 99 % of the peers have seen a change, ms: in the middle, and of the slowest one in a hundred. */
  readonly seen: number;
  readonly seenWorst: number;
}

const SITES = 4;
/** One-way milliseconds between sites. */
const BETWEEN = [
  [0.5, 10, 40, 80],
  [10, 0.5, 35, 75],
  [40, 35, 0.5, 50],
  [80, 75, 50, 0.5],
];
export const siteOf = (number: number) => number % SITES;
export const betweenSites = (from: number, to: number) => BETWEEN[siteOf(from)]?.[siteOf(to)] ?? 0;
const STEP = 5;
const LIMIT = 30_000;
/** While it heals memory is looked at so often. */
const LOOKS = 8;

export async function measureChange(options: TimesOptions): Promise<ChangeTimes> {
  const mesh = await formMesh(options);
  mesh.setLatency(betweenSites);
  await mesh.clock.advance(5_000);
  const worst = { half: 0, most: 0, all: 0 };
  for (let site = 0; site < SITES; site++) {
    const seen = await spread(mesh, mesh.peers[site] as FormedPeer, `change ${site}`);
    worst.half = Math.max(worst.half, at(seen, 0.5));
    worst.most = Math.max(worst.most, at(seen, 0.99));
    worst.all = Math.max(worst.all, at(seen, 1));
    options.onProgress?.(`a change of site ${site}: 99 % after ${at(seen, 0.99).toFixed(0)} ms`);
  }
  return { peers: options.peers, ...worst, memory: memory() };
}

/** When each peer has seen the change, ms after it was asked for, sorted. */
async function spread(mesh: FormedMesh, author: FormedPeer, text: string): Promise<readonly number[]> {
  const begun = mesh.clock.now();
  const seen: number[] = [];
  const stops = mesh.peers.map(({ records }) =>
    records.watch(NOTE, ({ value }) => {
      if (value === text) seen.push(mesh.clock.now() - begun);
    }),
  );
  await author.records.put(NOTE, text);
  await until(mesh, () => seen.length === mesh.peers.length);
  for (const stop of stops) stop();
  return seen;
}

/** The time at which this share of the peers was there. */
function at(times: readonly number[], share: number): number {
  return times[Math.ceil(times.length * share) - 1] ?? Number.NaN;
}

/** Two halves of the sites that were apart and wrote; then the wires are whole again. */
export async function measureHeal(options: TimesOptions & { apart?: number }): Promise<HealTimes> {
  const { peers: count, apart = 20_000 } = options;
  const sideOf = (number: number) => siteOf(number) >> 1;
  const mesh = await formMesh({
    ...options,
    groupOf: sideOf,
    note: (number) => `written apart by ${number}`,
  });
  const { clock, network, peers } = mesh;
  const sides = [0, 1].map((side) =>
    peers.filter(({ number }) => sideOf(number) === side).map(({ peer }) => peer),
  );
  network.partition(...sides);
  mesh.setLatency(betweenSites);
  await clock.advance(apart);
  options.onProgress?.(`apart for ${apart / 1_000} s`);

  let firstLink: number | undefined;
  const complete: number[] = [];
  const begun = clock.now();
  const members = new Set(sides[0]);
  let arrived = 0;
  for (const one of peers) {
    const lacking = sides[1 - sideOf(one.number)]?.length ?? 0;
    let news = 0;
    one.records.watch(NOTE, () => {
      arrived++;
      if (++news === lacking) complete.push(clock.now() - (firstLink ?? begun));
    });
    one.links.watch({
      up: ({ peer }) => {
        if (members.has(peer) !== members.has(one.peer)) firstLink ??= clock.now();
      },
    });
  }
  const before = { ...mesh.traffic };
  network.heal();
  const all = peers.reduce((sum, { number }) => sum + (sides[1 - sideOf(number)]?.length ?? 0), 0);
  let most = 0;
  for (let look = 1; look <= LOOKS; look++) {
    await until(mesh, () => arrived * LOOKS >= all * look);
    most = Math.max(most, memory());
    options.onProgress?.(
      `${Math.round((100 * look) / LOOKS)} % of all has arrived after ${clock.now() - begun} ms`,
    );
  }
  await until(mesh, () => complete.length === count);
  return {
    peers: count,
    firstLink: (firstLink ?? begun) - begun,
    most: at(complete, 0.99),
    all: at(complete, 1),
    newRecords: count,
    bytesPerPeer: (mesh.traffic.bytes - before.bytes) / count,
    memory: most,
  };
}

/** What a peer sends and receives while others change something now and then. */
export async function measureSteady(
  options: TimesOptions & { changesPerSecond: number; seconds: number },
): Promise<SteadyTraffic> {
  const { peers: count, changesPerSecond, seconds } = options;
  const mesh = await formMesh(options);
  mesh.setLatency(betweenSites);
  await mesh.clock.advance(12_000);
  const before: Traffic = { ...mesh.traffic, byType: [...mesh.traffic.byType] };
  const counted = counters(mesh);
  const begun = new Map<string, number>();
  const arrivals = new Map<string, number[]>();
  for (const { records } of mesh.peers) {
    records.watch(NOTE, ({ value }) => {
      const text = value as string;
      arrivals.get(text)?.push(mesh.clock.now() - (begun.get(text) as number));
    });
  }
  for (let change = 0; change < changesPerSecond * seconds; change++) {
    const author = mesh.peers[Math.floor(mesh.random.fraction() * count)] as FormedPeer;
    // About what the record of a peer takes.
    const text = `${change} `.repeat(20);
    begun.set(text, mesh.clock.now());
    arrivals.set(text, []);
    void author.records.put(NOTE, text);
    await mesh.clock.advance(1_000 / changesPerSecond);
  }
  const after = counters(mesh);
  const sent: Traffic = { ...mesh.traffic, byType: [...mesh.traffic.byType] };
  await mesh.clock.advance(3_000);
  const seen = [...arrivals.values()]
    .filter((times) => times.length === count)
    .map((times) => at(times, 0.99))
    .sort((a, b) => a - b);
  const each = (total: number) => total / count / seconds;
  const beats = (sent.byType[4] ?? 0) - (before.byType[4] ?? 0);
  return {
    peers: count,
    changesPerSecond,
    messages: each(sent.messages - before.messages),
    bytes: each(sent.bytes - before.bytes),
    beats: each(beats),
    fresh: each(after.fresh - counted.fresh),
    duplicates: each(after.duplicates - counted.duplicates),
    verifications: each(after.verifications - counted.verifications),
    seen: at(seen, 0.5),
    seenWorst: at(seen, 0.99),
  };
}

function counters({ peers }: FormedMesh) {
  const sum = { fresh: 0, duplicates: 0, verifications: 0 };
  for (const { gossip } of peers) {
    sum.fresh += gossip.counters.fresh;
    sum.duplicates += gossip.counters.duplicates;
    sum.verifications += gossip.counters.verifications;
  }
  return sum;
}

async function until({ clock }: FormedMesh, condition: () => boolean): Promise<void> {
  const end = clock.now() + LIMIT;
  while (!condition()) {
    if (clock.now() >= end) throw new Error(`not within ${LIMIT} ms of virtual time`);
    await clock.advance(STEP);
  }
}

/** Heap and buffers in use, MB. */
export function memory(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // Buffers are given back by the second.
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return Math.round((heapUsed + external) / 1e6);
}
