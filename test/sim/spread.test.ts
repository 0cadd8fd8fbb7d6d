import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownBlocks, planDonation } from '../../src/core/donation.ts';
import { DEFAULT_NETWORK, type PeerId } from '../../src/core/ids.ts';
import { donationPart, freeCount, largestFree, NO_LEASES } from '../../src/core/ipam.ts';
import { sizeOf } from '../../src/core/ranges.ts';
import { buildRing, extendRing, type RingView } from '../../src/core/ring.ts';
import { genesisChange, type RingChange, type RingEntry } from '../../src/core/ring-entry.ts';
import { createEvener } from '../../src/mesh/evener.ts';
import { KEY, type PeerRecord } from '../../src/mesh/records.ts';
import { type Asker, createAsker } from '../../src/mesh/space/asker.ts';
import { createWaiting } from '../../src/mesh/space/waiting.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';
import { createMemoryCrypto } from '../../src/ports/memory/crypto.ts';
import { createSeededRandom } from '../../src/ports/memory/random.ts';
import { createMeshWorld, RANGE } from './mesh-world.ts';
import { mesh, ownedBy } from './removal-world.ts';

const crypto = createMemoryCrypto();
const random = createSeededRandom('spread');

function newPeer(): PeerId {
  return crypto.peerId(crypto.publicKey(random.bytes(32)));
}

/**
 * A mesh that grows: the daemon's choice of a donor, and the daemon's way to cut what it gives, on a real ring. `atOnce`: so many join before
 * anybody hears of what was given to them.
 */
async function grow(size: number, atOnce = 1) {
  const clock = createVirtualClock();
  const creator = newPeer();
  const rules = { range: RANGE, creator };
  const members: PeerId[] = [creator];
  let view: RingView = buildRing(rules, [{ entry: signed(genesisChange(RANGE, creator)), trusted: false }]);
  let heard = view;
  let asked = 0;
  const blocksOf = (peer: PeerId) => ownBlocks(view.segments, peer, []);
  const freeOf = (peer: PeerId) => freeCount(blocksOf(peer), RANGE, NO_LEASES);
  /** What each peer told when it had last something to tell: after its own first addresses, but not after its donations. */
  const told = new Map<PeerId, number>([[creator, freeOf(creator)]]);
  const records = {
    get: (peer: PeerId, key: string) =>
      key === KEY.peer ? ({ ...ABOUT, free: told.get(peer) ?? 0 } satisfies PeerRecord) : undefined,
  } as never;

  function donate(donor: PeerId, to: PeerId): RingEntry {
    const free = largestFree(blocksOf(donor), RANGE, NO_LEASES);
    assert.ok(free);
    const entry = signed(planDonation(free.block, donationPart(free.run, RANGE), donor, to));
    const extended = extendRing(rules, view, { entry, trusted: false });
    assert.ok(extended);
    view = extended;
    return entry;
  }

  function askerOf(self: PeerId, to: PeerId): Asker {
    return createAsker({
      self,
      ledger: { segments: () => heard.segments, ownedBy: () => 0 } as never,
      records,
      membership: { members: () => [...members] } as never,
      messenger: { request: async (donor: PeerId) => ({ granted: [donate(donor, to)] }) } as never,
      clock,
      free: () => freeOf(self),
      waiting: createWaiting(clock),
    });
  }

  for (let at = 1; at < size; at++) {
    const to = newPeer();
    const issuer = members[Math.floor(random.fraction() * members.length)] as PeerId;
    const { donor, reply } = await askerOf(issuer, to).askBest(
      to,
      DEFAULT_NETWORK,
      clock.now() + 10_000,
      async () => ({ granted: [donate(issuer, to)] }),
    );
    assert.equal(reply.granted[0]?.owner, to, `given by ${donor}`);
    members.push(to);
    told.set(to, freeOf(to));
    if (at % atOnce === 0) heard = view;
  }

  /** Every host looks now and then whether it has far fewer than most. */
  function startEveners(): void {
    heard = view;
    for (const self of members) {
      const evener = createEvener({
        self,
        clock,
        random,
        membership: { isRemoved: () => false },
        liveness: { up: () => members },
        records,
        space: {
          ring: () =>
            view.segments.map(({ start, last, entry }) => ({
              start,
              last,
              owner: entry?.owner,
              network: DEFAULT_NETWORK,
            })),
          free: () => freeOf(self),
          async refill() {
            asked++;
            const { donor } = await askerOf(self, self).askBest(self, DEFAULT_NETWORK, clock.now() + 10_000);
            heard = view;
            for (const peer of [self, donor]) told.set(peer, freeOf(peer));
          },
        },
      });
      evener.start();
    }
  }

  return {
    clock,
    startEveners,
    entries: () => view.segments.length,
    /** How often a host has asked for addresses because it had few. */
    asked: () => asked,
    /** Addresses of each, fewest first. */
    shares: () =>
      members
        .map((peer) => blocksOf(peer).reduce((sum, block) => sum + sizeOf(block), 0))
        .sort((a, b) => a - b),
  };
}

/** A real mesh, in which all join at one moment. */
async function joinAtOnce(size: number) {
  const world = createMeshWorld({ seed: 'at once' });
  const first = world.addHost();
  await world.settled(first.found());
  const token = await world.settled(first.invite(size));
  const joiners = Array.from({ length: size - 1 }, () => world.addHost());
  await world.settled(Promise.all(joiners.map((host) => host.join(token))));
  await world.clock.advance(5_000);
  const owned = () => world.hosts.map((host) => ownedBy(first, host)).sort((a, b) => a - b);
  return { world, owned, entries: () => [...mesh(first).records.entries(KEY.ring)].length };
}

const ABOUT = { nickname: 'x', version: '1', control: [], data: [], boot: '00'.repeat(8), degree: 8 };

/** Signatures are not looked at here. */
function signed(change: RingChange): RingEntry {
  const entry = { ...change, donorSignature: new Uint8Array(64) };
  if (change.owner === change.donor) return entry;
  return { ...entry, witness: change.donor, witnessSignature: new Uint8Array(64) };
}

test('of a thousand hosts on a /12 each holds at least 512 addresses, though what they told is old', async () => {
  const sizes = (await grow(1_000)).shares();
  assert.equal(sizes.length, 1_000);
  assert.ok((sizes[0] ?? 0) >= 512, `the least: ${sizes[0]}`);
  assert.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    sizeOf(RANGE),
  );
});

for (const [size, atOnce] of [
  [30, 10],
  [1_000, 10],
] as const) {
  test(`of ${size} hosts, ${atOnce} of which join at a time, each has half of its fair share a few minutes later, and then nothing moves`, async (t) => {
    const mesh = await grow(size, atOnce);
    const before = { least: mesh.shares()[0] ?? 0, entries: mesh.entries() };
    mesh.startEveners();
    await mesh.clock.advance(600_000);
    const after = { least: mesh.shares()[0] ?? 0, entries: mesh.entries() };
    const fair = sizeOf(RANGE) / size;
    const share = (addresses: number) => (addresses / fair).toFixed(2);
    t.diagnostic(
      `least of the fair share: ${share(before.least)}, then ${share(after.least)}; ring ${before.entries}, then ${after.entries}`,
    );
    assert.ok(after.least >= fair / 2.1, `${after.least} of ${fair}`);
    assert.ok(after.entries < before.entries + size, 'for less than another entry of the ring each');
    const asked = mesh.asked();
    await mesh.clock.advance(600_000);
    assert.deepEqual([mesh.entries(), mesh.asked()], [after.entries, asked]);
  });
}

test('thirty hosts that join at one moment have even shares a few minutes later', async (t) => {
  const { world, owned, entries } = await joinAtOnce(30);
  const fair = sizeOf(RANGE) / 30;
  const [before] = owned() as [number];
  const written = entries();
  await world.clock.advance(600_000);
  const [after] = owned() as [number];
  t.diagnostic(
    `least of the fair share: ${(before / fair).toFixed(2)}, then ${(after / fair).toFixed(2)}; entries of the ring: ${written}, then ${entries()}`,
  );
  assert.ok(after >= fair / 2, `${after} of ${fair}`);
  const settled = entries();
  assert.ok(settled <= written + 30);
  await world.clock.advance(600_000);
  assert.equal(entries(), settled);
  for (const host of world.hosts) host.crash();
});
