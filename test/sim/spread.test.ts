import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownBlocks, planDonation } from '../../src/core/donation.ts';
import { DEFAULT_NETWORK, type PeerId } from '../../src/core/ids.ts';
import { donationPart, freeCount, largestFree, NO_LEASES } from '../../src/core/ipam.ts';
import { sizeOf } from '../../src/core/ranges.ts';
import { buildRing, extendRing, type RingView } from '../../src/core/ring.ts';
import { genesisChange, type RingChange, type RingEntry } from '../../src/core/ring-entry.ts';
import { KEY, type PeerRecord } from '../../src/mesh/records.ts';
import { createAsker } from '../../src/mesh/space/asker.ts';
import { createWaiting } from '../../src/mesh/space/waiting.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';
import { createMemoryCrypto } from '../../src/ports/memory/crypto.ts';
import { createSeededRandom } from '../../src/ports/memory/random.ts';
import { RANGE } from './mesh-world.ts';

const crypto = createMemoryCrypto();
const random = createSeededRandom('spread');

function newPeer(): PeerId {
  return crypto.peerId(crypto.publicKey(random.bytes(32)));
}

/** A mesh that grows one by one: the daemon's choice of a donor, and the daemon's way to cut what it gives, on a real ring. */
async function grow(size: number): Promise<ReadonlyMap<PeerId, number>> {
  const clock = createVirtualClock();
  const creator = newPeer();
  const rules = { range: RANGE, creator };
  const members: PeerId[] = [creator];
  let view: RingView = buildRing(rules, [{ entry: signed(genesisChange(RANGE, creator)), trusted: false }]);
  const blocksOf = (peer: PeerId) => ownBlocks(view.segments, peer, []);
  const freeOf = (peer: PeerId) => freeCount(blocksOf(peer), RANGE, NO_LEASES);
  /** What each peer told when it had last something to tell: after its own first addresses, but not after its donations. */
  const told = new Map<PeerId, number>([[creator, freeOf(creator)]]);

  function donate(donor: PeerId, to: PeerId): RingEntry {
    const free = largestFree(blocksOf(donor), RANGE, NO_LEASES);
    assert.ok(free);
    const entry = signed(planDonation(free.block, donationPart(free.run, RANGE), donor, to));
    const extended = extendRing(rules, view, { entry, trusted: false });
    assert.ok(extended);
    view = extended;
    return entry;
  }

  for (let at = 1; at < size; at++) {
    const to = newPeer();
    const issuer = members[Math.floor(random.fraction() * members.length)] as PeerId;
    const asker = createAsker({
      self: issuer,
      ledger: { segments: () => view.segments, ownedBy: () => 0 } as never,
      records: {
        get: (peer: PeerId, key: string) =>
          key === KEY.peer ? ({ ...ABOUT, free: told.get(peer) ?? 0 } satisfies PeerRecord) : undefined,
      } as never,
      membership: { members: () => [...members] } as never,
      messenger: { request: async (donor: PeerId) => ({ granted: [donate(donor, to)] }) } as never,
      clock,
      free: () => freeOf(issuer),
      waiting: createWaiting(clock),
    });
    const { donor, reply } = await asker.askBest(to, DEFAULT_NETWORK, clock.now() + 10_000, async () => ({
      granted: [donate(issuer, to)],
    }));
    assert.equal(reply.granted[0]?.owner, to, `given by ${donor}`);
    members.push(to);
    told.set(to, freeOf(to));
  }
  return new Map(
    members.map((peer) => [peer, blocksOf(peer).reduce((sum, block) => sum + sizeOf(block), 0)]),
  );
}

const ABOUT = { nickname: 'x', version: '1', control: [], data: [], boot: '00'.repeat(8), degree: 8 };

/** Signatures are not looked at here. */
function signed(change: RingChange): RingEntry {
  const entry = { ...change, donorSignature: new Uint8Array(64) };
  if (change.owner === change.donor) return entry;
  return { ...entry, witness: change.donor, witnessSignature: new Uint8Array(64) };
}

test('of a thousand hosts on a /12 each holds at least 512 addresses, though what they told is old', async () => {
  const owned = await grow(1_000);
  const sizes = [...owned.values()].sort((a, b) => a - b);
  assert.equal(sizes.length, 1_000);
  assert.ok((sizes[0] ?? 0) >= 512, `the least: ${sizes[0]}`);
  assert.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    sizeOf(RANGE),
  );
});
