import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerId } from '../../src/core/ids.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';
import { createMemoryCrypto } from '../../src/ports/memory/crypto.ts';
import { createSeededRandom } from '../../src/ports/memory/random.ts';
import { createMemoryNetwork, type MemoryNetworkOptions } from '../../src/ports/memory/transport.ts';
import { DIAL_TIMEOUT, type Doorkeeper, type Link } from '../../src/ports/transport.ts';
import { DOOR, transportSuite } from './transport-suite.ts';

const OPEN: Doorkeeper = () => ({ admit: true, secret: DOOR.secret });

function createSimulation(options: Partial<MemoryNetworkOptions> = {}) {
  const clock = createVirtualClock();
  const random = createSeededRandom('transport');
  const crypto = createMemoryCrypto();
  const network = createMemoryNetwork({ clock, random, latency: 5, ...options });
  const peer = (): PeerId => crypto.peerId(crypto.publicKey(random.bytes(32)));
  return { clock, network, peer };
}

transportSuite('memory', () => {
  const { clock, network, peer } = createSimulation();
  return {
    create: async (doorkeeper) => network.transport(peer(), { doorkeeper }),
    async echo(door) {
      const transport = network.transport(peer(), {
        doorkeeper: () => ({ admit: true, secret: door.secret }),
      });
      const [address] = await transport.listen(['0.0.0.0:6783'], (link) =>
        link.receive({ message: (message) => void link.send(message), closed: () => {} }),
      );
      return { address: address as string, kill: () => transport.kill() };
    },
    blackHole: async () => '10.99.99.99:6783',
    deadPort: async () => `${network.transport(peer(), { doorkeeper: OPEN }).host}:1`,
    until: (condition) => clock.runUntil(condition),
    end: async () => {},
  };
});

/** Two linked peers, with a log of what arrives when. */
async function createPair(options: Partial<MemoryNetworkOptions> = {}) {
  const simulation = createSimulation(options);
  const { clock, network, peer } = simulation;
  const [a, b] = [peer(), peer()];
  const log: string[] = [];
  const note = (who: string, link: Link) =>
    link.receive({
      message: (message) => log.push(`${who} got ${message[0]} at ${clock.now()}`),
      closed: (reason) => log.push(`${who} closed at ${clock.now()}: ${reason}`),
    });
  const near = network.transport(a, { doorkeeper: OPEN });
  const far = network.transport(b, { doorkeeper: OPEN });
  await far.listen(['0.0.0.0:6783'], (link) => note('b', link));
  let link: Link | undefined;
  void near.dial(`${far.host}:6783`, DOOR).then((dialled) => {
    link = dialled;
    note('a', dialled);
  });
  await clock.advance(1_000);
  assert.ok(link);
  return { ...simulation, a, b, near, far, link, log };
}

test('addresses and delays are those of the plan', async () => {
  const { clock, link, near, far, log } = await createPair({ latency: 30 });
  assert.deepEqual([near.host, far.host], ['10.0.0.1', '10.0.0.2']);
  link.send(new Uint8Array([1]));
  await clock.advance(100);
  assert.deepEqual(log, ['b got 1 at 1030']);
});

test('a one-way block holds messages back, in order, until it is lifted', async () => {
  const { clock, network, link, a, b, log } = await createPair({ latency: 10 });
  link.send(new Uint8Array([1]));
  await clock.advance(5);
  network.block(a, b);
  link.send(new Uint8Array([2]));
  await clock.advance(1_000);
  link.send(new Uint8Array([3]));
  await clock.advance(5);
  network.heal();
  link.send(new Uint8Array([4]));
  await clock.advance(100);
  assert.deepEqual(
    log.map((line) => line.slice(0, 7)),
    ['b got 1', 'b got 2', 'b got 3', 'b got 4'],
  );
  assert.equal(log[0], 'b got 1 at 2020');
});

test('across a partition dials time out, and links are still there after it', async () => {
  const { clock, network, near, far, link, a, b, log } = await createPair();
  network.partition([a], [b]);
  const began = clock.now();
  let reason = '';
  near.dial(`${far.host}:6783`, DOOR).catch((error) => {
    reason = error.reason;
  });
  link.send(new Uint8Array([1]));
  await clock.runUntil(() => reason !== '');
  assert.equal(reason, 'timeout');
  assert.equal(clock.now() - began, DIAL_TIMEOUT);
  assert.deepEqual(log, []);
  network.heal();
  await clock.advance(100);
  assert.equal(log.length, 1);
});

test('a cut resets both sides and loses what was under way', async () => {
  const { clock, network, link, a, b, log } = await createPair();
  link.send(new Uint8Array([1]));
  network.cut(b, a);
  await clock.advance(100);
  assert.deepEqual(log.sort(), ['a closed at 1000: connection reset', 'b closed at 1000: connection reset']);
});

test('a killed host hears nothing more, and can come back under its address', async () => {
  const { clock, network, far, near, b, log } = await createPair();
  far.kill();
  await clock.advance(100);
  assert.deepEqual(log, ['a closed at 1005: reset by the other side']);
  const reborn = network.transport(b, { doorkeeper: OPEN, host: far.host });
  await reborn.listen(['0.0.0.0:6783'], () => log.push('linked again'));
  void near.dial(`${far.host}:6783`, DOOR);
  await clock.advance(100);
  assert.equal(log[1], 'linked again');
});

test('loss delays but neither drops nor reorders, and the same seed gives the same history', async () => {
  const run = async () => {
    const { clock, link, log } = await createPair({ loss: 0.3, latency: 3 });
    for (let index = 0; index < 100; index++) {
      link.send(new Uint8Array([index]));
      await clock.advance(10);
    }
    await clock.advance(1_000);
    return log;
  };
  const log = await run();
  assert.deepEqual(
    log.map((line) => Number(line.split(' ')[2])),
    Array.from({ length: 100 }, (_, index) => index),
  );
  assert.deepEqual(await run(), log);
});
