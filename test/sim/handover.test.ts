import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerId } from '../../src/core/ids.ts';
import { KEY } from '../../src/mesh/records.ts';
import type { SimHost } from './mesh-world.ts';
import { agreed, createMesh, mesh, ownedBy } from './removal-world.ts';

/** Four hosts; `ward`, which made the mesh or joined it, has `heir` as its heir, and `next` has never been that. */
async function createHandover(seed: string) {
  const { world, hosts } = await createMesh(seed, 0, 0, 0);
  const [a] = hosts as [SimHost];
  const heir = hosts[1] as SimHost;
  assert.equal(mesh(a).membership.heirOf(a.peer), heir.peer, 'the first that joined');
  const [next, other] = hosts.slice(2) as [SimHost, SimHost];
  return { world, hosts, ward: a, heir, next, other };
}

const witnessOf = (viewer: SimHost, host: SimHost) => mesh(viewer).membership.witnessOf(host.peer);

test('an heir hands its role over, from any host, and the new one confirms donations and removes', async () => {
  const { world, hosts, ward, heir, next, other } = await createHandover('handover');
  const outcome = await world.settled(mesh(other).handover.handOver(heir.peer, next.peer));
  assert.ok(outcome.handed.includes(ward.peer));
  await world.until(() => hosts.every((host) => witnessOf(host, ward) === next.peer), 10_000);
  heir.crash();
  await world.settled(mesh(other).removal.remove(heir.peer));
  const left = hosts.filter((host) => host !== heir);
  await world.until(() => agreed(left, heir), 60_000);
  const given = await world.settled(mesh(ward).space.grant(other.peer));
  assert.equal(given[0]?.witness, next.peer, 'what it gives away is confirmed by the new heir');
  ward.crash();
  const { by } = await world.settled(mesh(other).removal.remove(ward.peer));
  assert.equal(by, next.peer);
  const before = ownedBy(next, next);
  await world.until(() => agreed([next, other], ward), 60_000);
  assert.ok(ownedBy(next, next) >= before);
});

test('a handover is refused where it could not work, and says why', async () => {
  const { world, ward, heir, next, other } = await createHandover('refusals');
  const refused = (code: string, from: SimHost, to: SimHost) =>
    assert.rejects(world.settled(mesh(other).handover.handOver(from.peer, to.peer)), { code });
  await refused('same-peer', heir, heir);
  const again = await world.settled(mesh(heir).handover.handOver(heir.peer, next.peer));
  assert.ok(again.handed.includes(ward.peer));
  assert.deepEqual((await world.settled(mesh(heir).handover.handOver(heir.peer, next.peer))).handed, []);
  await world.until(() => witnessOf(next, ward) === next.peer, 10_000);
  const back = await world.settled(mesh(next).handover.handOver(next.peer, heir.peer));
  assert.deepEqual(
    back.kept.find(({ peer }) => peer === ward.peer),
    { peer: ward.peer, why: 'had-it' },
  );
  const own = await world.settled(mesh(next).handover.handOver(next.peer, ward.peer));
  assert.deepEqual(
    own.kept.find(({ peer }) => peer === ward.peer),
    { peer: ward.peer, why: 'itself' },
  );
  next.crash();
  await world.until(() => !mesh(other).liveness.isUp(next.peer), 30_000);
  await refused('heir-down', heir, next);
  await refused('holder-unreachable', next, ward);
  await world.settled(mesh(other).removal.remove(next.peer));
  await world.until(() => mesh(other).membership.isRemoved(next.peer), 10_000);
  await refused('already-removed', heir, next);
});

test('an heir that loses its power at any write of a handover has handed its role over, or still has it', async () => {
  let crashes = 0;
  for (let write = 1; write <= 3; write += 1) {
    for (const when of ['before', 'after'] as const) {
      const { world, hosts, ward, heir, next, other } = await createHandover(`write ${write} ${when}`);
      await world.clock.advance(5_000);
      const { life } = heir;
      heir.disk.crashAt(heir.disk.begun() + write, when, () => heir.crash());
      mesh(heir)
        .handover.handOver(heir.peer, next.peer)
        .catch(() => {});
      await world.clock.advance(3_000);
      if (heir.life !== life) {
        crashes += 1;
        await world.settled(heir.boot());
      } else heir.disk.crashAt(0, when, () => {});
      await world.until(() => new Set(hosts.map((host) => witnessOf(host, ward))).size === 1, 60_000);
      const now = witnessOf(other, ward);
      assert.ok(now === heir.peer || now === next.peer);
      const isWritten = mesh(heir).records.get(heir.peer, KEY.handed + ward.peer) !== undefined;
      assert.equal(now === next.peer, isWritten);
      await world.until(() => mesh(other).liveness.isUp(now as PeerId), 30_000);
      ward.crash();
      const { by } = await world.settled(mesh(other).removal.remove(ward.peer));
      assert.equal(by, now);
      await world.until(() => agreed([heir, next, other], ward), 60_000);
    }
  }
  assert.ok(crashes >= 2, `${crashes} crashes`);
});
