import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DRAIN } from '../../src/mesh/paths.ts';
import { createPathsWorld, MTU, type PathsWorld, WIRE, type WorldOptions } from './support/paths-world.ts';

async function running(options?: WorldOptions): Promise<PathsWorld> {
  const world = createPathsWorld(options);
  await world.one.start();
  await world.two.start();
  await world.clock.settle();
  return world;
}

async function up(options?: WorldOptions): Promise<PathsWorld> {
  const world = await running(options);
  await world.clock.advance(5_000);
  assert.equal(world.one.open()?.mtu, MTU);
  assert.equal(world.two.open()?.mtu, MTU);
  return world;
}

test('a trusted link is opened on both ends, and takes packets when three probes have come back', async () => {
  const { one, two, clock } = await running();
  assert.deepEqual([one.open()?.mtu, two.open()?.mtu], [null, null]);
  assert.equal(one.open()?.underlay, '192.0.2.2');
  assert.deepEqual(one.open()?.ranges, [{ start: 0x0a280000, last: 0x0a2fffff }]);
  assert.equal(one.paths.report(two.peer).kind, 'encrypted');
  await clock.advance(5_000);
  assert.equal(one.open()?.mtu, MTU);
  const { kind, reason, mtu } = one.paths.report(two.peer);
  assert.deepEqual({ kind, reason, mtu }, { kind: 'vxlan', reason: null, mtu: MTU });
});

test('what is said of a path is what the kernel does, not what is decided', async () => {
  const { one, two, clock, probes } = await running();
  const said = () => one.paths.report(two.peer);
  const { promise: routes, resolve: letRoutes } = Promise.withResolvers<void>();
  one.held = routes;
  await clock.advance(5_000);
  assert.equal(said().kind, 'encrypted');
  assert.equal(said().reason, 'the kernel has no routes by it yet');
  letRoutes();
  await clock.settle();
  assert.equal(said().kind, 'vxlan');

  const { promise: change, resolve: letChange } = Promise.withResolvers<void>();
  one.held = change;
  probes.pass(() => false);
  await clock.advance(5_000);
  assert.equal(said().kind, 'vxlan');
  letChange();
  await clock.settle();
  assert.deepEqual([said().kind, said().reason], ['encrypted', 'no probe comes back']);
});

test('where one end does not trust, nothing is opened to it and nothing is sent', async () => {
  const { one, two, clock } = await running({ two: [] });
  await clock.advance(10_000);
  assert.deepEqual(one.plans.at(-1)?.peers, []);
  assert.equal(two.plans.at(-1) ?? null, null);
  assert.match(one.paths.report(two.peer).reason ?? '', /does not trust 192\.0\.2\.1/);
  assert.equal(two.paths.report(one.peer).refusal, 'not-trusted-here');
});

test('a peer that is reached a moment after the link is trusted takes packets as soon as one reached before', async () => {
  for (const late of [10, 500, 900]) {
    const world = createPathsWorld();
    const { one, two, clock } = world;
    world.reach(two, false);
    await one.start();
    await two.start();
    await clock.advance(late);
    world.reach(two, true);
    await clock.advance(4_000 - late);
    assert.deepEqual([one.open()?.mtu, two.open()?.mtu], [MTU, MTU], `reached after ${late} ms`);
  }
});

test('a mesh made without encryption needs no list', async () => {
  const { one, two } = await up({ one: [], two: [], plain: true });
  assert.equal(one.paths.report(two.peer).kind, 'vxlan');
});

test('when trust goes the route goes at once on both ends, and the doors close later', async () => {
  const { one, two, clock } = await up();
  await two.trust.remove(WIRE);
  await two.paths.retrust();
  await clock.settle();
  for (const host of [one, two]) {
    assert.equal(host.open()?.mtu, null);
    assert.equal(host.paths.report(host === one ? two.peer : one.peer).kind, 'encrypted');
  }
  await clock.advance(DRAIN - 100);
  assert.ok(one.open() !== undefined && two.open() !== undefined, 'what is under way is still let in');
  await clock.advance(2_000);
  assert.deepEqual([one.open(), two.open()], [undefined, undefined]);
  await two.trust.add(WIRE);
  await two.paths.retrust();
  await clock.advance(5_000);
  assert.deepEqual([one.open()?.mtu, two.open()?.mtu], [MTU, MTU]);
});

test('probes that are lost one way take the path down on both ends, and it returns', async () => {
  const { one, two, clock, probes } = await up();
  const fromTwo = two.plans.at(-1)?.linkLocal;
  probes.pass((from) => from !== fromTwo);
  await clock.advance(3_000);
  assert.deepEqual([one.open()?.mtu, two.open()?.mtu], [null, null]);
  probes.pass(() => true);
  await clock.advance(6_000);
  assert.deepEqual([one.open()?.mtu, two.open()?.mtu], [MTU, MTU]);
});

test('a path that breaks while nobody uses it falls within three seconds of the first packet, whenever that comes', async () => {
  for (let idle = 500; idle < 10_000; idle += 1_500) {
    const { one, clock, probes } = await up();
    await clock.advance(60_000);
    probes.pass(() => false);
    await clock.advance(idle);
    const began = clock.now();
    while (one.open()?.mtu !== null && clock.now() - began < 10_000) {
      one.sent += 10;
      await clock.advance(100);
    }
    assert.ok(clock.now() - began < 3_000, `after ${clock.now() - began} ms, broken for ${idle} ms before`);
  }
});

test('a peer whose daemon has ended keeps its path, for its kernel goes on', async () => {
  const world = await up();
  const { one, two, clock } = world;
  await two.kill();
  world.reach(two, false);
  await clock.advance(60_000);
  assert.equal(one.open()?.mtu, MTU);
});

test('a daemon that begins again takes over what the last one left, at no moment less', async () => {
  const world = await up();
  const { one, two, clock } = world;
  await two.kill();
  world.reach(two, false);
  await clock.advance(3_000);
  const before = two.plans.length;
  await two.start();
  world.reach(two, true);
  await clock.advance(20_000);
  assert.ok(two.plans.length > before);
  for (const plan of two.plans.slice(before)) assert.equal(plan?.peers[0]?.mtu, MTU);
  assert.equal(one.open()?.mtu, MTU);
});

test('a kernel that refuses is named on both ends, and asked again', async () => {
  const world = createPathsWorld();
  world.two.refusal = 'this kernel has no VXLAN';
  await world.one.start();
  await world.two.start();
  await world.clock.advance(3_000);
  const { one, two, clock } = world;
  assert.equal(two.paths.report(one.peer).reason, 'this kernel has no VXLAN');
  assert.match(one.paths.report(two.peer).reason ?? '', /^on .*: this kernel has no VXLAN/);
  two.refusal = undefined;
  await clock.advance(30_000);
  assert.equal(one.open()?.mtu, MTU);
});

test('what was trusted or distrusted by command outlives a restart and wins over the configuration', async () => {
  const { one } = createPathsWorld();
  await one.trust.add('10.0.0.0/8');
  await one.trust.remove(WIRE);
  assert.deepEqual(one.trust.list(), [{ subnet: '10.0.0.0/8', from: 'command' }]);
  await assert.rejects(one.trust.remove(WIRE), { code: 'unknown-subnet' });
  await assert.rejects(one.trust.add('10.0.0.1/8'), { code: 'bad-request' });
  await one.trust.add(WIRE);
  assert.deepEqual(one.trust.list()[0], { subnet: WIRE, from: 'configuration' });
});
