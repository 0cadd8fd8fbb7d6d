import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readReach } from '../../src/core/relay.ts';
import { KEY } from '../../src/mesh/records.ts';
import { createForwardingWorld, type Host, type HostOptions } from './support/forwarding-world.ts';

/** Hosts in memory that look whom they reach, with a wall between the first two. */
async function walled(...options: HostOptions[]) {
  const world = createForwardingWorld();
  const hosts: Host[] = [];
  for (const one of options) hosts.push(await world.start({ relay: 'on', ...one }));
  const [a, b] = hosts as [Host, Host];
  const ends = [a.outer, b.outer];
  const state = { wall: true };
  world.wire.setFilter(
    (from, to) => !(state.wall && ends.includes(from.address) && ends.includes(to.address)),
  );
  /** Time passes; both ends send all the while, and what was told arrives everywhere. */
  async function run(seconds: number): Promise<void> {
    for (let n = 0; n < seconds * 4; n++) {
      a.send(b);
      b.send(a);
      await world.clock.advance(250);
      world.shared.sync();
    }
  }
  /** Packets that arrive of 20 in each direction. */
  async function passes(): Promise<readonly number[]> {
    a.received.length = 0;
    b.received.length = 0;
    await run(5);
    return [a, b].map(({ received }) => received.length);
  }
  return { world, hosts, state, run, passes };
}

test('a pair with a wall between is carried by a third host, and goes directly when the wall falls', async () => {
  const { hosts, state, run, passes } = await walled({}, {}, {});
  const [a, b, c] = hosts as [Host, Host, Host];
  await run(12);
  assert.deepEqual(await passes(), [20, 20]);
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const { direct, by, proven } = from.relays.status(to.peer) ?? {};
    assert.deepEqual([direct, by, proven], ['blocked', c.peer, true]);
    assert.equal(from.sessions.status(to.peer)?.state, 'established');
  }
  assert.equal(c.relays.pairs(), 1);
  assert.ok(c.datapath.counters().total.relayedBytes > 0n);
  assert.equal(c.received.length, 0);

  state.wall = false;
  await run(15);
  assert.deepEqual(await passes(), [20, 20]);
  assert.deepEqual([a.relays.status(b.peer)?.direct, b.relays.status(a.peer)?.direct], ['works', 'works']);
  assert.equal(c.relays.pairs(), 0);
});

test('when who carries goes, another one does', async () => {
  const { hosts, run, passes } = await walled({}, {}, {}, {});
  const [a, b] = hosts as [Host, Host];
  await run(12);
  const first = hosts.find(({ peer }) => peer === a.relays.status(b.peer)?.by) as Host;
  await first.stop();
  await run(12);
  assert.deepEqual(await passes(), [20, 20]);
  const other = hosts.slice(2).find((host) => host !== first) as Host;
  assert.equal(a.relays.status(b.peer)?.by, other.peer);
});

test('a host that does not relay is not asked to', async () => {
  const { hosts, run, passes } = await walled({}, {}, { relay: 'off' });
  const [a, b, c] = hosts as [Host, Host, Host];
  await run(12);
  assert.deepEqual(await passes(), [0, 0]);
  assert.deepEqual(a.relays.status(b.peer)?.by, undefined);
  assert.deepEqual(c.datapath.counters().drops.relayOff, 0n);
});

/** Two hosts that have both families on the wire, of which one may be filtered, and a third one with IPv4 only. */
async function dual() {
  const wide = (n: number) => {
    const [outer, other] = [`192.0.2.${n}`, `2001:db8::${n}`];
    return { outer, other, data: [`${outer}:6783`, `[${other}]:6783`] };
  };
  const made = await walled(wide(81), wide(82), {});
  const [a, b] = made.hosts as [Host, Host];
  const state = { filtered: undefined as 4 | 6 | undefined };
  const familyOf = (address: string) => (address.includes(':') ? 6 : 4);
  const ends = ['192.0.2.81', '192.0.2.82', '2001:db8::81', '2001:db8::82'];
  made.world.wire.setFilter(({ address }, to) => {
    return !(familyOf(address) === state.filtered && ends.includes(address) && ends.includes(to.address));
  });
  const at = () => [a.forwarding.endpointOf(b.peer)?.address, b.forwarding.endpointOf(a.peer)?.address];
  return { ...made, a, b, state, at };
}

test('a pair whose family of addresses breaks goes by the other one, within seconds and without a third host', async () => {
  const { a, b, state, at, run, passes } = await dual();
  await run(5);
  const four = ['192.0.2.82', '192.0.2.81'];
  const six = ['2001:db8::82', '2001:db8::81'];
  assert.deepEqual(at(), four);
  for (const [filtered, places] of [
    [4, six],
    [6, four],
  ] as const) {
    state.filtered = filtered;
    await run(4);
    assert.deepEqual(at(), places);
    assert.deepEqual(await passes(), [20, 20]);
    assert.deepEqual([a.relays.status(b.peer)?.direct, b.relays.status(a.peer)?.direct], ['works', 'works']);
    state.filtered = undefined;
    await run(30);
    assert.deepEqual(at(), places, 'what works stays');
  }
});

test('a relayed pair goes directly when a family of addresses that it had no use of before passes', async () => {
  const { world, a, b, at, run, passes } = await dual();
  const state = { six: false };
  world.wire.setFilter((from, to) => {
    const isPair = [from, to].every(({ address }) => /8[12]$/.test(address));
    return !isPair || (state.six && from.address.includes(':'));
  });
  await run(12);
  assert.deepEqual(await passes(), [20, 20]);
  assert.equal(a.relays.status(b.peer)?.direct, 'blocked');
  state.six = true;
  await run(30);
  assert.deepEqual(await passes(), [20, 20]);
  assert.deepEqual([a.relays.status(b.peer)?.direct, b.relays.status(a.peer)?.direct], ['works', 'works']);
  assert.deepEqual(at(), ['2001:db8::82', '2001:db8::81']);
});

test('a host whose paths come and go tells of it ever more rarely, and the truth in the end', async () => {
  const world = createForwardingWorld();
  const hosts: Host[] = [];
  for (let number = 0; number < 9; number++) hosts.push(await world.start({ relay: 'on' }));
  const [self, ...others] = hosts as [Host, ...Host[]];
  let walled: Host | undefined;
  world.wire.setFilter((from, to) => {
    const ends = [from.address, to.address];
    return walled === undefined || !(ends.includes(self.outer) && ends.includes(walled.outer));
  });
  const blocked = () =>
    others.flatMap(({ peer }) => (self.relays.status(peer)?.direct === 'blocked' ? peer : []));
  let [changes, told, before] = [0, 0, ''];
  self.records.watch(KEY.reach, ({ author }) => {
    if (author === self.peer) told++;
  });
  const run = async (seconds: number) => {
    for (let n = 0; n < seconds * 4; n++) {
      for (const other of others) self.send(other);
      await world.clock.advance(250);
      world.shared.sync();
      if (blocked().join() !== before) changes++;
      before = blocked().join();
    }
  };
  for (let round = 0; round < 3; round++) for (walled of others) await run(5);
  assert.ok(changes > 24 && told < 14, `told ${told} times of ${changes} changes in 120 s`);
  await run(60);
  const known = readReach(self.records.get(self.peer, KEY.reach))?.blocked.map(({ peer }) => peer);
  assert.deepEqual(known, [walled?.peer]);
});

test('a pair that is idle asks little', async () => {
  const { world, state } = await walled({}, {}, {});
  state.wall = false;
  await world.clock.advance(30_000);
  let datagrams = 0;
  world.wire.setFilter(() => {
    datagrams++;
    return true;
  });
  await world.clock.advance(60_000);
  assert.equal(datagrams, 0);
});
