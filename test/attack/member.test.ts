import assert from 'node:assert/strict';
import { test } from 'node:test';
import { signCertificate, signTombstone } from '../../src/core/certificate.ts';
import { DEFAULT_NETWORK, type PeerId } from '../../src/core/ids.ts';
import { type RingEntry, ringKey, signChange, witnessBytes } from '../../src/core/ring-entry.ts';
import { createRoster, MAX_ISSUED } from '../../src/core/roster.ts';
import type { Mesh } from '../../src/mesh/mesh.ts';
import { KEY } from '../../src/mesh/records.ts';
import { REQUEST } from '../../src/mesh/space/protocol.ts';
import { createMemoryCrypto } from '../../src/ports/memory/crypto.ts';
import { createSeededRandom } from '../../src/ports/memory/random.ts';
import { createMeshWorld, type MeshWorld, type SimHost } from '../sim/mesh-world.ts';

const mesh = (host: SimHost): Mesh => host.mesh as Mesh;
const ownedBy = (viewer: SimHost, peer: PeerId) =>
  mesh(viewer)
    .space.ring()
    .filter(({ owner }) => owner === peer)
    .reduce((sum, { start, last }) => sum + last - start + 1, 0);

/** Five hosts of one mesh; the last one is the bad one. */
async function five(seed: string) {
  const world = createMeshWorld({ seed });
  const first = world.addHost();
  await world.settled(first.found());
  for (let at = 0; at < 4; at += 1) {
    const token = await world.settled(first.invite());
    await world.settled(world.addHost().join(token), 10_000);
  }
  const hosts = world.hosts;
  await world.until(() => hosts.every((host) => mesh(host).links.neighbours().length === 4), 20_000);
  const good = hosts.slice(0, 4);
  return { world, good, bad: hosts[4] as SimHost };
}

/** Everything that the bad one may try to change of the others. */
function picture(good: readonly SimHost[]): unknown {
  return good.map((host) => ({
    ring: mesh(host).space.ring(),
    members: mesh(host).membership.members(),
    removed: mesh(host).membership.removed(),
    epoch: mesh(host).membership.epochs()[0],
  }));
}

async function forge(world: MeshWorld, good: readonly SimHost[], bad: SimHost): Promise<void> {
  const { membership, records } = mesh(bad);
  const identity = bad.identity;
  const { crypto } = world;
  const id = membership.mesh;
  const victim = good[1] as SimHost;
  const [block] = mesh(bad)
    .space.ring()
    .filter(({ owner }) => owner === victim.peer);
  assert.ok(block);
  const { start, last } = block;
  const plain = { start, last, network: DEFAULT_NETWORK, owner: bad.peer };
  const forged = [
    { ...plain, epoch: 0, version: 1, donor: bad.peer },
    { ...plain, epoch: 0, version: 0xffff_fff0, donor: bad.peer },
    { ...plain, epoch: 1, version: 0, donor: victim.peer },
    { ...plain, epoch: 0xffff_0000, version: 0, donor: victim.peer },
    { ...plain, epoch: 0, version: 1, donor: victim.peer },
  ].map((change) => signChange(crypto, identity, id, change));
  const others = [...records.entries(KEY.ring)].filter(({ author }) => author !== bad.peer).slice(0, 5);
  const tombstone = signTombstone(
    { mesh: id, peer: victim.peer, issuer: bad.peer, adopter: bad.peer },
    identity.seed,
    crypto,
  );
  const changes = new Map<string, unknown>([
    ...forged.map((entry) => [ringKey(entry), entry] as const),
    ...others.map(({ key, value }) => [key, value] as const),
    [KEY.removed + victim.peer, tombstone],
    [KEY.heir, { peer: bad.peer }],
    [`${KEY.closed}${victim.peer}/2/0`, { parts: 1, count: 0, depth: 2, tags: new Uint8Array() }],
    [`${KEY.fence}${victim.peer}/0`, { parts: 64, count: 1e9, depth: -1, tags: 'x' }],
    [`${KEY.ring}0-0/0-0`, { start: -1 }],
  ]);
  await world.settled(records.putAll(changes));
}

test('forged, replayed and re-wrapped records of a member change nothing for the others, and it is named', async () => {
  const { world, good, bad } = await five('forger');
  await world.clock.advance(15_000);
  const before = picture(good);
  await forge(world, good, bad);
  await world.clock.advance(15_000);
  assert.deepEqual(picture(good), before);
  for (const host of good) {
    const authors = new Set(
      mesh(host)
        .space.quarantine()
        .map(({ author }) => author),
    );
    assert.ok(authors.has(bad.peer), 'named where it is looked for');
    assert.equal(mesh(host).links.neighbours().length, 4, 'and no link is lost by it');
  }
});

test('five thousand records a second of one member are bounded, and it is removed while it goes on', async () => {
  const { world, good, bad } = await five('flood');
  const { records } = mesh(bad);
  let stopped = false;
  let written = 0;
  const flood = async () => {
    const random = createSeededRandom('flood');
    while (!stopped) {
      const some = new Map<string, unknown>();
      for (let at = 0; at < 250; at += 1) some.set(`junk/${written++}`, random.bytes(64));
      await records.putAll(some).catch(() => {});
      await new Promise<void>((resolve) => world.clock.setTimer(50, resolve));
    }
  };
  const flooding = flood();
  await world.clock.advance(5_000);
  assert.ok(written > 20_000, `${written} written`);
  const target = good[2] as SimHost;
  await world.settled(mesh(target).removal.remove(bad.peer), 20_000);
  await world.until(() => good.every((host) => mesh(host).membership.isRemoved(bad.peer)), 10_000);
  await world.until(() => good.every((host) => ownedBy(host, bad.peer) === 0), 10_000);
  stopped = true;
  await world.settled(flooding);
  for (const host of good) {
    const held = mesh(host).records.replica.deltas(bad.peer);
    const bytes = held.reduce((sum, { body }) => sum + body.length, 0);
    assert.ok(bytes <= 16 << 20, `${bytes} bytes of one author`);
    assert.equal(mesh(host).links.neighbour(bad.peer), undefined);
  }
});

test('a member that asks for addresses again and again leaves every donor some', async () => {
  const { world, good, bad } = await five('greedy');
  await world.clock.advance(5_000);
  for (let round = 0; round < 60; round += 1) {
    for (const { peer } of good) {
      // It hides what it has, and asks for peers that nobody has ever seen, too.
      const to = round % 2 === 0 ? bad.peer : world.addHost().peer;
      const owned = ownedBy(bad, to);
      const body = { for: to, owned, wait: 2_000 };
      await world.settled(
        mesh(bad)
          .messenger.request(peer, REQUEST, body, { timeout: 2_000 })
          .catch(() => {}),
      );
    }
  }
  for (const host of good)
    assert.ok(mesh(host).space.free() >= 256, `${host.name}: ${mesh(host).space.free()}`);
});

test('certificates for made-up peers count up to a limit', () => {
  const crypto = createMemoryCrypto();
  const random = createSeededRandom('made up');
  const key = () => {
    const seed = random.bytes(32);
    return { seed, peer: crypto.peerId(crypto.publicKey(seed)) };
  };
  const [root, creator] = [key(), key()];
  const roster = createRoster(root.peer, creator.peer);
  const common = { mesh: '00'.repeat(32) as never };
  const own = { ...common, peer: creator.peer, issuer: root.peer, heir: undefined, serial: 0 };
  roster.addCertificate(signCertificate(own, root.seed, crypto), creator.peer);
  for (let serial = 1; serial <= MAX_ISSUED + 100; serial += 1) {
    const body = { ...common, peer: key().peer, issuer: creator.peer, heir: creator.peer, serial };
    roster.addCertificate({ ...body, signature: new Uint8Array(64) }, creator.peer);
  }
  assert.equal(roster.members().length, MAX_ISSUED + 1);
});

test('a range that its owner gave to two hosts, its heir helping, is set aside; links and packets go on, and removing the owner settles it', async () => {
  const { world, good, bad } = await five('twice');
  await world.clock.advance(5_000);
  const { membership, records } = mesh(bad);
  const id = membership.mesh;
  const heir = good.find(({ peer }) => peer === membership.heirOf(bad.peer));
  assert.ok(heir);
  const [block] = mesh(bad)
    .space.ring()
    .filter(({ owner }) => owner === bad.peer);
  const held = [...records.entries(KEY.ring)].find(
    ({ value }) => (value as RingEntry).owner === bad.peer && (value as RingEntry).start === block?.start,
  )?.value as RingEntry;
  const { start, last, epoch, version } = held;
  const gifts = good.slice(1, 3).map((to) => {
    const change = {
      start,
      last,
      network: DEFAULT_NETWORK,
      owner: to.peer,
      epoch,
      version: version + 1,
      donor: bad.peer,
    };
    const entry = signChange(world.crypto, bad.identity, id, change);
    const bytes = witnessBytes(id, entry, heir.peer);
    return { ...entry, witness: heir.peer, witnessSignature: world.crypto.sign(heir.identity.seed, bytes) };
  });
  const [first, second] = gifts;
  assert.ok(first && second);
  // One key of the records holds one of them; the other goes from hand to hand.
  await world.settled(records.put(ringKey(first), first));
  await world.settled(mesh(heir).records.put(ringKey(second), second));
  await world.clock.advance(5_000);
  for (const host of good) {
    const there = mesh(host)
      .space.ring()
      .find((segment) => segment.start <= start && start <= segment.last);
    assert.equal(there?.owner, undefined, 'it is nobody’s');
    assert.ok(
      mesh(host)
        .space.quarantine()
        .some(({ reason, author }) => reason === 'disputed' && author === bad.peer),
    );
    assert.equal(mesh(host).links.neighbours().length, 4);
    for (const other of good) {
      if (other !== host) assert.equal(mesh(host).sessions.status(other.peer)?.state, 'established');
    }
  }
  await world.settled(mesh(good[3] as SimHost).removal.remove(bad.peer), 20_000);
  await world.until(() => good.every((host) => ownedBy(host, bad.peer) === 0), 10_000);
  const whole = () =>
    good.every((host) =>
      mesh(host)
        .space.ring()
        .every(({ owner }) => owner !== undefined),
    );
  await world.until(whole, 10_000);
});
