import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_NETWORK, type PeerId } from '../../src/core/ids.ts';
import { drawRoutes } from '../../src/mesh/forwarding.ts';
import { KEY } from '../../src/mesh/records.ts';
import { EAGER_PEERS } from '../../src/mesh/sessions.ts';
import { parseDatagram } from '../../src/ports/memory/datagram.ts';
import { areConnected, createForwardingWorld, endpoint, type Host } from './support/forwarding-world.ts';

const MINUTE = 60_000;
const pairsOf = (hosts: readonly Host[]) =>
  hosts.flatMap((a, at) => hosts.slice(at + 1).map((b) => [a, b] as const));

test('every pair of hosts that are up has a session and packets pass both ways', async () => {
  const world = createForwardingWorld();
  const hosts: Host[] = [];
  for (let count = 0; count < 5; count++) hosts.push(await world.start());
  await world.clock.runUntil(() => pairsOf(hosts).every(([a, b]) => areConnected(a, b)));
  assert.ok(world.clock.now() < 50, `${world.clock.now()} ms`);
  for (const [a, b] of pairsOf(hosts)) {
    a.send(b);
    b.send(a);
  }
  await world.clock.advance(10);
  for (const host of hosts) {
    const others = hosts.filter((other) => other !== host).map(({ inner }) => inner);
    assert.deepEqual(host.received.sort(), others.sort());
  }
});

test('no two packets of an hour with rekeys and restarts are sealed with one key and one counter (SECURITY.md 4)', async () => {
  const world = createForwardingWorld();
  let [a, b, c] = [await world.start(), await world.start(), await world.start()];
  const seen = new Set<string>();
  const keys = new Set<string>();
  world.wire.setFilter((from, to, datagram) => {
    const header = parseDatagram(datagram);
    assert.ok(header);
    const key = `${from.address} ${to.address} ${header.index}`;
    const name = `${key} ${header.lane} ${header.counter}`;
    assert.ok(!seen.has(name), name);
    seen.add(name);
    keys.add(key);
    return true;
  });
  let received = 0;
  for (let minute = 0; minute < 60; minute++) {
    for (let second = 0; second < 60; second += 2) {
      await world.clock.advance(2_000);
      for (const [from, to] of [
        [a, b],
        [b, a],
        [a, c],
        [c, a],
        [b, c],
        [c, b],
      ] as const)
        from.send(to);
    }
    received += a.received.splice(0).length + b.received.splice(0).length + c.received.splice(0).length;
    if (minute === 20) {
      await b.stop();
      b = await world.start({ identity: b.identity, outer: b.outer });
    }
    if (minute === 40) {
      await c.stop();
      c = await world.start({ identity: c.identity, outer: c.outer });
    }
    await world.clock.runUntil(() => pairsOf([a, b, c]).every(([x, y]) => areConnected(x, y)));
  }
  assert.ok(keys.size > 150, `${keys.size} keys`);
  assert.ok(received >= 60 * 30 * 6 - 20, `${received} packets arrived`);
});

test('a restarted host is reached again at once', async () => {
  const world = createForwardingWorld();
  let [a, b] = [await world.start(), await world.start()];
  await world.clock.runUntil(() => areConnected(a, b));
  for (let restarts = 0; restarts < 4; restarts++) {
    await a.stop();
    await world.clock.advance(5_000);
    const begun = world.clock.now();
    a = await world.start({ identity: a.identity, outer: a.outer });
    await world.clock.runUntil(() => areConnected(a, b));
    assert.ok(world.clock.now() - begun < 50, `${world.clock.now() - begun} ms`);
    b.send(a);
    await world.clock.advance(5);
    assert.deepEqual(a.received, [b.inner]);
    [a, b] = [b, a];
    a.received.splice(0);
  }
});

test('the ring becomes the routing table: own addresses are slot 0, strangers and gaps are left out', () => {
  const [own, one, two, stranger] = ['own', 'one', 'two', 'stranger'] as PeerId[];
  const slots = new Map([
    [own, 0],
    [one, 1],
    [two, 2],
  ]);
  const segment = (start: number, last: number, owner: PeerId | undefined) => ({
    start,
    last,
    owner,
    network: DEFAULT_NETWORK,
  });
  const ring = [
    segment(0, 9, own),
    segment(10, 19, own),
    segment(20, 29, one),
    segment(30, 39, undefined),
    segment(40, 49, one),
    segment(50, 59, stranger),
    segment(60, 69, two),
    segment(70, 79, one),
  ];
  assert.deepEqual(
    drawRoutes(ring, (owner) => slots.get(owner)),
    [
      { start: 0, last: 19, slot: 0 },
      { start: 20, last: 29, slot: 1 },
      { start: 40, last: 49, slot: 1 },
      { start: 60, last: 69, slot: 2 },
      { start: 70, last: 79, slot: 1 },
    ],
  );
});

test('addresses that change hands are routed to the new owner and accepted from nobody else', async () => {
  const world = createForwardingWorld();
  const [a, b, c] = [await world.start(), await world.start(), await world.start()];
  await world.clock.runUntil(() => pairsOf([a, b, c]).every(([x, y]) => areConnected(x, y)));
  const whole = { start: a.inner, last: a.inner + 255, network: DEFAULT_NETWORK };
  world.setRing([
    { ...whole, owner: a.peer },
    { ...whole, start: b.inner, last: b.inner + 255, owner: c.peer },
  ]);
  await world.clock.advance(1);
  a.send(b);
  b.send(a);
  await world.clock.advance(5);
  assert.deepEqual(c.received, [a.inner], 'what b had goes to c now');
  assert.deepEqual([a.received, b.received], [[], []]);
});

test('a removed peer loses its slot, its keys and its routes, and its slot is not used again soon', async () => {
  const world = createForwardingWorld();
  const [a, b] = [await world.start(), await world.start()];
  await world.clock.runUntil(() => areConnected(a, b));
  const slot = a.forwarding.slotOf(b.peer);
  world.setMember(b.peer, false);
  await world.clock.advance(1);
  assert.equal(a.forwarding.slotOf(b.peer), undefined);
  assert.equal(a.sessions.status(b.peer), undefined);
  a.send(b);
  b.send(a);
  await world.clock.advance(5);
  assert.deepEqual([a.received, b.received], [[], []]);
  assert.ok(a.datapath.counters().drops.rxNoKey > 0n);
  const c = await world.start();
  await world.clock.runUntil(() => areConnected(a, c));
  assert.notEqual(a.forwarding.slotOf(c.peer), slot);
  world.setMember(b.peer, true);
  await world.clock.runUntil(() => areConnected(a, b));
});

test('a link shows where a peer is better than what it announces itself', async () => {
  const world = createForwardingWorld();
  const a = await world.start();
  const b = await world.start({
    outer: '198.51.100.7',
    data: ['10.9.9.9:6783', '10.8.8.8:7000'],
    live: false,
  });
  assert.deepEqual(a.forwarding.endpointOf(b.peer), undefined);
  await world.clock.advance(1);
  assert.deepEqual(a.forwarding.endpointOf(b.peer), endpoint('10.9.9.9'));
  assert.equal(a.forwarding.seenAt(b.peer), undefined, 'what it says of itself proves nothing');
  a.linkUp(b.peer, '198.51.100.7:40000');
  assert.equal(a.forwarding.seenAt(b.peer), '198.51.100.7');
  assert.deepEqual(
    a.forwarding.endpointOf(b.peer),
    endpoint('198.51.100.7'),
    'its address with the announced port',
  );
  a.linkUp(b.peer, '[2001:db8::1]:40000');
  assert.deepEqual(a.forwarding.endpointOf(b.peer), endpoint('2001:db8::1'));
});

test('of several announced addresses the one that works is found', async () => {
  const world = createForwardingWorld();
  const a = await world.start({ data: ['10.9.9.1:1', '10.9.9.2:1', '192.0.2.50:6783'], outer: '192.0.2.50' });
  const b = await world.start({
    data: ['10.9.9.3:1', 'name.example:1', '0.0.0.0:0', '192.0.2.51:6783'],
    outer: '192.0.2.51',
  });
  await world.clock.runUntil(() => areConnected(a, b), 2 * MINUTE);
  assert.deepEqual(a.forwarding.endpointOf(b.peer), endpoint('192.0.2.51'));
  assert.deepEqual(b.forwarding.endpointOf(a.peer), endpoint('192.0.2.50'));
});

test('a host whose announced addresses reach nobody is found by its own packets', async () => {
  const world = createForwardingWorld();
  const open = await world.start({ outer: '192.0.2.60' });
  for (const data of [[], ['10.9.9.9:6783']]) {
    const hidden = await world.start({ outer: `192.0.2.${61 + data.length}`, data });
    await world.clock.runUntil(() => areConnected(open, hidden), 20_000);
    assert.deepEqual(open.forwarding.endpointOf(hidden.peer), endpoint(hidden.outer));
    open.send(hidden);
    await world.clock.advance(5);
    assert.deepEqual(hidden.received, [open.inner]);
  }
});

test('an endpoint that was proven by packets is not given up for an announced one until the peer starts anew', async () => {
  const world = createForwardingWorld();
  const [a, b] = [await world.start(), await world.start({ outer: '192.0.2.70', data: ['192.0.2.70:6783'] })];
  await world.clock.runUntil(() => areConnected(a, b));
  a.linkUp(b.peer, '192.0.2.99:1');
  assert.deepEqual(a.forwarding.endpointOf(b.peer), endpoint('192.0.2.70'));
  assert.equal(a.forwarding.seenAt(b.peer), '192.0.2.70');
  await b.stop();
  const moved = await world.start({ identity: b.identity, outer: '192.0.2.71' });
  a.neighbours.delete(b.peer);
  await world.clock.runUntil(() => areConnected(a, moved), 20_000);
  assert.deepEqual(a.forwarding.endpointOf(b.peer), endpoint('192.0.2.71'));
});

test('in a big mesh sessions are made when a packet wants one, by either side', async () => {
  const world = createForwardingWorld();
  const a = await world.start({ live: false });
  const b = await world.start({ live: false });
  const crowd = Array.from({ length: EAGER_PEERS + 10 }, (_, at) => `peer ${at}` as PeerId);
  for (const host of [a, b]) for (const peer of crowd) host.up(peer);
  a.up(b.peer);
  b.up(a.peer);
  await world.clock.advance(MINUTE);
  assert.equal(world.said(), 0);
  b.send(a);
  await world.clock.runUntil(() => areConnected(a, b));
  b.send(a);
  await world.clock.advance(5);
  assert.ok(a.received.includes(b.inner));
});

test('hosts without AES instructions use the other cipher with everybody', async () => {
  const world = createForwardingWorld();
  const [a, b, c] = [await world.start(), await world.start(), await world.start({ aes: false })];
  await world.clock.runUntil(() => pairsOf([a, b, c]).every(([x, y]) => areConnected(x, y)));
  assert.equal(a.sessions.status(b.peer)?.suite, 'aes-256-gcm');
  assert.equal(a.sessions.status(c.peer)?.suite, 'chacha20-poly1305');
});

test('malformed peer records send packets nowhere and break nothing', async () => {
  const world = createForwardingWorld();
  const [a, b] = [await world.start(), await world.start({ live: false })];
  await world.clock.advance(1);
  const record = {
    nickname: 'x',
    version: '1',
    control: [],
    data: [],
    boot: '0'.repeat(16),
    free: 0,
    degree: 1,
  };
  const bad = [
    null,
    7,
    [],
    { ...record, data: ['256.0.0.1:1', '[::1', ':1', 'a:1', '1.2.3.4:0', '1.2.3.4:65536'] },
    record,
  ];
  for (const value of [...bad, { ...record, boot: 'zz' }, { ...record, boot: 'F'.repeat(16) }]) {
    const records = world.shared.of(b.peer);
    await records.put(KEY.peer, value);
    world.shared.sync();
    a.up(b.peer);
    await world.clock.advance(1_000);
  }
  assert.notEqual(a.sessions.status(b.peer), undefined);
});

test('closing leaves no timer behind', async () => {
  const world = createForwardingWorld();
  const [a, b] = [await world.start(), await world.start()];
  await world.clock.runUntil(() => areConnected(a, b));
  for (const host of [a, b]) {
    host.sessions.close();
    host.forwarding.close();
  }
  await world.clock.advance(100);
  assert.equal(world.clock.pending(), 0);
});
