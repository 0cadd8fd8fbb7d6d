import assert from 'node:assert/strict';
import { test } from 'node:test';
import { signCertificate } from '../../src/core/certificate.ts';
import { decodeToken } from '../../src/core/token.ts';
import { createAdmissions } from '../../src/mesh/admissions.ts';
import { JoinError } from '../../src/mesh/join.ts';
import { openKeeper } from '../../src/mesh/keeper.ts';
import { createMembership } from '../../src/mesh/membership.ts';
import { KEY } from '../../src/mesh/records.ts';
import { createRecords } from '../../src/mesh/replicated.ts';
import { SpaceError } from '../../src/mesh/space.ts';
import { createJoinWorld, type Issuer, type JoinWorld, within } from './support/join-world.ts';
import { silent } from './support/membership-world.ts';

const HOUR = 3_600_000;
const MANY = { ttl: HOUR, uses: 1_000 };

async function codeOf(world: JoinWorld, joining: Promise<unknown>): Promise<string> {
  try {
    await within(world.clock, joining);
    return 'joined';
  } catch (error) {
    assert.ok(error instanceof JoinError, String(error));
    assert.match(error.message, /: |`weft/, 'says what to do');
    return error.code;
  }
}

async function createMesh(options?: Parameters<typeof createJoinWorld>[0]) {
  const world = createJoinWorld(options);
  const issuer = await within(world.clock, world.startIssuer(world.newMachine()));
  return { world, issuer };
}

async function tokenOf(world: JoinWorld, issuer: Issuer, options = MANY): Promise<string> {
  return (await within(world.clock, issuer.invites.issue(options))).token;
}

test('a host joins with one pasted line', async () => {
  const { world, issuer } = await createMesh();
  await within(world.clock, issuer.records.put(KEY.peer, { control: ['10.0.0.1:6783'] }));
  const joiner = await world.startJoiner();
  const token = await tokenOf(world, issuer);
  const joined = await within(world.clock, joiner.join(token));
  assert.deepEqual(joined, { mesh: issuer.membership.mesh, fresh: true });
  await world.clock.advance(100);

  const { peer } = joiner.identity;
  assert.ok(issuer.membership.isMember(peer), 'the issuer has published it');
  assert.equal(issuer.membership.heirOf(peer), issuer.identity.peer);
  assert.equal(
    issuer.membership.heirOf(issuer.identity.peer),
    peer,
    "the first joiner is the creator's heir",
  );
  assert.deepEqual(issuer.admissions.pending(), []);

  const state = joiner.state.get();
  assert.ok(state);
  assert.equal(state.phase, 'member');
  assert.deepEqual(state.epochs, issuer.membership.epochs());
  assert.equal(state.rootSeed, null);
  assert.deepEqual(state.arrival?.grant, [world.given.get(peer)]);
  assert.deepEqual(state.arrival?.members, [{ peer: issuer.identity.peer, control: ['10.0.0.1:6783'] }]);

  const keeper = await openKeeper({ store: joiner.store });
  const parts = { identity: joiner.identity, crypto: world.crypto, log: silent };
  const records = createRecords({ ...parts, mesh: joined.mesh, clock: joiner.clock, keeper });
  assert.ok(records.absorb(state.arrival?.snapshot) > 0, 'the records of the issuer came along');
  const membership = createMembership({ ...parts, state: joiner.state, records });
  assert.deepEqual(membership.members(), [peer, issuer.identity.peer].sort());
  assert.equal(membership.admit(issuer.identity.peer, issuer.membership.credentials()).ok, true);
  assert.equal(issuer.membership.admit(peer, membership.credentials()).ok, true);
  for (const { name, secret } of membership.doors()) {
    assert.deepEqual(issuer.membership.accepts(name), { admit: true, secret });
  }
});

test('a host that has joined and ends before it has said so is not one that could not join', async () => {
  const { world, issuer } = await createMesh();
  const joiner = await world.startJoiner();
  void joiner.join(await tokenOf(world, issuer)).catch(() => {});
  await world.clock.runUntil(() => issuer.membership.isMember(joiner.identity.peer), 10_000);
  world.crash(joiner);
  await world.clock.advance(30_000);
  assert.deepEqual(issuer.admissions.pending(), [joiner.identity.peer], 'what it was given is kept for it');
  assert.deepEqual(
    issuer.spoken.filter((line) => line.includes('could not join')),
    [],
  );
  assert.ok(
    issuer.spoken.some((line) => line.startsWith('a host has joined, and broke off before it said so')),
  );
});

test('joining again as a member changes nothing', async () => {
  const { world, issuer } = await createMesh();
  const joiner = await world.startJoiner();
  const token = await tokenOf(world, issuer);
  await within(world.clock, joiner.join(token));
  const before = joiner.state.get();
  assert.deepEqual(await joiner.join(token), { mesh: issuer.membership.mesh, fresh: false });
  assert.equal(joiner.state.get(), before);
  const other = await within(world.clock, world.startIssuer(world.newMachine()));
  assert.equal(await codeOf(world, joiner.join(await tokenOf(world, other))), 'other-mesh');
});

test('every refusal reaches the joiner under its own name', async () => {
  const { world, issuer } = await createMesh();
  const [joiner, token] = [await world.startJoiner(), await tokenOf(world, issuer)];
  const parsed = decodeToken(token, world.crypto);
  assert.equal(await codeOf(world, joiner.join({ ...parsed, id: '0'.repeat(32) })), 'unknown-token');
  assert.equal(await codeOf(world, joiner.join({ ...parsed, secret: new Uint8Array(32) })), 'bad-secret');
  assert.equal(await codeOf(world, joiner.join({ ...parsed, addresses: ['10.9.9.9:6783'] })), 'dial-timeout');
  assert.equal(await codeOf(world, joiner.join({ ...parsed, addresses: ['10.0.0.1:1'] })), 'unreachable');

  const stranger = await within(world.clock, world.startIssuer(world.newMachine()));
  assert.equal(
    await codeOf(world, joiner.join({ ...parsed, addresses: [`${stranger.host}:6783`] })),
    'wrong-mesh',
  );

  const single = await tokenOf(world, issuer, { ttl: HOUR, uses: 1 });
  const second = await world.startJoiner();
  await within(world.clock, joiner.join(single));
  assert.equal(await codeOf(world, second.join(single)), 'used-up');

  const short = await tokenOf(world, issuer, { ttl: 1_000, uses: 1 });
  await world.clock.advance(1_000);
  assert.equal(await codeOf(world, second.join(short)), 'expired');
  assert.equal(second.state.get(), null, 'nothing was stored by any of them');

  await within(world.clock, issuer.membership.bury(joiner.identity.peer));
  await within(world.clock, joiner.state.set(null));
  assert.equal(await codeOf(world, joiner.join(token)), 'removed');
});

test('wrong clocks are no reason: ten years off on either side, joiner and issuer', async () => {
  const offset = 10 * 365 * 86_400_000;
  for (const [ours, theirs] of [
    [offset, -offset],
    [-offset, offset],
  ] as const) {
    const { world, issuer } = await createMesh();
    const token = await tokenOf(world, issuer, { ttl: HOUR, uses: 5 });
    const joiner = await world.startJoiner();
    joiner.clock.setWallOffset(ours);
    issuer.clock.setWallOffset(theirs);
    assert.equal(await codeOf(world, joiner.join(token)), 'joined');
    await world.clock.advance(HOUR);
    const late = await world.startJoiner();
    late.clock.setWallOffset(-10 * HOUR);
    assert.equal(await codeOf(world, late.join(token)), 'expired');
  }
});

test('the addresses of a token are tried at the same time and the issuer is found among strangers', async () => {
  const { world, issuer } = await createMesh();
  const stranger = await within(world.clock, world.startIssuer(world.newMachine()));
  const token = decodeToken(await tokenOf(world, issuer), world.crypto);
  const addresses = [
    '10.9.9.9:1',
    `${stranger.host}:6783`,
    '10.8.8.8:1',
    `${issuer.host}:6783`,
    `${issuer.host}:6783`,
  ];
  const joiner = await world.startJoiner();
  const begun = world.clock.now();
  assert.equal(await codeOf(world, joiner.join({ ...token, addresses })), 'joined');
  assert.ok(world.clock.now() - begun < 1_000, `${world.clock.now() - begun} ms`);
  const lost = await world.startJoiner();
  await assert.rejects(
    within(world.clock, lost.join({ ...token, addresses: addresses.slice(0, 3) })),
    (error: JoinError) => {
      assert.equal(error.code, 'wrong-mesh');
      for (const address of addresses.slice(0, 3))
        assert.ok(error.message.includes(address), 'names every address');
      return true;
    },
  );
});

test('a mesh without addresses to give says so, and the same host gets in later', async () => {
  const world = createJoinWorld();
  let full = true;
  const issuer = await within(
    world.clock,
    world.startIssuer(world.newMachine(), (machine, membership) => {
      const space = world.createSpace(machine, membership);
      const grant = async (to: Parameters<typeof space.grant>[0]) => {
        if (full) throw new SpaceError('no-space', 'no address is free');
        return space.grant(to);
      };
      return { ...space, grant };
    }),
  );
  const token = await tokenOf(world, issuer, { ttl: HOUR, uses: 1 });
  const joiner = await world.startJoiner();
  assert.equal(await codeOf(world, joiner.join(token)), 'no-space');
  full = false;
  assert.equal(await codeOf(world, joiner.join(token)), 'joined');
});

test('a joiner or an issuer that falls silent does not hold up the other for ever', async () => {
  const { world, issuer } = await createMesh();
  const token = await tokenOf(world, issuer);
  const silentOne = await world.startJoiner();
  const pending = silentOne.join(token);
  pending.catch(() => {});
  await world.clock.advance(12);
  world.network.block(silentOne.identity.peer, issuer.identity.peer);
  const next = await world.startJoiner();
  assert.equal(
    await codeOf(world, next.join(token)),
    'joined',
    'the next first joiner waits, then gets its turn',
  );
  assert.equal(issuer.membership.heirOf(issuer.identity.peer), next.identity.peer);

  const third = await world.startJoiner();
  const joining = third.join(token);
  joining.catch(() => {});
  await world.clock.advance(4);
  world.network.block(issuer.identity.peer, third.identity.peer);
  assert.equal(await codeOf(world, joining), 'unreachable');
});

test('after a crash of either side at any moment the same host joins with the same token', async () => {
  const whole = 60;
  for (const victim of ['issuer', 'joiner'] as const) {
    for (let moment = 0; moment <= whole; moment++) {
      const { world, issuer } = await createMesh({ latency: 3, disk: 2 });
      const token = await tokenOf(world, issuer, { ttl: HOUR, uses: 1 });
      const joiner = await world.startJoiner();
      const first = joiner.join(token).catch(() => {});
      await world.clock.advance(moment);
      const crashed = world.crash(victim === 'issuer' ? issuer : joiner);
      await world.clock.advance(1_000);
      const host = victim === 'issuer' ? await within(world.clock, world.startIssuer(crashed)) : issuer;
      if (victim === 'issuer') await within(world.clock, first);
      const again = victim === 'joiner' ? await world.startJoiner(crashed) : joiner;
      const at = `${victim} crashed after ${moment} ms`;
      assert.equal(await codeOf(world, again.join(token)), 'joined', at);
      await world.clock.advance(1_000);

      const { peer } = joiner.identity;
      assert.deepEqual(host.membership.members(), [issuer.identity.peer, peer].sort(), at);
      assert.equal(host.membership.heirOf(issuer.identity.peer), peer, at);
      assert.equal(world.given.size, 1, at);
      const state = again.state.get();
      assert.equal(state?.phase, 'member', at);
      assert.deepEqual(state?.arrival?.grant, [world.given.get(peer)], at);
      const shown = host.records.get(issuer.identity.peer, KEY.member + peer) as (typeof state.chain)[0];
      assert.deepEqual(state?.chain[0]?.signature, shown.signature, 'one certificate for both');
      const other = await world.startJoiner();
      assert.equal(await codeOf(world, other.join(token)), 'used-up', at);
    }
  }
});

test('what the issuer could not have signed is not stored', async () => {
  const { world, issuer } = await createMesh();
  const token = decodeToken(await tokenOf(world, issuer), world.crypto);
  const { membership } = issuer;
  const forger = world.newMachine().identity;
  const own = membership.chain[0];
  assert.ok(own);
  const forgeries: Record<string, Partial<typeof membership>> = {
    'another root key': { genesis: { ...membership.genesis, root: forger.publicKey } },
    'another range': { genesis: { ...membership.genesis, range: { start: 0, last: 1 } } },
    'a chain of its own': {
      chain: [signCertificate({ ...own, issuer: forger.peer, heir: forger.peer }, forger.seed, world.crypto)],
    },
    'no chain': { chain: [] },
    'an epoch secret that is too short': {
      epochs: () => [{ number: 1, secret: new Uint8Array(31), rotation: null }],
    },
    'no epoch': { epochs: () => [] },
    'a certificate for another peer': { issue: (_peer, heir) => membership.issue(forger.peer, heir) },
    'another heir': { issue: (peer) => membership.issue(peer, forger.peer) },
  };
  for (const [name, forgery] of Object.entries(forgeries)) {
    const liar = createAdmissions({
      crypto: world.crypto,
      clock: world.clock,
      membership: { ...membership, ...forgery },
      invites: issuer.invites,
      space: world.createSpace(issuer, membership),
      records: issuer.records,
      state: { get: () => [], set: async () => {} },
      book: { learn() {} },
      log: silent,
      snapshot: () => null,
    });
    const transport = world.network.transport(issuer.identity.peer, { doorkeeper: issuer.invites.accepts });
    await transport.listen(['0.0.0.0:6783'], liar.accept);
    const joiner = await world.startJoiner();
    const code = await codeOf(world, joiner.join({ ...token, addresses: [`${transport.host}:6783`] }));
    assert.equal(code, 'bad-secret', name);
    assert.equal(joiner.state.get(), null, name);
  }
});

test('giving up ends the attempt and leaves nothing behind', async () => {
  const { world, issuer } = await createMesh();
  const token = await tokenOf(world, issuer);
  const joiner = await world.startJoiner();
  for (const moment of [0, 2, 5, 8]) {
    const control = new AbortController();
    const joining = joiner.join(token, control.signal);
    joining.catch(() => {});
    await world.clock.advance(moment);
    control.abort();
    await assert.rejects(within(world.clock, joining), JoinError);
    assert.notEqual(joiner.state.get()?.phase, 'member');
  }
  assert.equal(await codeOf(world, joiner.join(token)), 'joined');
});
