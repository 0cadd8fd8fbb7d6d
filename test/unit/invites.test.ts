import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MeshId, PeerId } from '../../src/core/ids.ts';
import { decodeToken, joinDoor, MAX_TOKEN_ADDRESSES } from '../../src/core/token.ts';
import { openInviteState } from '../../src/mesh/invite-state.ts';
import { CHARGED_AHEAD, createInvites, MAX_TTL, MAX_USES } from '../../src/mesh/invites.ts';
import { openKeeper } from '../../src/mesh/keeper.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';
import { createMemoryCrypto } from '../../src/ports/memory/crypto.ts';
import { createSeededRandom } from '../../src/ports/memory/random.ts';
import { createMemoryStore } from '../../src/ports/memory/store.ts';
import { silent } from './support/membership-world.ts';

const HOUR = 3_600_000;
const TEN_YEARS = 10 * 365 * 86_400_000;
const mesh = 'ab'.repeat(32) as MeshId;
const [alice, bob] = ['alice' as PeerId, 'bob' as PeerId];

function createHost() {
  const clock = createVirtualClock();
  const crypto = createMemoryCrypto();
  const random = createSeededRandom('invites');
  const store = createMemoryStore();
  const state = { addresses: ['192.0.2.1:6783'], depth: 1 };
  async function start(view = clock.view()) {
    const keeper = await openKeeper({ store });
    const section = openInviteState(keeper);
    const addresses = () => state.addresses;
    const membership = { chain: new Array(state.depth) };
    const invites = createInvites({
      crypto,
      random,
      clock: view,
      mesh,
      membership,
      state: section,
      log: silent,
      addresses,
    });
    const doorOf = (token: string) => joinDoor(decodeToken(token, crypto), crypto);
    const answer = (token: string) => {
      const admission = invites.accepts(doorOf(token).name);
      return admission.admit ? 'admitted' : admission.reason;
    };
    return { invites, keeper, view, doorOf, answer };
  }
  return { clock, crypto, store, state, start };
}

test('a token opens its door with its secret and carries what its holder needs', async () => {
  const host = createHost();
  const { invites, doorOf } = await host.start();
  const { token, id, expires } = await invites.issue({ ttl: HOUR, uses: 2 });
  const decoded = decodeToken(token, host.crypto);
  assert.deepEqual({ id: decoded.id, uses: decoded.uses, mesh: decoded.mesh }, { id, uses: 2, mesh });
  assert.deepEqual(decoded.addresses, ['192.0.2.1:6783']);
  assert.equal(decoded.expires, expires);
  const door = doorOf(token);
  assert.deepEqual(invites.accepts(door.name), { admit: true, secret: door.secret });
  assert.ok(door.name.length <= 64 && /^[a-z0-9/-]+$/.test(door.name), 'fits the transport');
  const listed = JSON.stringify(invites.list());
  assert.ok(listed.includes(id));
  assert.ok(!listed.includes('secret'), 'the list holds no secret');
});

test('a door that does not open says why', async () => {
  const host = createHost();
  const { invites, answer, doorOf } = await host.start();
  const { token, id } = await invites.issue({ ttl: HOUR, uses: 1 });
  const reason = (name: string) => {
    const admission = invites.accepts(name);
    return admission.admit ? 'admitted' : admission.reason;
  };
  const { name } = doorOf(token);
  assert.equal(reason(name.replace('abababab', 'cdcdcdcd')), 'wrong-mesh');
  assert.equal(reason(name.slice(0, -4) + (name.endsWith('0000') ? '1111' : '0000')), 'unknown-token');
  for (const odd of ['join/', 'join/x', `${name}0`, name.toUpperCase(), ''])
    assert.equal(reason(odd), 'unknown-token');
  assert.equal(await invites.redeem(id, alice), 'ok');
  assert.equal(answer(token), 'admitted', 'alice may have to come back');
  await invites.settle(id, alice);
  assert.equal(answer(token), 'used-up');
  await host.clock.advance(HOUR);
  assert.equal(answer(token), 'expired');
  assert.equal(await invites.revoke(id), true);
  assert.equal(answer(token), 'unknown-token');
  assert.equal(await invites.revoke(id), false);
});

test('each peer is counted once however often it comes back', async () => {
  const host = createHost();
  const first = await host.start();
  const { id } = await first.invites.issue({ ttl: HOUR, uses: 1 });
  assert.equal(await first.invites.redeem(id, alice), 'ok');
  assert.equal(await first.invites.redeem(id, alice), 'ok');
  assert.equal(await first.invites.redeem(id, bob), 'used-up');
  const { invites } = await host.start();
  assert.equal(await invites.redeem(id, bob), 'used-up', 'after a restart too');
  assert.equal(await invites.redeem(id, alice), 'ok');
});

test('a token is told only when it is on disk, and a use is granted only then', async () => {
  const host = createHost();
  const { invites } = await host.start();
  const { id } = await invites.issue({ ttl: HOUR, uses: 1 });
  host.store.failWrites(new Error('disk full'));
  await assert.rejects(invites.issue({ ttl: HOUR, uses: 1 }), /disk full/);
  await assert.rejects(invites.redeem(id, alice), /disk full/);
  await assert.rejects(invites.redeem(id, alice), /disk full/, 'the second time as well');
  host.store.failWrites(undefined);
  assert.equal(
    await invites.redeem(id, bob),
    'used-up',
    'the use that could not be stored is not given to another',
  );
  assert.equal(await invites.redeem(id, alice), 'ok');
});

test('the clock of the wall does not count, ten years off on either side', async () => {
  for (const offset of [-TEN_YEARS, TEN_YEARS]) {
    const host = createHost();
    const { invites, answer, view } = await host.start();
    const { token } = await invites.issue({ ttl: HOUR, uses: 1 });
    view.setWallOffset(offset);
    await host.clock.advance(HOUR - 1);
    assert.equal(answer(token), 'admitted');
    view.setWallOffset(-offset);
    await host.clock.advance(1);
    assert.equal(answer(token), 'expired');

    const late = host.clock.view();
    late.setWallOffset(offset);
    const again = await host.start(late);
    assert.equal(again.answer(token), 'expired', 'also after a restart under another date');
    const { token: fresh } = await again.invites.issue({ ttl: HOUR, uses: 1 });
    assert.equal(again.answer(fresh), 'admitted');
  }
});

test('an orderly restart neither lengthens nor shortens a lifetime', async () => {
  const host = createHost();
  let { invites, answer } = await host.start();
  const { token } = await invites.issue({ ttl: HOUR, uses: 1 });
  for (let restart = 0; restart < 6; restart++) {
    await host.clock.advance(HOUR / 6 - 1);
    assert.equal(answer(token), 'admitted');
    await invites.close();
    ({ invites, answer } = await host.start());
  }
  await host.clock.advance(5);
  assert.equal(answer(token), 'admitted');
  await host.clock.advance(1);
  assert.equal(answer(token), 'expired');
});

test('a crash never lengthens a lifetime, and shortens it by a minute at most', async () => {
  for (const life of [0, 1, 29_999, 30_000, 59_999, 60_000, 600_123, HOUR - 1]) {
    const host = createHost();
    const view = host.clock.view();
    const { invites } = await host.start(view);
    const { token } = await invites.issue({ ttl: HOUR, uses: 1 });
    await host.clock.advance(life);
    view.stop();
    const { answer } = await host.start();
    await host.clock.advance(Math.max(0, HOUR - life - CHARGED_AHEAD - 1));
    if (life <= HOUR - CHARGED_AHEAD - 1) assert.equal(answer(token), 'admitted', `crash after ${life} ms`);
    await host.clock.advance(CHARGED_AHEAD + 1);
    assert.equal(answer(token), 'expired', `crash after ${life} ms`);
  }
});

test('crashing every minute does not keep a token alive', async () => {
  const host = createHost();
  let view = host.clock.view();
  const { invites } = await host.start(view);
  const { token } = await invites.issue({ ttl: HOUR, uses: 1 });
  for (let minutes = 0; minutes < 60; minutes++) {
    await host.clock.advance(60_000);
    view.stop();
    view = host.clock.view();
    await host.start(view);
  }
  assert.equal((await host.start()).answer(token), 'expired');
});

test('bad wishes for a token are refused in one line', async () => {
  const host = createHost();
  const { invites } = await host.start();
  for (const ttl of [0, -1, 999, Number.NaN, Number.POSITIVE_INFINITY, MAX_TTL + 1]) {
    await assert.rejects(invites.issue({ ttl, uses: 1 }), { code: 'bad-request' });
  }
  for (const uses of [0, -1, 1.5, Number.NaN, MAX_USES + 1]) {
    await assert.rejects(invites.issue({ ttl: HOUR, uses }), { code: 'bad-request' });
  }
  const deep = createHost();
  deep.state.depth = 16;
  await assert.rejects((await deep.start()).invites.issue({ ttl: HOUR, uses: 1 }), /another host/);
  host.state.addresses = ['not an address'];
  await assert.rejects(invites.issue({ ttl: HOUR, uses: 1 }), /listens on no address/);
  host.state.addresses = Array.from({ length: 40 }, (_, at) => `192.0.2.${at}:1`);
  const { token } = await invites.issue({ ttl: HOUR, uses: 1 });
  assert.equal(decodeToken(token, host.crypto).addresses.length, MAX_TOKEN_ADDRESSES);
});

test('closed tokens are remembered for a while, not for ever', async () => {
  const host = createHost();
  const { invites } = await host.start();
  for (let count = 0; count < 200; count++) {
    await invites.issue({ ttl: 1_000, uses: 1 });
    await host.clock.advance(1_000);
  }
  assert.ok(invites.list().length <= 65, String(invites.list().length));
});

test('the timer that writes lifetimes runs only while there is something to write', async () => {
  const host = createHost();
  const { invites } = await host.start();
  assert.equal(host.clock.pending(), 0);
  await invites.issue({ ttl: 100_000, uses: 1 });
  assert.equal(host.clock.pending(), 1);
  await host.clock.advance(200_000);
  assert.equal(host.clock.pending(), 0);
});
