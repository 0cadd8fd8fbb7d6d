/* SECURITY.md 33: who carries for others, who has something carried, and who only says so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RELAY_BYTES, type UdpEndpoint } from '../../src/ports/datapath.ts';
import { isCarried, parseRelayed, writeRelayed } from '../../src/ports/memory/datagram.ts';
import {
  createForwardingWorld,
  endpoint,
  type ForwardingWorld,
  type Host,
} from '../unit/support/forwarding-world.ts';

interface Seen {
  readonly from: UdpEndpoint;
  readonly to: UdpEndpoint;
  readonly datagram: Uint8Array;
}

/** Two hosts with a wall between them, a third that carries, and every datagram on the wire; `passes` says what becomes of it. */
interface Relayed {
  readonly world: ForwardingWorld;
  readonly a: Host;
  readonly b: Host;
  readonly carrier: Host;
  readonly seen: Seen[];
  passes: (one: Seen) => boolean;
}

async function create(): Promise<Relayed> {
  const world = createForwardingWorld();
  const [a, b, carrier] = [
    await world.start({ relay: 'on' }),
    await world.start({ relay: 'on' }),
    await world.start({ relay: 'on' }),
  ];
  const wall = [a.outer, b.outer];
  const story: Relayed = { world, a, b, carrier, seen: [], passes: () => true };
  world.wire.setFilter((from, to, datagram) => {
    const one = { from, to, datagram: datagram.slice() };
    story.seen.push(one);
    return !(wall.includes(from.address) && wall.includes(to.address)) && story.passes(one);
  });
  const isRelayed = (here: Host, there: Host) => {
    const status = here.relays.status(there.peer);
    return status?.by === carrier.peer && status.proven;
  };
  for (let round = 0; !(isRelayed(a, b) && isRelayed(b, a)); round++) {
    assert.ok(round < 300, 'the pair is relayed within 30 s');
    a.send(b);
    b.send(a);
    await world.clock.advance(100);
    world.shared.sync();
  }
  await world.clock.advance(20);
  for (const host of [a, b, carrier]) host.received.length = 0;
  return story;
}

const dropsOf = (host: Host) => host.datapath.counters().drops;

/** What a sends to b on its first part of the way: stopped there. */
async function taken(story: Relayed): Promise<Uint8Array> {
  const { world, a, b, carrier } = story;
  const first = (one: Seen) =>
    one.from.address === a.outer &&
    one.to.address === carrier.outer &&
    isCarried(one.datagram) &&
    one.datagram.length > 60;
  story.seen.length = 0;
  story.passes = (one) => !first(one);
  a.send(b);
  await world.clock.advance(10);
  story.passes = () => true;
  const found = story.seen.find(first);
  assert.ok(found);
  assert.deepEqual(b.received, []);
  return found.datagram;
}

test('a stranger has nothing carried, not even what a member has sent so (SECURITY.md 33)', async () => {
  const story = await create();
  const { world, b, carrier } = story;
  const datagram = await taken(story);
  const before = dropsOf(carrier).relayStranger;
  const stranger = world.wire.bind('203.0.113.9', 6783, () => assert.fail('nothing comes back'));
  for (let count = 0; count < 5; count++) world.wire.send(stranger, endpoint(carrier.outer), datagram);
  await world.clock.advance(10);
  assert.equal(dropsOf(carrier).relayStranger - before, 5n);
  assert.deepEqual(b.received, []);
});

test('what is carried is one datagram for one, and not longer: nobody is flooded by way of another (SECURITY.md 33)', async () => {
  const story = await create();
  const { world, a, carrier } = story;
  const datagram = await taken(story);
  story.seen.length = 0;
  world.wire.send(endpoint(a.outer), endpoint(carrier.outer), datagram);
  await world.clock.advance(10);
  const onward = story.seen.filter(
    ({ from, datagram: one }) => from.address === carrier.outer && isCarried(one),
  );
  assert.deepEqual(
    onward.map(({ datagram: one }) => one.length),
    [datagram.length],
  );
});

test('what is to be carried back, to nobody, or twice is dropped by who should carry it (SECURITY.md 33)', async () => {
  const story = await create();
  const { world, a, carrier } = story;
  const datagram = await taken(story);
  const header = parseRelayed(datagram);
  assert.ok(header);
  const inner = datagram.subarray(RELAY_BYTES);
  // By the same key and from the same place, as a member that misbehaves would.
  const own = story.seen.map(({ to, datagram: one }) =>
    to.address === a.outer ? parseRelayed(one)?.name : undefined,
  );
  const [nameOfA] = own.filter((name) => name !== undefined);
  const send = (bytes: Uint8Array) => world.wire.send(endpoint(a.outer), endpoint(carrier.outer), bytes);
  const before = dropsOf(carrier);
  send(writeRelayed({ type: 4, index: header.index, name: 4711n }, inner));
  send(writeRelayed({ type: 4, index: header.index, name: nameOfA ?? 0n }, inner));
  send(writeRelayed({ type: 4, index: header.index, name: header.name }, datagram));
  story.seen.length = 0;
  await world.clock.advance(10);
  assert.equal(dropsOf(carrier).relayNowhere - before.relayNowhere, 2n);
  assert.equal(dropsOf(carrier).rxMalformed - before.rxMalformed, 1n);
  assert.deepEqual(
    story.seen.filter(({ from, datagram: one }) => from.address === carrier.outer && isCarried(one)),
    [],
  );
});

test('who carries can change, repeat or hold back what it carries, and gets nothing of that believed (SECURITY.md 33)', async () => {
  const story = await create();
  const { world, a, b, carrier } = story;
  const toB = ({ from, to, datagram }: Seen) =>
    from.address === carrier.outer && to.address === b.outer && isCarried(datagram) && datagram.length > 60;
  story.seen.length = 0;
  a.send(b);
  await world.clock.advance(10);
  assert.deepEqual(b.received, [a.inner]);
  const found = story.seen.find(toB);
  assert.ok(found);
  const before = dropsOf(b);
  const place = b.forwarding.endpointOf(a.peer);
  const send = (bytes: Uint8Array) => world.wire.send(endpoint(carrier.outer), endpoint(b.outer), bytes);
  send(found.datagram);
  for (let at = RELAY_BYTES; at < found.datagram.length; at++) {
    send(found.datagram.map((byte, index) => (index === at ? byte ^ 1 : byte)));
  }
  // Out of its wrapping, as if it were from there.
  send(found.datagram.subarray(RELAY_BYTES));
  await world.clock.advance(10);
  assert.deepEqual(b.received, [a.inner], 'once');
  assert.equal(dropsOf(b).rxReplayed - before.rxReplayed >= 2n, true);
  assert.deepEqual(b.forwarding.endpointOf(a.peer), place, 'the way to a peer does not move to who carries');
});

test('with a removal what the removed host has carried ends at once, and what it carries (SECURITY.md 33)', async () => {
  for (const who of ['sender', 'carrier'] as const) {
    const story = await create();
    const { world, a, b, carrier } = story;
    const datagram = await taken(story);
    world.setMember((who === 'sender' ? a : carrier).peer, false);
    await world.clock.advance(10);
    b.received.length = 0;
    // A removed carrier may carry on as it likes: nobody takes it.
    const refusing = who === 'sender' ? carrier : b;
    const before = dropsOf(refusing).relayStranger;
    world.wire.send(endpoint(a.outer), endpoint(carrier.outer), datagram);
    await world.clock.advance(10);
    assert.deepEqual(b.received, []);
    assert.equal(dropsOf(refusing).relayStranger - before, 1n, who);
  }
});
