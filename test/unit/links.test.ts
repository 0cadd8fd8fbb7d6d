import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MeshId, PeerId } from '../../src/core/ids.ts';
import { MOST } from '../../src/mesh/links/choice.ts';
import { PUBLISH_UNHURRIED } from '../../src/mesh/liveness.ts';
import { createLinksWorld, type LinksHost } from './support/links-world.ts';

/** What the host's status says of its tries. */
const errors = ({ links }: LinksHost) => links.states().map(({ lastError }) => lastError ?? '');

test('two hosts that dial each other at once end with one link, the same on both sides', async () => {
  for (let apart = 0; apart <= 12; apart++) {
    const world = createLinksWorld(['a', 'b']);
    const [a, b] = [await world.host('a'), await world.host('b')];
    a.links.connect([b.address]);
    await world.clock.advance(apart / 2);
    b.links.connect([a.address]);
    await world.clock.advance(2_000);
    assert.deepEqual([world.linked(a), world.linked(b)], [['b'], ['a']], `${apart / 2} ms apart`);
    const [fromA, fromB] = [a, b].map(({ links }) => links.neighbours()[0]?.direction);
    assert.notEqual(fromA, fromB, 'both look at the same link');
    const settled = [a.events.length, b.events.length];
    await world.clock.advance(30_000);
    assert.deepEqual([a.events.length, b.events.length], settled, 'and it stays');
  }
});

test('a greeting tells what status shows: nickname, release, addresses of both sides', async () => {
  const world = createLinksWorld(['a', 'b']);
  const [a, b] = [await world.host('a'), await world.host('b')];
  a.links.connect([b.address]);
  await world.clock.advance(100);
  const [toB] = a.links.neighbours();
  const [toA] = b.links.neighbours();
  assert.equal(toB?.nickname, 'b');
  assert.equal(toB?.address, b.address);
  assert.equal(toB?.observed, toA?.address, 'it learns how the other side sees it');
  assert.deepEqual(
    a.links.states().map(({ peer, address, direction, state }) => ({ peer, address, direction, state })),
    [{ peer: b.peer, address: b.address, direction: 'dialled', state: 'connected' }],
  );
});

test('a refusal arrives with its reason on the side that dialled, and in the log of the other', async () => {
  const other = 'ee'.repeat(32) as MeshId;
  const verdict = { ok: false, reason: 'removed', message: 'a was removed from the mesh' } as const;
  const stories = [
    { a: { mesh: other }, b: {}, said: /this peer is in mesh 5e5e/ },
    { a: {}, b: { admit: () => verdict }, said: /a was removed from the mesh/ },
    { a: { admit: () => verdict }, b: {}, said: /a was removed from the mesh/ },
  ];
  for (const { a: optionsA, b: optionsB, said } of stories) {
    const world = createLinksWorld(['a', 'b']);
    const [a, b] = [await world.host('a', optionsA), await world.host('b', optionsB)];
    a.links.connect([b.address]);
    await world.clock.advance(900);
    assert.deepEqual([world.linked(a), world.linked(b)], [[], []]);
    assert.match(errors(a).join(), said);
    assert.match(b.logged.join(), said);
    assert.deepEqual([a.events, b.events], [[], []], 'no side ever counted the link');
  }
});

test('a lost link is back within half a second, also when the larger id has to wait', async () => {
  const world = createLinksWorld(['a', 'b']);
  const [a, b] = [await world.host('a'), await world.host('b')];
  world.introduce(a, b);
  await world.clock.advance(2_000);
  world.network.cut(a.peer, b.peer);
  await world.clock.advance(500);
  assert.deepEqual([world.linked(a), world.linked(b)], [['b'], ['a']]);
  assert.deepEqual(a.events, ['up b', 'down b connection reset', 'up b']);
});

test('a link on which nothing is heard for six seconds is closed, and dialled until it is back', async () => {
  const world = createLinksWorld(['a', 'b']);
  const [a, b] = [await world.host('a'), await world.host('b')];
  world.introduce(a, b);
  await world.clock.advance(60_000);
  assert.deepEqual(a.events, ['up b'], 'beats keep an idle link alive');
  const cut = world.clock.now();
  world.network.partition([a.peer], [b.peer]);
  await world.clock.runUntil(() => a.events.length > 1, 10_000);
  const took = world.clock.now() - cut;
  assert.ok(took >= 3_900 && took <= 7_100, `closed after ${took} ms`);
  assert.match(a.events[1] ?? '', /down b silent/);
  await world.clock.advance(300_000);
  world.network.heal();
  await world.clock.advance(61_000);
  assert.deepEqual([world.linked(a), world.linked(b)], [['b'], ['a']]);
});

test('a host that restarted is linked anew though the other side still believes in the old link', async () => {
  for (const restarted of ['a', 'b']) {
    const world = createLinksWorld(['a', 'b']);
    const hosts = { a: await world.host('a'), b: await world.host('b') };
    world.introduce(hosts.a, hosts.b);
    await world.clock.advance(2_000);
    const old = hosts[restarted as 'a' | 'b'];
    const stays = restarted === 'a' ? hosts.b : hosts.a;
    // Its resets do not get through, as when a firewall comes up first.
    world.network.partition([old.peer], [stays.peer]);
    old.transport.kill();
    old.clock.stop();
    const reborn = await world.host(restarted);
    world.network.unblock(reborn.peer, stays.peer);
    world.network.unblock(stays.peer, reborn.peer);
    reborn.links.connect([stays.address]);
    await world.clock.advance(1_500);
    assert.deepEqual(world.linked(reborn).length, 1, `${restarted} restarted`);
    assert.equal(stays.links.neighbours()[0]?.boot === undefined, false);
    assert.deepEqual(world.linked(stays), [restarted]);
  }
});

test('a host that slept does not blame its neighbours', async () => {
  const world = createLinksWorld(['a', 'b']);
  const a = await world.host('a');
  const b = await world.host('b');
  world.introduce(a, b);
  await world.clock.advance(2_000);
  // The machine of `a` stops for ten seconds: its next tick comes late, and finds what the kernel kept.
  const { now } = a.clock;
  let asleep = 0;
  Object.assign(a.clock, { now: () => now() + asleep });
  asleep = 10_000;
  await world.clock.advance(5_000);
  assert.deepEqual(a.events, ['up b']);
});

test('own addresses and addresses of others are not dialled twice', async () => {
  const world = createLinksWorld(['a', 'b', 'c']);
  const [a, b] = [await world.host('a'), await world.host('b')];
  a.links.connect([a.address, b.address]);
  await world.clock.advance(5_000);
  assert.deepEqual(world.linked(a), ['b']);
  assert.deepEqual(errors(a).filter(Boolean), [], 'its own address is out of the game');

  // What is written down as the address of c leads to b.
  a.book.learn(world.peerOf('c'), [b.address]);
  a.membershipChanged();
  await world.clock.advance(5_000);
  assert.deepEqual(a.book.addresses(world.peerOf('c')), []);
  assert.deepEqual(a.events, ['up b']);
});

test('an address told to connect to is tried though another link is there already', async () => {
  const world = createLinksWorld(['a', 'b', 'c']);
  const [a, b] = [await world.host('a'), await world.host('b')];
  a.links.connect([b.address, '10.0.0.2:6783']);
  await world.clock.advance(30_000);
  assert.deepEqual(world.linked(a), ['b']);
  await world.host('c');
  await world.clock.advance(60_000);
  assert.deepEqual(world.linked(a), ['b', 'c']);
});

test('who is removed is told so and loses its link at once', async () => {
  const removed = new Set<PeerId>();
  const world = createLinksWorld(['a', 'b']);
  const a = await world.host('a', { isMember: (peer) => !removed.has(peer) });
  const b = await world.host('b');
  world.introduce(a, b);
  await world.clock.advance(2_000);
  removed.add(b.peer);
  a.membershipChanged();
  await world.clock.advance(10);
  assert.deepEqual(world.linked(a), []);
  assert.match(b.events.at(-1) ?? '', /down a removed: you are no member/);
  assert.deepEqual(a.book.addresses(b.peer), []);
});

test('a link that both sides can do without is given up seconds after others were told not to count on it', async () => {
  const world = createLinksWorld([...'abcdefghijk']);
  const busy = { degreeOf: () => MOST + 2, isUp: () => true };
  const a = await world.host('a', busy);
  const others: LinksHost[] = [];
  for (const name of 'bcdefghijk') others.push(await world.host(name, busy));
  const retired = new Map<PeerId, number>();
  const given = new Map<PeerId, number>();
  a.links.watch({
    retired: ({ peer }) => void retired.set(peer, world.clock.now()),
    down: ({ peer }) => void given.set(peer, world.clock.now()),
  });
  a.links.connect(others.map(({ address }) => address));
  await world.clock.runUntil(() => a.links.neighbours().length === others.length);
  await world.clock.runUntil(() => a.links.lasting().length === MOST);
  assert.equal(a.links.neighbours().length, others.length, 'they work until then');
  await world.clock.advance(PUBLISH_UNHURRIED + 6_000);
  assert.equal(a.links.neighbours().length, MOST);
  assert.deepEqual([...given.keys()].sort(), [...retired.keys()].sort());
  for (const [peer, at] of given) {
    const waited = at - (retired.get(peer) ?? at);
    assert.ok(waited > PUBLISH_UNHURRIED + 1_000, `${waited} ms`);
  }
});

test('a full host refuses, but makes room for one that has no link at all', async () => {
  const world = createLinksWorld(['a', 'b', 'c', 'd']);
  const degreeOf = (name: string) => (name === 'b' ? 5 : 1);
  const a = await world.host('a', { degree: 1, degreeOf });
  const [b, c] = [await world.host('b'), await world.host('c')];
  b.links.connect([a.address]);
  await world.clock.advance(100);
  c.links.connect([a.address]);
  await world.clock.advance(100);
  assert.deepEqual(world.linked(a), ['c'], 'b had to go, for it has others');
  assert.match(b.events.at(-1) ?? '', /busy: room is needed/);

  const d = await world.host('d');
  d.links.connect([a.address]);
  await world.clock.advance(100);
  assert.match(errors(d).join(), /has 1 links, which is all it takes/);
  assert.deepEqual(world.linked(a), ['c'], 'c has no other');
});

test('the address that worked last is the first to be tried, and is known after a restart', async () => {
  const world = createLinksWorld(['a', 'b']);
  const [a, b] = [await world.host('a'), await world.host('b')];
  a.book.learn(b.peer, ['10.9.9.9:1', '10.9.9.8:1', b.address]);
  await world.clock.advance(100);
  assert.deepEqual(world.linked(a), ['b']);
  assert.deepEqual(a.book.addresses(b.peer), [b.address, '10.9.9.9:1', '10.9.9.8:1']);
});

test('a closing host says so, and makes and takes no more links', async () => {
  const world = createLinksWorld(['a', 'b']);
  const [a, b] = [await world.host('a'), await world.host('b')];
  world.introduce(a, b);
  await world.clock.advance(2_000);
  a.links.close();
  await world.clock.advance(10);
  assert.match(b.events.at(-1) ?? '', /down a closing: this peer is shutting down/);
  await world.clock.advance(20_000);
  assert.deepEqual([world.linked(a), world.linked(b)], [[], []]);
});

test('noise on a link is ignored, noise in a greeting ends it', async () => {
  const world = createLinksWorld(['a', 'b']);
  const [a, b] = [await world.host('a'), await world.host('b')];
  world.introduce(a, b);
  await world.clock.advance(2_000);
  const secret = new Uint8Array(32);
  const raw = await dialRaw(world.clock, () => a.transport.dial(b.address, { name: 'epoch/x/1', secret }));
  const closed: string[] = [];
  raw.receive({ message() {}, closed: (reason) => closed.push(reason) });
  for (const bytes of [Uint8Array.of(), Uint8Array.of(0xc1), Uint8Array.of(0x91, 0x63)]) raw.send(bytes);
  await world.clock.advance(4_000);
  assert.equal(closed.length, 0, 'what cannot be read is passed over');
  raw.send(Uint8Array.of(0x91, 0x02));
  await world.clock.advance(1_000);
  assert.equal(closed.length, 1);
  assert.match(b.logged.join(), /unexpected message in a greeting: ready/);
  assert.deepEqual(world.linked(b), ['a'], 'the real link is not touched');
});

test('a stranger that connects and says nothing is shown out after five seconds', async () => {
  const world = createLinksWorld(['a', 'b']);
  const [a, b] = [await world.host('a'), await world.host('b')];
  const secret = new Uint8Array(32);
  const raw = await dialRaw(world.clock, () => a.transport.dial(b.address, { name: 'epoch/x/1', secret }));
  const closed: number[] = [];
  raw.receive({ message() {}, closed: () => closed.push(world.clock.now()) });
  const start = world.clock.now();
  await world.clock.advance(7_000);
  assert.equal(closed.length, 1);
  assert.ok((closed[0] ?? 0) - start <= 5_600);
});

async function dialRaw<T>(clock: { advance(ms: number): Promise<void> }, dial: () => Promise<T>): Promise<T> {
  const dialled = dial();
  await clock.advance(20);
  return dialled;
}
