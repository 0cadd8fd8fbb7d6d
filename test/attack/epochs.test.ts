/* SECURITY.md 10: the secret that opens links is new after each removal, whatever a member did to the numbers of epochs before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MeshId, PeerId } from '../../src/core/ids.ts';
import { isGenuineEpoch, signEpoch } from '../../src/mesh/epochs.ts';
import { readEpoch } from '../../src/mesh/membership-state.ts';
import { createMemoryCrypto } from '../../src/ports/memory/crypto.ts';
import { createSeededRandom } from '../../src/ports/memory/random.ts';

test('an epoch that names one removed peer many times does not run ahead of the removals', () => {
  const crypto = createMemoryCrypto();
  const random = createSeededRandom('epochs');
  const mesh = '00'.repeat(32) as MeshId;
  const identity = () => {
    const seed = random.bytes(32);
    const publicKey = crypto.publicKey(seed);
    return { seed, publicKey, peer: crypto.peerId(publicKey) };
  };
  const [bad, ...gone] = [identity(), identity().peer, identity().peer];
  const arrives = (number: number, excluded: readonly PeerId[]) => {
    const made = signEpoch({
      crypto,
      identity: bad,
      mesh,
      number,
      excluded,
      secret: random.bytes(32),
    });
    const epoch = readEpoch(structuredClone(made));
    return epoch !== undefined && isGenuineEpoch(epoch, mesh, crypto);
  };
  assert.equal(arrives(3, [...gone].sort()), true);
  assert.equal(arrives(4, [...gone].sort()), false);
  assert.equal(arrives(4_000, Array<PeerId>(4_000).fill(gone[0] as PeerId)), false);
  assert.equal(arrives(3, [...gone].sort().reverse()), false);
});
