import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSimulation, type SimulatedPeer, type Simulation } from './simulation.ts';

/**
 * How long things take, in virtual time, between peers in four clouds: 0.5 ms one way inside each, 10 to 80 ms between them. Stories about
 * news have a hundred peers; those in which many links change have fewer, because it takes long to simulate them:
 * WEFT_SIM_PEERS=100 gives the same results. The stories follow each other on one mesh; nothing is random but the seed.
 */
const SEED = 'latency';
const MANY = 100;
const SOME = Number(process.env.WEFT_SIM_PEERS ?? 40);
const CLOUDS = 4;
/** One-way milliseconds between clouds. */
const BETWEEN = [
  [0.5, 10, 40, 80],
  [10, 0.5, 35, 75],
  [40, 35, 0.5, 50],
  [80, 75, 50, 0.5],
];
const STEP = 5;

const cloudOf = (number: number) => number % CLOUDS;
const latency = (from: number, to: number) => BETWEEN[cloudOf(from)]?.[cloudOf(to)] ?? 0;
let simulation: Simulation;

/** Milliseconds until the condition holds. */
async function measure(condition: () => boolean, limit: number): Promise<number> {
  const start = simulation.clock.now();
  await simulation.until(condition, limit, STEP);
  return simulation.clock.now() - start;
}

/** A peer of this cloud. */
function peerOf(cloud: number): SimulatedPeer {
  const found = simulation.running().find((_, number) => cloudOf(number) === cloud);
  assert.ok(found, `no peer in cloud ${cloud} (seed ${SEED})`);
  return found;
}

const share = (holds: (peer: SimulatedPeer) => boolean) => {
  const all = simulation.running();
  return all.filter(holds).length / all.length;
};

const inside = (value: number, least: number, most: number, what: string) =>
  assert.ok(
    value >= least && value <= most,
    `${what} took ${value} ms, not ${least} … ${most} (seed ${SEED})`,
  );

async function begin(peers: number): Promise<void> {
  simulation = createSimulation({ peers, seed: SEED, latency });
  await simulation.start();
}

test('99 of 100 peers see a change within half a second', async () => {
  await begin(MANY);
  for (let cloud = 0; cloud < CLOUDS; cloud++) {
    const { peer, life } = peerOf(cloud);
    void life?.records.put('note', cloud);
    const knows = (other: SimulatedPeer) => other.life?.records.get(peer, 'note') === cloud;
    inside(await measure(() => share(knows) >= 0.99, 5_000), 0, 500, `a change in cloud ${cloud}`);
  }
});

test('a message finds its way to every peer in less than half a second', async () => {
  const from = peerOf(0);
  const answers = simulation
    .running()
    .filter((other) => other !== from)
    .map((other) => {
      if (other.life?.messenger !== undefined) {
        other.life.messenger.handle('echo', (_, body) => body);
      }
      return from.life?.messenger.request(other.peer, 'echo', other.name);
    });
  let answered = 0;
  for (const answer of answers) {
    answer?.then(
      () => answered++,
      () => {},
    );
  }
  inside(await measure(() => answered === MANY - 1, 5_000), 1, 500, 'asking every peer');
});

test('hosts have six to eight links, a few more, and none has few', async () => {
  await begin(SOME);
  // Until the superfluous links of the start are given up.
  await simulation.clock.advance(20_000);
  const degrees = simulation.running().map(({ life }) => life?.links.neighbours().length ?? 0);
  degrees.sort((a, b) => a - b);
  assert.ok((degrees[0] ?? 0) >= 4, `fewest: ${degrees[0]} (seed ${SEED})`);
  const middle = degrees[SOME / 2] ?? 0;
  assert.ok(middle >= 6 && middle <= 9, `median: ${middle} (seed ${SEED})`);
  assert.ok((degrees.at(-1) ?? 0) <= 64);
});

test('a peer that lost its power is noticed by all after three to ten seconds', async () => {
  const victim = peerOf(1);
  victim.vanish();
  const misses = ({ life }: SimulatedPeer) => life?.liveness.isUp(victim.peer) === false;
  const first = await measure(() => share(misses) > 0, 20_000);
  inside(first, 3_000, 10_000, 'the first to notice');
  inside(first + (await measure(() => share(misses) === 1, 20_000)), 3_000, 10_000, 'all to notice');
});

test('a peer that was killed is noticed by all within three seconds, and back soon after its start', async () => {
  const victim = peerOf(2);
  victim.kill();
  const sees = ({ life }: SimulatedPeer) => life?.liveness.isUp(victim.peer) === true;
  inside(await measure(() => share(sees) === 0, 20_000), 1_000, 3_000, 'missing it');
  await victim.boot();
  inside(await measure(() => share(sees) === 1 && simulation.agree(), 20_000), 1, 3_000, 'its return');
});

test('a partition is healed within a second of its first link, and that link comes within two seconds', async () => {
  const { network, running, agree, seeEachOther, clock } = simulation;
  const all = running();
  const [left, right] = [0, 1].map((side) => all.filter((_, number) => cloudOf(number) >> 1 === side));
  assert.ok(left && right);
  network.partition(
    left.map(({ peer }) => peer),
    right.map(({ peer }) => peer),
  );
  await measure(() => seeEachOther(left) && seeEachOther(right), 30_000);
  for (const { life, name } of all) void life?.records.put('split', name);
  await clock.advance(60_000);
  assert.ok(agree(left) && agree(right) && !agree());

  network.heal();
  const across = () => left.some(({ life }) => right.some(({ peer }) => life?.links.neighbour(peer)));
  inside(await measure(across, 30_000), 1, 2_000, 'the first link across');
  inside(await measure(() => share(hasAllOf(all)) === 1, 30_000), 0, 1_000, 'healing after the first link');
  inside(await measure(() => agree() && seeEachOther(), 60_000), 0, 10_000, 'quiet after healing');
});

/** Knows what everybody wrote during the partition. */
function hasAllOf(all: readonly SimulatedPeer[]) {
  return ({ life }: SimulatedPeer) =>
    all.every(({ peer, name }) => life?.records.get(peer, 'split') === name);
}
