import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSimulation, type SimulatedPeer, type Simulation, withSeed } from './simulation.ts';

/**
 * Random stories of writes, lost links, partitions and crashes. They say nothing about time: only that when all is repaired, every peer
 * holds the same records, and those are what their authors were told they had written.
 */
const SEEDS = Number(process.env.WEFT_SIM_SEEDS ?? 12);
const FIRST_SEED = Number(process.env.WEFT_SIM_FIRST_SEED ?? 1);
const STEPS = 60;
const KEYS = ['a', 'b', 'ring/0-7', 'ring/8-15', 'note'];

interface Written {
  /** What `put` has resolved for. */
  promised: number | undefined;
  /** What was asked for since, and may or may not have reached the disk. */
  attempted: (number | undefined)[];
}

/** What each author wrote, by `peer key`. */
type Ledger = Map<string, Written>;

function pick<T>(simulation: Simulation, from: readonly T[]): T {
  return from[Math.floor(simulation.random.fraction() * from.length)] as T;
}

function write(simulation: Simulation, { peer, life }: SimulatedPeer, ledger: Ledger, value: number): void {
  if (life === undefined) return;
  const changes = new Map<string, number | undefined>();
  const count = 1 + Math.floor(simulation.random.fraction() * 3);
  for (let at = 0; at < count; at++) {
    changes.set(pick(simulation, KEYS), simulation.random.fraction() < 0.2 ? undefined : value);
  }
  const written = [...changes].map(([key, wanted]) => {
    const entry = ledger.get(`${peer} ${key}`) ?? { promised: undefined, attempted: [] };
    ledger.set(`${peer} ${key}`, entry);
    entry.attempted.push(wanted);
    return { entry, wanted };
  });
  const keep = () => {
    for (const { entry, wanted } of written) {
      entry.attempted.splice(0, entry.attempted.indexOf(wanted) + 1);
      entry.promised = wanted;
    }
  };
  life.records.putAll(changes).then(keep, () => {});
}

/** One thing that happens. */
async function step(simulation: Simulation, ledger: Ledger, at: number): Promise<void> {
  const { clock, network, peers, random } = simulation;
  const one = pick(simulation, peers);
  const other = pick(simulation, peers);
  const dice = random.fraction();
  if (dice < 0.5) write(simulation, one, ledger, at);
  else if (dice < 0.65) network.cut(one.peer, other.peer);
  else if (dice < 0.7 && one !== other) network.block(one.peer, other.peer);
  else if (dice < 0.75) network.unblock(one.peer, other.peer);
  else if (dice < 0.8) {
    const side = peers.filter(() => random.fraction() < 0.5).map(({ peer }) => peer);
    network.partition(
      side,
      peers.map(({ peer }) => peer).filter((peer) => !side.includes(peer)),
    );
  } else if (dice < 0.85) network.heal();
  else if (dice < 0.88 && one.life !== undefined) one.kill();
  else if (dice < 0.9 && one.life !== undefined) one.vanish();
  else if (dice < 0.92 && one.life !== undefined) await one.stop();
  else if (one.life === undefined) await one.boot();
  await clock.advance(random.fraction() < 0.3 ? random.fraction() * 8_000 : random.fraction() * 100);
}

async function repair({ network, peers, until, agree, seeEachOther }: Simulation): Promise<void> {
  for (const peer of peers) if (peer.life === undefined) await peer.boot();
  network.heal();
  await until(() => seeEachOther() && agree(), 300_000, 100);
}

function checkLedger({ peers }: Simulation, ledger: Ledger): void {
  const [witness] = peers;
  for (const [name, { promised, attempted }] of ledger) {
    const [author, key] = name.split(' ') as [SimulatedPeer['peer'], string];
    const value = witness?.life?.records.get(author, key);
    const possible = [promised, ...attempted];
    assert.ok(possible.includes(value as number), `${name} is ${value}, not one of ${possible}`);
  }
}

for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
  test(`whatever happened, repaired peers hold what was promised (seed ${seed})`, () =>
    withSeed(seed, async () => {
      const latency = (from: number, to: number) => 1 + ((from * 7 + to * 7) % 50);
      const simulation = createSimulation({ peers: 3 + (seed % 5), seed, latency, loss: 0.02 });
      const ledger: Ledger = new Map();
      await simulation.start();
      for (let at = 1; at <= STEPS; at++) await step(simulation, ledger, at);
      await repair(simulation);
      checkLedger(simulation, ledger);
      assert.ok(ledger.size > 0);
    }));
}

test('more peers than link to all of each other survive the same', () =>
  withSeed('many', async (seed) => {
    const simulation = createSimulation({ peers: 24, seed, latency: (from, to) => 1 + ((from + to) % 40) });
    const ledger: Ledger = new Map();
    await simulation.start();
    for (let at = 1; at <= 30; at++) await step(simulation, ledger, at);
    await repair(simulation);
    checkLedger(simulation, ledger);
  }));

test('the same seed tells the same story twice, another seed another one', async () => {
  const story = async (seed: number) => {
    const simulation = createSimulation({ peers: 5, seed, loss: 0.05 });
    const ledger: Ledger = new Map();
    await simulation.start();
    for (let at = 1; at <= 25; at++) await step(simulation, ledger, at);
    await repair(simulation);
    return [...simulation.trace, JSON.stringify(simulation.peers[0]?.life?.records.replica.digest())].join(
      '\n',
    );
  };
  const first = await story(7);
  assert.equal(await story(7), first);
  assert.notEqual(await story(8), first);
});
