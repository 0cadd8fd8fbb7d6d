import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { PluginAnswer } from '../../src/daemon/stand-in/call.ts';
import { DISMISS } from '../../src/daemon/stand-in/dismiss.ts';
import { createStandIn, PATIENCE, SILENCE, type StandIn } from '../../src/daemon/stand-in/stand-in.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';
import { type Answer, callPlugin } from '../contract/support/docker-replay.ts';
import { silentLog } from '../hosts/log.ts';
import { until } from '../lab/wait.ts';

type World = Awaited<ReturnType<typeof createWorld>>;
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-stand-in-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** A stand-in on a socket of its own, under a virtual clock; `weftd` is what its calls are led to. */
async function createWorld({ lent = false } = {}) {
  const clock = createVirtualClock();
  const socket = join(folder, 'weft.sock');
  const refused = () => Promise.reject(Object.assign(new Error('nobody'), { code: 'ECONNREFUSED' }));
  const world = { ours: true, removed: 0, serving: false, ended: false };
  let weftd: (method: string) => Promise<PluginAnswer> = refused;
  const standIn: StandIn = createStandIn({
    listen(server) {
      world.serving = true;
      server.listen(socket);
    },
    call: (method) => weftd(method),
    socket: { lent, isOurs: () => world.ours, remove: () => void world.removed++ },
    scope: 'local',
    clock,
    log: silentLog,
  });
  void standIn.ended.then(() => {
    world.ended = true;
  });
  return {
    ...standIn,
    world,
    clock,
    answer(reply: typeof weftd) {
      weftd = reply;
    },
    ask: (method: string, body = '{}') => callPlugin(socket, method, body),
    /** Resolves to the call's answer once it is held. */
    async hold(method: string): Promise<{ readonly answer: Promise<Answer> }> {
      const before = clock.pending();
      const answer = callPlugin(socket, method, '{}');
      await until('the call to be held', () => clock.pending() > before);
      return { answer };
    },
    /** Moves time until the promise is settled: calls on real sockets take no virtual time. */
    async settled<T>(promise: Promise<T>): Promise<T> {
      let done = false;
      const noted = promise.finally(() => {
        done = true;
      });
      await until('an answer', async () => {
        if (!done) await clock.advance(100);
        return done;
      });
      return noted;
    },
  };
}

const hangs = async (world: World) => {
  await world.clock.advance(SILENCE + 500);
  assert.ok(world.world.serving);
};

test('it accepts nothing while weftd gives signs of life', async () => {
  const world = await createWorld();
  for (let beats = 0; beats < 20; beats++) {
    await world.clock.advance(SILENCE - 500);
    world.beat();
  }
  assert.equal(world.world.serving, false);
  world.stop();
  await world.ended;
});

test('what is the same in every answer it says at once', async () => {
  const world = await createWorld();
  await hangs(world);
  const { status, body } = await world.ask('Plugin.Activate', '');
  assert.deepEqual([status, body], [200, { Implements: ['NetworkDriver', 'IpamDriver'] }]);
  world.stop();
  await world.ended;
});

test('another call waits for weftd to come back and is answered by it', async () => {
  const world = await createWorld();
  await hangs(world);
  const held = await world.hold('NetworkDriver.Join');
  world.answer(async (method) => ({ status: 200, body: { Took: method } }));
  world.beat();
  const { status, body } = await world.settled(held.answer);
  assert.deepEqual([status, body], [200, { Took: 'NetworkDriver.Join' }]);
  await world.ended;
});

test('what weftd refuses then is refused in its words', async () => {
  const world = await createWorld();
  await hangs(world);
  const held = await world.hold('IpamDriver.RequestAddress');
  world.answer(async () => ({ status: 500, body: { Err: 'weft: no address left' } }));
  world.beat();
  const { status, body } = await world.settled(held.answer);
  assert.deepEqual([status, body.Err], [500, 'weft: no address left']);
});

test('no call waits longer than until weftd has been silent for ten seconds, however many there are', async () => {
  const world = await createWorld();
  await hangs(world);
  const held = await world.hold('NetworkDriver.Leave');
  await world.clock.advance(PATIENCE);
  const { status, body } = await held.answer;
  assert.equal(status, 500);
  assert.match(String(body.Err), /no answer from weftd, which hangs.*weft up/);
  const second = await world.ask('NetworkDriver.DeleteEndpoint');
  assert.match(String(second.body.Err), /no answer from weftd/);
  world.stop();
  await world.ended;
});

test('after the end of weftd it serves at once, and hands over to the next one', async () => {
  const world = await createWorld();
  world.orphan();
  assert.ok(world.world.serving);
  const held = await world.hold('NetworkDriver.CreateEndpoint');
  assert.equal((await world.ask(DISMISS)).status, 200);
  assert.equal(world.world.removed, 1);
  await world.clock.advance(1_000);
  world.answer(async () => ({ status: 200, body: { By: 'the next' } }));
  assert.deepEqual((await world.settled(held.answer)).body, { By: 'the next' });
  await world.ended;
});

test('one whose weftd only hangs does not make room', async () => {
  const world = await createWorld();
  await hangs(world);
  assert.equal((await world.ask(DISMISS)).status, 500);
  assert.deepEqual([world.world.removed, world.world.ended], [0, false]);
  world.stop();
  await world.ended;
});

test('where systemd holds the socket it ends with weftd, for calls wait there', async () => {
  const world = await createWorld({ lent: true });
  world.orphan();
  await world.ended;
  assert.deepEqual([world.world.serving, world.world.removed], [false, 0]);
});

test('it ends when its socket is taken away or replaced', async () => {
  const world = await createWorld();
  world.orphan();
  world.world.ours = false;
  await world.clock.advance(1_000);
  await world.ended;
  assert.equal(world.world.removed, 0);
});
