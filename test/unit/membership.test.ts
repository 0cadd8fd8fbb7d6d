import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { signCertificate, signTombstone } from '../../src/core/certificate.ts';
import type { PeerId } from '../../src/core/ids.ts';
import { NEEDS_PROMISES } from '../../src/core/takeover.ts';
import { signEpoch } from '../../src/mesh/epochs.ts';
import { openKeeper } from '../../src/mesh/keeper.ts';
import { createMembership } from '../../src/mesh/membership.ts';
import {
  type Epoch,
  foundMesh,
  MembershipError,
  openMembershipState,
} from '../../src/mesh/membership-state.ts';
import { KEY } from '../../src/mesh/records.ts';
import { createMemoryStore } from '../../src/ports/memory/store.ts';
import {
  createWorld,
  type Member,
  newIdentity,
  openState,
  RANGE,
  random,
  silent,
} from './support/membership-world.ts';

const ids = (...members: readonly Member[]) => members.map(({ identity }) => identity.peer).sort();

test('the creator of a mesh is its first member', async () => {
  const { found } = await createWorld();
  const { identity, membership } = await found();
  assert.match(membership.mesh, /^[0-9a-f]{64}$/);
  assert.equal(membership.creator, identity.peer);
  assert.deepEqual(membership.members(), [identity.peer]);
  assert.equal(membership.heirOf(identity.peer), undefined);
  assert.deepEqual(membership.genesis.range, RANGE);
});

test('everybody knows every member, however many invitations lie between', async () => {
  const { found, join } = await createWorld();
  const a = await found();
  const b = await join(a);
  const c = await join(b);
  const d = await join(c, a.identity.peer);
  for (const { membership } of [a, b, c, d]) assert.deepEqual(membership.members(), ids(a, b, c, d));
  assert.equal(
    a.membership.heirOf(a.identity.peer),
    b.identity.peer,
    "the first joiner is the creator's heir",
  );
  assert.equal(b.membership.heirOf(c.identity.peer), b.identity.peer);
  assert.equal(
    b.membership.heirOf(d.identity.peer),
    a.identity.peer,
    'the heir is the donor, not the issuer',
  );
});

test('a member is admitted by its credentials before its record has arrived', async () => {
  const { shared, crypto, found, join } = await createWorld();
  const a = await found();
  const b = await join(a);
  const strangers = await createWorld(undefined);
  const foreign = await strangers.found();
  assert.equal(verdictOf(a, foreign.identity.peer, foreign.membership.credentials()), 'wrong-mesh');

  const c = newIdentity(crypto);
  assert.equal(verdictOf(a, c.peer, { chain: [] }), 'bad-certificate');
  const certificate = await b.membership.issue(c.peer, b.identity.peer);
  const credentials = { chain: [certificate, ...b.membership.chain] };
  assert.equal(a.membership.isMember(c.peer), false);
  let told = 0;
  const stop = a.membership.watch(() => told++);
  assert.equal(verdictOf(a, c.peer, credentials), 'ok');
  assert.equal(a.membership.isMember(c.peer), true, 'and is remembered');
  assert.equal(told, 1);
  stop();
  assert.equal(verdictOf(a, b.identity.peer, credentials), 'bad-certificate', "another peer's certificates");
  shared.sync();
});

function verdictOf(member: Member, remote: PeerId, credentials: unknown): string {
  const verdict = member.membership.admit(remote, credentials);
  if (!verdict.ok) assert.ok(verdict.message.length > 10);
  return verdict.ok ? 'ok' : verdict.reason;
}

test('links open by the doors of the epochs that a peer knows, of this mesh only', async () => {
  const { crypto, found, open } = await createWorld();
  const a = await found();
  const [before] = a.membership.doors();
  assert.ok(before);
  assert.match(before.name, new RegExp(`^epoch/${a.membership.mesh.slice(0, 16)}/1-[0-9a-f]{8}$`));
  assert.deepEqual(a.membership.accepts(before.name), { admit: true, secret: before.secret });

  const next = { crypto, identity: a.identity, mesh: a.membership.mesh, number: 2, excluded: [] };
  const rivals = [
    signEpoch({ ...next, secret: random.bytes(32) }),
    signEpoch({ ...next, secret: random.bytes(32) }),
  ];
  for (const epoch of rivals) assert.equal(await a.membership.learnEpoch(epoch), true);
  assert.equal(await a.membership.learnEpoch(rivals[0] as Epoch), false, 'it is known');
  const later = open(a.identity, a.state).membership;
  const doors = later.doors();
  assert.equal(doors.length, 3, 'two halves of a mesh may make one number each');
  assert.equal(new Set(doors.map(({ secret }) => `${secret}`)).size, 3);
  assert.deepEqual(doors.at(-1), before);
  for (const { name, secret } of doors) assert.deepEqual(later.accepts(name), { admit: true, secret });
  const place = `epoch/${later.mesh.slice(0, 16)}`;
  for (const name of ['3', '0', '02', '1e0', '', '9'.repeat(30), '1', '1-0000000g', '0-00000000']) {
    assert.ok(!later.accepts(`${place}/${name}`).admit, name);
  }
  assert.deepEqual(later.accepts(`${place}/3-00000000`), { admit: false, reason: 'old-epoch' });
  assert.deepEqual(later.accepts('epoch/0123456789abcdef/1-00000000'), {
    admit: false,
    reason: 'wrong-mesh',
  });
});

test('membership survives a restart', async () => {
  const { crypto } = await createWorld();
  const identity = newIdentity(crypto);
  const store = createMemoryStore();
  const state = openMembershipState(await openKeeper({ store }), { crypto, identity });
  const mesh = await foundMesh({ crypto, random, identity, state, range: RANGE });
  const again = openMembershipState(await openKeeper({ store }), { crypto, identity });
  assert.deepEqual(again.get(), state.get());
  assert.equal(again.get()?.genesis.mesh, mesh);
  await assert.rejects(foundMesh({ crypto, random, identity, state: again, range: RANGE }), MembershipError);
  const keeper = await openKeeper({ store });
  assert.throws(() => openMembershipState(keeper, { crypto, identity: newIdentity(crypto) }), /chain/);
});

test('without a mesh there is no membership', async () => {
  const { crypto, found } = await createWorld();
  const a = await found();
  const identity = newIdentity(crypto);
  const state = await openState(crypto, identity);
  const parts = { crypto, identity, state, records: a.records, log: silent };
  assert.throws(() => createMembership(parts), { code: 'no-mesh' });
  const value = a.state.get();
  assert.ok(value);
  await state.set({ ...value, phase: 'joining' });
  assert.throws(
    () => createMembership(parts),
    { code: 'no-mesh' },
    'a join that is under way is none either',
  );
});

test('a removed peer is refused with that reason by everybody', async () => {
  const { shared, found, join } = await createWorld();
  const a = await found();
  const [b, c] = [await join(a), await join(a)];
  let told = 0;
  b.membership.watch(() => told++);
  await a.membership.bury(c.identity.peer);
  shared.sync();
  for (const { membership } of [a, b]) {
    assert.equal(membership.isRemoved(c.identity.peer), true);
    assert.deepEqual(membership.members(), ids(a, b));
    const verdict = membership.admit(c.identity.peer, c.membership.credentials());
    assert.equal(verdict.ok ? 'ok' : verdict.reason, 'removed');
  }
  assert.equal(told, 1);
  await assert.rejects(a.membership.bury(c.identity.peer), { code: 'unknown-peer' });
});

test('only its heir or the holder of the root key removes a peer', async () => {
  const { shared, crypto, found, join } = await createWorld();
  const a = await found();
  const b = await join(a);
  const c = await join(b);
  const d = await join(c);
  await assert.rejects(b.membership.bury(d.identity.peer), (error: MembershipError) => {
    assert.equal(error.code, 'not-heir');
    assert.ok(error.message.includes(c.identity.peer), 'says who may');
    return true;
  });
  const body = {
    mesh: a.membership.mesh,
    peer: d.identity.peer,
    issuer: b.identity.peer,
    adopter: b.identity.peer,
  };
  await b.records.put(KEY.removed + d.identity.peer, signTombstone(body, b.identity.seed, crypto));
  shared.sync();
  assert.ok(a.membership.isMember(d.identity.peer), 'a tombstone by another member has no effect');
  const root = a.state.get()?.rootSeed;
  assert.ok(root);
  await assert.rejects(a.membership.bury(d.identity.peer, random.bytes(32)), { code: 'wrong-root' });
  await a.membership.bury(d.identity.peer, root);
  shared.sync();
  assert.ok(c.membership.isRemoved(d.identity.peer), 'the root key may');
  assert.equal(c.membership.takerOf(d.identity.peer)?.peer, a.identity.peer, 'and says who inherits');
});

test('who joined through a removed peer stays, who joins through it afterwards does not', async () => {
  const { shared, crypto, found, join } = await createWorld();
  const a = await found();
  const b = await join(a);
  const c = await join(b);
  const d = await join(c);
  await a.membership.bury(b.identity.peer);
  shared.sync();
  for (const { membership } of [a, c, d]) assert.deepEqual(membership.members(), ids(a, c, d));
  const late = newIdentity(crypto);
  const certificate = await b.membership.issue(late.peer, b.identity.peer);
  await b.membership.welcome(certificate);
  shared.sync();
  const verdict = d.membership.admit(late.peer, { chain: [certificate, ...b.membership.chain] });
  assert.equal(verdict.ok ? 'ok' : verdict.reason, 'bad-certificate');
  assert.ok(!d.membership.isMember(late.peer));
  assert.equal(c.membership.admit(d.identity.peer, d.membership.credentials()).ok, true);

  await join(d);
  await c.membership.bury(d.identity.peer);
  shared.sync();
  assert.equal(a.membership.members().length, 3, 'and a second removal keeps what hangs on it too');
});

test('the creator can be removed by its heir and the mesh goes on', async () => {
  const { shared, found, join } = await createWorld();
  const a = await found();
  const b = await join(a);
  const c = await join(a);
  await assert.rejects(c.membership.bury(a.identity.peer), { code: 'not-heir' });
  await b.membership.bury(a.identity.peer);
  shared.sync();
  for (const { membership } of [b, c]) assert.deepEqual(membership.members(), ids(b, c));
  const d = await join(c);
  assert.ok(b.membership.isMember(d.identity.peer));
});

test('the last host names who joins it its heir, again and again, and either may remove the other', async () => {
  const { shared, found, join } = await createWorld();
  const a = await found();
  const b = await join(a);
  assert.equal(a.membership.needsHeir(), false, 'it has one, and is not alone');
  await b.membership.bury(a.identity.peer);
  assert.ok(b.membership.needsHeir());
  assert.equal(b.membership.witnessOf(b.identity.peer), undefined);

  const c = await join(b);
  assert.equal(b.membership.needsHeir(), false);
  for (const { membership } of [b, c]) {
    assert.deepEqual(membership.members(), ids(b, c));
    assert.equal(membership.witnessOf(b.identity.peer), c.identity.peer);
  }
  await b.membership.bury(c.identity.peer);
  shared.sync();
  const d = await join(b);
  assert.equal(d.membership.witnessOf(b.identity.peer), d.identity.peer);
  const e = await join(d);
  await d.membership.bury(b.identity.peer);
  shared.sync();
  for (const { membership } of [d, e]) {
    assert.deepEqual(membership.members(), ids(d, e));
    assert.equal(membership.witnessOf(e.identity.peer), d.identity.peer);
    assert.equal(membership.takerOf(a.identity.peer)?.peer, d.identity.peer);
  }
  await d.membership.bury(e.identity.peer);
  shared.sync();
  const f = await join(d);
  for (const { membership } of [d, f]) assert.deepEqual(membership.members(), ids(d, f));
});

test('whom a host names that is not the last has no say', async () => {
  const { shared, found, join } = await createWorld();
  const a = await found();
  const b = await join(a);
  const c = await join(a);
  await a.records.put(`${KEY.heir}/1`, { peer: c.identity.peer });
  await a.records.put(`${KEY.heir}/01`, { peer: c.identity.peer });
  await b.records.put(`${KEY.heir}/2`, { peer: c.identity.peer });
  shared.sync();
  for (const { membership } of [a, b, c]) {
    assert.equal(membership.witnessOf(a.identity.peer), b.identity.peer);
    assert.deepEqual(membership.depthsOf(a.identity.peer, c.identity.peer), []);
  }
  await assert.rejects(c.membership.bury(a.identity.peer), { code: 'not-heir' });
});

test('only whose role it is hands it over, and then removes nobody by it any more', async () => {
  const { shared, crypto, found, join } = await createWorld();
  const a = await found();
  const [b, c, d] = [await join(a), await join(a), await join(a)];
  const ward = a.identity.peer;
  const outcome = await b.membership.handOver(c.identity.peer);
  assert.deepEqual(outcome, { handed: [ward], kept: [] });
  await a.records.put(KEY.handed + ward, { peer: d.identity.peer });
  await d.records.put(KEY.handed + ward, { peer: d.identity.peer });
  await b.records.put(`${KEY.handed}nobody`, { peer: 'x' });
  const heirOfD = a.identity.peer;
  await a.records.put(KEY.handed + d.identity.peer, { peer: newIdentity(crypto).peer });
  shared.sync();
  for (const { membership } of [a, b, c, d]) {
    assert.equal(membership.witnessOf(ward), c.identity.peer);
    assert.equal(membership.witnessOf(d.identity.peer), heirOfD, 'not to whom nobody has let in');
  }
  await assert.rejects(b.membership.bury(ward), { code: 'not-heir' });
  assert.deepEqual((await c.membership.handOver(b.identity.peer)).kept, [{ peer: ward, why: 'had-it' }]);
  await c.membership.bury(ward);
  shared.sync();
  const taker = d.membership.takerOf(ward);
  assert.equal(taker?.peer, c.identity.peer);
  assert.ok(taker.depth >= NEEDS_PROMISES, 'it has not confirmed what came before');
  await assert.rejects(a.membership.handOver(c.identity.peer), { code: 'removed' });
  await assert.rejects(b.membership.handOver(ward), { code: 'unknown-peer' });
});

test('who belongs to the mesh does not depend on the order in which records arrive', async () => {
  const { shared, crypto, found, join } = await createWorld();
  const a = await found();
  const [b, c] = [await join(a), await join(a)];
  const [d, e] = [await join(b), await join(c)];
  const f = await join(d);
  await a.membership.bury(c.identity.peer);
  await b.membership.handOver(d.identity.peer);
  shared.sync();
  await a.membership.bury(b.identity.peer);
  shared.sync();
  const late = await c.membership.issue(newIdentity(crypto).peer, a.identity.peer);
  await c.membership.welcome(late);
  shared.sync();
  const entries = [KEY.member, KEY.removed, KEY.heir, KEY.handed].flatMap((prefix) => [
    ...a.records.entries(prefix),
  ]);
  await fc.assert(
    fc.asyncProperty(fc.shuffledSubarray(entries, { minLength: entries.length }), async (order) => {
      const records = { ...a.records, *entries() {}, watch: () => () => {} };
      const watched = new Map<string, (entry: (typeof order)[number]) => void>();
      const parts = { crypto, identity: f.identity, state: f.state, log: silent };
      const membership = createMembership({
        ...parts,
        records: {
          ...records,
          watch: (prefix, handler) => {
            watched.set(prefix, handler);
            return () => {};
          },
        },
      });
      for (const entry of order) {
        for (const [prefix, handler] of watched) if (entry.key.startsWith(prefix)) handler(entry);
      }
      assert.deepEqual(membership.members(), ids(a, d, e, f));
      assert.equal(membership.heirOf(a.identity.peer), b.identity.peer);
      assert.equal(membership.witnessOf(a.identity.peer), d.identity.peer);
    }),
    { numRuns: 200 },
  );
});

test('sixteen invitations in a row are as deep as it goes, and the host says so before it gives a token away', async () => {
  const { crypto, found, join } = await createWorld();
  let last = await found();
  while (last.membership.chain.length < 16) last = await join(last);
  await assert.rejects(last.membership.issue(newIdentity(crypto).peer, last.identity.peer), {
    code: 'too-deep',
  });
});

test('damaged records about membership are skipped and the rest counts', async () => {
  const { shared, crypto, found, join } = await createWorld();
  const a = await found();
  const b = await join(a);
  const stranger = newIdentity(crypto).peer;
  const certificate = b.membership.chain[0];
  for (const value of [
    null,
    0,
    '',
    [],
    {},
    { ...certificate, serial: -1 },
    { ...certificate, signature: 'x' },
  ]) {
    for (const key of [KEY.member, KEY.removed]) await b.records.put(key + stranger, value);
    await a.records.put(`${KEY.heir}`, value);
  }
  const foreign = newIdentity(crypto);
  const body = {
    mesh: a.membership.mesh,
    peer: stranger,
    issuer: foreign.peer,
    heir: foreign.peer,
    serial: 1,
  };
  await b.records.put(KEY.member + stranger, signCertificate(body, foreign.seed, crypto));
  shared.sync();
  assert.deepEqual(a.membership.members(), ids(a, b));
  assert.equal(a.membership.heirOf(a.identity.peer), b.identity.peer);
});
