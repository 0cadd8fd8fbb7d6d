import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIpv4 } from '../../src/core/address.ts';
import { isTakeover } from '../../src/core/ring-entry.ts';
import { KEY } from '../../src/mesh/records.ts';
import type { RingSegment } from '../../src/mesh/space.ts';
import type { SimHost } from './mesh-world.ts';
import { admit, agreed, createMesh, lineOfHeirs, mesh, names, ownedBy, ownerOf } from './removal-world.ts';

test('a host that is lost for good is removed from any other, and its addresses are given out again', async () => {
  const { world, hosts } = await createMesh('lost', 0, 0, 1);
  const [a, b, c, d] = hosts as [SimHost, SimHost, SimHost, SimHost];
  const before = ownedBy(a, c);
  const epoch = mesh(a).membership.epochs()[0]?.number;
  assert.ok(before > 0);
  c.crash();
  const { by } = await world.settled(mesh(d).removal.remove(c.peer));
  await world.until(() => agreed([a, b, d], c), 10_000);
  const heir = hosts.find(({ peer }) => peer === by) as SimHost;
  const takeovers = [...mesh(b).records.entries(KEY.ring)].filter(({ value }) => isTakeover(value as never));
  assert.deepEqual([...new Set(takeovers.map(({ author }) => author))], [heir.peer], 'one heir took them');
  for (const host of [a, b, d]) assert.deepEqual(mesh(host).membership.members(), names([a, b, d]));
  await world.until(
    () => [a, b, d].every((host) => mesh(host).membership.epochs()[0]?.number === (epoch ?? 0) + 1),
    10_000,
  );
  const [secret] = mesh(a).membership.epochs();
  for (const host of [b, d]) assert.deepEqual(mesh(host).membership.epochs()[0], secret);

  const e = await admit(world, hosts, 3);
  await world.until(() => mesh(e).membership.members().length === 4, 20_000);
  assert.deepEqual(mesh(e).membership.epochs()[0], secret, 'who joins later has the new secret');
});

test('a removed host that comes back is told, and reaches nobody', async () => {
  const { world, hosts } = await createMesh('back', 0, 0, 1);
  const [a, b, c, d] = hosts as [SimHost, SimHost, SimHost, SimHost];
  await world.settled(c.allocate('web'));
  c.crash();
  await world.settled(mesh(a).removal.remove(c.peer));
  await world.until(() => agreed([a, b, d], c), 10_000);
  await world.settled(c.boot());
  await world.until(() => mesh(c).membership.isRemoved(c.peer), 30_000);
  await world.until(() => mesh(c).links.neighbours().length === 0, 5_000);
  assert.deepEqual(mesh(c).membership.members(), []);
  assert.equal(mesh(c).forwarding.slotOf(a.peer), undefined);
  assert.equal(mesh(c).space.allocations().length, 1, 'its containers keep what they have, for themselves');
  await assert.rejects(world.settled(c.allocate('more')), { code: 'removed' });
  for (const host of [a, b, d]) {
    assert.equal(mesh(host).links.neighbour(c.peer), undefined);
    const epochs = mesh(c)
      .membership.epochs()
      .map(({ number }) => number);
    assert.ok(
      !epochs.includes(mesh(host).membership.epochs()[0]?.number as number),
      'and not the new secret',
    );
  }
  await world.settled(c.stop());
  await world.settled(c.boot());
  assert.ok(mesh(c).membership.isRemoved(c.peer), 'it knows after a restart');
});

test('a host that is up and removed loses its links and keys on every other within seconds', async () => {
  const { world, hosts } = await createMesh('live', 0, 0, 1);
  const [a, b, c, d] = hosts as [SimHost, SimHost, SimHost, SimHost];
  await world.until(
    () => [a, b, d].every((host) => mesh(host).sessions.status(c.peer)?.state === 'established'),
    20_000,
  );
  await world.settled(mesh(b).removal.remove(c.peer));
  await world.until(() => agreed([a, b, d], c) && mesh(c).membership.isRemoved(c.peer), 5_000);
  await world.until(() => mesh(c).links.neighbours().length === 0, 5_000);
  for (const host of [a, b, d]) {
    assert.equal(mesh(host).forwarding.slotOf(c.peer), undefined);
    assert.equal(mesh(host).sessions.status(c.peer), undefined);
  }
});

test('the heir of a removed heir takes over once every member has promised', async () => {
  const { world, hosts } = await createMesh('chain', 0, 1, 2, 0);
  const [a, b] = hosts as [SimHost, SimHost];
  const heirOf = (host: SimHost) => hosts.find(({ peer }) => peer === mesh(a).membership.heirOf(host.peer));
  const target = hosts.find((host) => {
    const heir = heirOf(host);
    return host !== a && host !== b && heir !== a && heir !== b;
  });
  const lost = target ?? (hosts.at(-1) as SimHost);
  const heir = heirOf(lost) as SimHost;
  const others = hosts.filter((host) => host !== lost && host !== heir);
  const silent = others.at(-1) as SimHost;
  const asks = others[0] as SimHost;
  lost.crash();
  heir.crash();
  silent.crash();
  await world.settled(mesh(asks).removal.remove(heir.peer));
  await world.until(
    () =>
      others.filter((host) => host !== silent).every((host) => mesh(host).membership.isRemoved(heir.peer)),
    10_000,
  );
  const { by, waiting } = await world.settled(mesh(asks).removal.remove(lost.peer));
  const taker = hosts.find(({ peer }) => peer === by) as SimHost;
  assert.ok(waiting.includes(silent.peer), 'it waits for who has not promised');
  await world.clock.advance(5_000);
  assert.ok(ownedBy(taker, lost) > 0, 'and nothing is taken before');
  assert.deepEqual(mesh(taker).space.inheritance.waiting()[0]?.missing, [silent.peer]);
  await world.settled(silent.boot());
  await world.until(() => agreed(others, lost) && agreed(others, heir), 60_000);
  assert.deepEqual(mesh(taker).space.inheritance.waiting(), []);
});

test('what an heir took over and gave away stays with whom it gave it to when that heir is removed, too', async () => {
  const { world, hosts } = await createMesh('line', 0, 1, 2, 3, 4, 5, 6);
  const [lost, heir, next, last] = lineOfHeirs(hosts);
  const user = hosts.find((host) => ![lost, heir, next, last].includes(host)) as SimHost;
  const left = (...gone: SimHost[]) => hosts.filter((host) => !gone.includes(host));
  const { last: number } = mesh(user)
    .space.ring()
    .find(({ owner }) => owner === lost.peer) as RingSegment;
  const wanted = formatIpv4(number);
  for (const removed of [heir, lost]) {
    removed.crash();
    await world.settled(mesh(user).removal.remove(removed.peer));
    await world.until(
      () => left(lost, heir).every((host) => mesh(host).membership.isRemoved(removed.peer)),
      60_000,
    );
  }
  await world.until(() => agreed(left(lost, heir), lost), 60_000);
  const { address } = await world.settled(user.allocate('web', { wanted }));
  assert.equal(address, wanted, 'given on by who took it over');
  next.crash();
  await world.settled(mesh(user).removal.remove(next.peer));
  const rest = left(lost, heir, next);
  await world.until(() => agreed(rest, next) && mesh(last).space.inheritance.waiting().length === 0, 60_000);
  for (const host of rest) assert.equal(ownerOf(host, number), user.peer);
  assert.deepEqual(mesh(user).space.quarantine(), []);
});

test('heirs of each other that are both lost are recovered from with the root key', async () => {
  const { world, hosts } = await createMesh('cycle', 0, 0, 1);
  const [a, b, c, d] = hosts as [SimHost, SimHost, SimHost, SimHost];
  const root = (await rootOf(a)) as Uint8Array;
  a.crash();
  b.crash();
  await assert.rejects(world.settled(mesh(c).removal.remove(a.peer)), { code: 'heir-unreachable' });
  await assert.rejects(world.settled(mesh(c).removal.recover(a.peer, new Uint8Array(32), false)), {
    code: 'wrong-root',
  });
  await world.settled(mesh(c).removal.recover(a.peer, root, false));
  assert.equal(mesh(c).membership.witnessOf(b.peer), c.peer, 'who succeeds one succeeds the other');
  await world.until(() => mesh(d).membership.isRemoved(a.peer), 60_000);
  await world.settled(mesh(d).removal.remove(b.peer));
  await world.until(() => agreed([c, d], a) && agreed([c, d], b), 30_000);
  const e = await admit(world, hosts, 2);
  await world.until(() => mesh(e).membership.members().length === 3, 20_000);
});

async function rootOf(host: SimHost): Promise<Uint8Array | null | undefined> {
  return mesh(host).membership.rootSeed();
}

test('nothing is taken from a host that is only silent', async () => {
  const { world, hosts } = await createMesh('silent', 0, 0);
  const [a, b, c] = hosts as [SimHost, SimHost, SimHost];
  const owned = ownedBy(a, c);
  c.crash();
  await world.clock.advance(600_000);
  assert.equal(ownedBy(a, c), owned);
  assert.equal(ownedBy(b, c), owned);
});

test('two halves that removed somebody each agree on one epoch that neither of the removed knows', async () => {
  const { world, hosts } = await createMesh('halves', 0, 0, 1, 0, 1);
  const heirOf = (host: SimHost) => mesh(hosts[0] as SimHost).membership.heirOf(host.peer);
  const [a, b] = hosts as [SimHost, SimHost];
  const ofA = hosts.find((host) => host !== b && heirOf(host) === a.peer) as SimHost;
  const ofB = hosts.find((host) => host !== a && heirOf(host) === b.peer) as SimHost | undefined;
  assert.ok(ofB, 'somebody has the second host for its heir');
  const rest = hosts.filter((host) => ![a, b, ofA, ofB].includes(host));
  world.partition([a, ofB, ...rest.slice(0, 1)], [b, ofA, ...rest.slice(1)]);
  await world.clock.advance(10_000);
  await world.settled(mesh(a).removal.remove(ofA.peer));
  await world.settled(mesh(b).removal.remove(ofB.peer));
  await world.clock.advance(5_000);
  world.heal();
  const left = [a, b, ...rest];
  await world.until(() => agreed(left, ofA) && agreed(left, ofB), 60_000);
  const current = (host: SimHost) => mesh(host).membership.epochs()[0];
  await world.until(
    () =>
      left.every(
        (host) =>
          current(host)?.rotation?.excluded.length === 2 && current(host)?.number === current(a)?.number,
      ),
    60_000,
  );
  for (const host of left) assert.deepEqual(current(host), current(a));
});

test('on the side of a partition where the heir is not, nothing is removed, and the reason is told', async () => {
  const { world, hosts } = await createMesh('sides', 0, 0, 1);
  const [a] = hosts as [SimHost];
  const lost = hosts.at(-1) as SimHost;
  const heir = hosts.find(({ peer }) => peer === mesh(a).membership.heirOf(lost.peer)) as SimHost;
  const other = hosts.find((host) => host !== lost && host !== heir) as SimHost;
  lost.crash();
  const rest = hosts.filter((host) => host !== lost && host !== heir);
  world.partition([heir], rest);
  await world.clock.advance(15_000);
  const begun = world.clock.now();
  await assert.rejects(world.settled(mesh(other).removal.remove(lost.peer)), (error: Error) => {
    assert.match(error.message, /only .* may remove .*, and it cannot be reached/);
    return true;
  });
  assert.ok(world.clock.now() - begun <= 10_000, 'within seconds');
  assert.ok(mesh(other).membership.isMember(lost.peer));
  await world.settled(mesh(heir).removal.remove(lost.peer));
  await assert.rejects(world.settled(mesh(heir).removal.remove(lost.peer)), { code: 'already-removed' });
  world.heal();
  await world.until(() => agreed([heir, ...rest], lost), 60_000);
});

/** Two heirs of each other do so, each with another host on its side of a cut, which is over then; and the root key, which the first one had. */
async function removeEachOther(seed: string) {
  const { world, hosts } = await createMesh(seed, 0, 0, 1);
  const [a, b, c, d] = hosts as [SimHost, SimHost, SimHost, SimHost];
  const root = mesh(a).membership.rootSeed() as Uint8Array;
  world.partition([a, c], [b, d]);
  await world.clock.advance(15_000);
  await world.settled(mesh(a).removal.remove(b.peer));
  await world.settled(mesh(b).removal.remove(a.peer));
  world.heal();
  return { world, hosts: [a, b, c, d] as const, root };
}

test('heirs of each other that remove each other are both removed, and the others say what is left to do', async () => {
  const { world, hosts, root } = await removeEachOther('each other');
  const [a, b, c, d] = hosts;
  const both = (host: SimHost) => [a, b].every(({ peer }) => mesh(host).membership.isRemoved(peer));
  await world.until(() => [c, d].every(both), 60_000);
  await world.settled(mesh(c).removal.recover(a.peer, root, false));
  await world.until(() => agreed([c, d], a) && agreed([c, d], b), 60_000);
});

test('an heir that loses its power at any write of a removal goes on with it when it is back', async () => {
  let crashes = 0;
  for (let write = 1; write <= 5; write += 1) {
    for (const when of ['before', 'after'] as const) {
      const { world, hosts } = await createMesh(`write ${write} ${when}`, 0, 0, 1);
      const [a] = hosts as [SimHost];
      const lost = hosts.at(-1) as SimHost;
      const heir = hosts.find(({ peer }) => peer === mesh(a).membership.heirOf(lost.peer)) as SimHost;
      const left = hosts.filter((host) => host !== lost);
      lost.crash();
      await world.clock.advance(5_000);
      const { life } = heir;
      heir.disk.crashAt(heir.disk.begun() + write, when, () => heir.crash());
      mesh(heir)
        .removal.remove(lost.peer)
        .catch(() => {});
      await world.clock.advance(3_000);
      if (heir.life !== life) {
        crashes += 1;
        await world.settled(heir.boot());
        await world.clock.advance(5_000);
        if (!mesh(heir).membership.isRemoved(lost.peer))
          await world.settled(mesh(heir).removal.remove(lost.peer));
      }
      await world.until(() => agreed(left, lost), 60_000);
      const current = (host: SimHost) => mesh(host).membership.epochs()[0];
      await world.until(
        () => left.every((host) => current(host)?.rotation?.excluded[0] === lost.peer),
        60_000,
      );
      await world.until(() => left.every((host) => current(host)?.number === current(a)?.number), 30_000);
    }
  }
  assert.ok(crashes >= 4, `${crashes} crashes`);
});

test('who was let in by a host that had been removed is no member, and leaves its addresses when it is removed, too', async () => {
  const { world, hosts } = await createMesh('outsider', 0, 0, 0);
  const [a, b, ...more] = hosts as [SimHost, SimHost, SimHost, SimHost];
  const heirOf = (host: SimHost) => mesh(a).membership.heirOf(host.peer);
  const issuer = more.find((host) => heirOf(host) === a.peer) as SimHost;
  const donor = more.find((host) => heirOf(host) === b.peer) as SimHost;
  world.partition([a], [b, issuer, donor]);
  await world.clock.advance(15_000);
  await world.settled(mesh(a).removal.remove(issuer.peer));
  const e = await admit(world, hosts, hosts.indexOf(issuer));
  await world.until(() => mesh(b).membership.heirOf(e.peer) === donor.peer, 10_000);
  const left = [a, b, donor];
  world.heal();
  await world.until(() => left.every((host) => mesh(host).membership.isRemoved(issuer.peer)), 60_000);
  assert.deepEqual(mesh(b).membership.outsiders(), [e.peer]);
  assert.ok(ownedBy(b, e) > 0);
  await world.settled(mesh(b).removal.remove(e.peer));
  await world.until(() => agreed(left, issuer) && agreed(left, e), 60_000);
  for (const host of left) assert.deepEqual(mesh(host).membership.outsiders(), []);
  const digest = (host: SimHost) => JSON.stringify(mesh(host).records.replica.digest());
  await world.until(() => new Set(left.map(digest)).size === 1, 60_000);
});

test('every host says whom the addresses of a removed one wait for', async () => {
  const { world, hosts, root } = await removeEachOther('says');
  const [a, b, c, d] = hosts;
  const waits = (host: SimHost) => mesh(host).space.inheritance.waiting();
  const both = [a.peer, b.peer].sort();
  await world.until(
    () =>
      [c, d].every(
        (host) =>
          waits(host)
            .map(({ peer }) => peer)
            .join() === both.join(),
      ),
    60_000,
  );
  for (const host of [c, d])
    assert.deepEqual(
      waits(host).map(({ taker }) => taker),
      [undefined, undefined],
    );
  d.crash();
  await world.settled(mesh(c).removal.recover(a.peer, root, false));
  await world.until(
    () => waits(c).every(({ taker, missing }) => taker === c.peer && missing.includes(d.peer)),
    30_000,
  );
  await world.settled(d.boot());
  await world.until(() => [c, d].every((host) => waits(host).length === 0), 60_000);
});
