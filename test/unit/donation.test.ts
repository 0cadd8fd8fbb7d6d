import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isSettled, judgeWitness, livePromises, ownBlocks, planDonation } from '../../src/core/donation.ts';
import type { PeerId } from '../../src/core/ids.ts';
import { buildRing } from '../../src/core/ring.ts';
import { checkHolders } from '../../src/core/ring-check.ts';
import { type RingEntry, sameChange } from '../../src/core/ring-entry.ts';
import { CREATOR, GENESIS, gift, honestHistory, known, PEERS, RULES } from './support/ring-world.ts';

const segments = (...entries: readonly RingEntry[]) => buildRing(RULES, known(...entries)).segments;
const [A, B] = PEERS as [PeerId, PeerId];

test('a donor stops using what it has promised away before anybody knows', () => {
  const intent = gift(8, 15, 'A', 'B', 1);
  assert.deepEqual(
    ownBlocks(segments(GENESIS), A, [intent]).map(({ start, last }) => [start, last]),
    [[0, 7]],
  );
  assert.deepEqual(
    ownBlocks(segments(GENESIS, intent), B, []).map(({ start, last }) => [start, last]),
    [[8, 15]],
  );
});

test('what came back may be used again although the old promise is still noted', () => {
  const [intent, back] = [gift(8, 15, 'A', 'B', 1), gift(8, 15, 'B', 'A', 2)];
  const blocks = ownBlocks(segments(GENESIS, intent, back), A, [intent]);
  assert.deepEqual(
    blocks.map(({ start, last, version }) => [start, last, version]),
    [
      [0, 7, 0],
      [8, 15, 2],
    ],
  );
});

test('a donation counts at once in the ring of everybody who has the history', () => {
  const [block] = ownBlocks(segments(GENESIS), A, []);
  assert.ok(block);
  const change = planDonation(block, { start: 4, last: 5 }, CREATOR, B);
  assert.ok(sameChange(change, gift(4, 5, 'A', 'B', 1)));
  assert.equal(isSettled(segments(GENESIS), change), false);
  assert.equal(isSettled(segments(GENESIS, gift(4, 5, 'A', 'B', 1)), change), true);
  assert.equal(isSettled(segments(GENESIS, gift(4, 4, 'A', 'B', 1)), change), false);
});

test('an heir promises once for each version and only for the owner', () => {
  const ring = segments(GENESIS, gift(8, 15, 'A', 'B', 1));
  assert.equal(judgeWitness(ring, [], gift(0, 3, 'A', 'C', 1)), 'sign');
  assert.equal(judgeWitness(ring, [gift(0, 3, 'A', 'C', 1)], gift(0, 3, 'A', 'C', 1)), 'sign');
  assert.equal(judgeWitness(ring, [gift(0, 3, 'A', 'C', 1)], gift(2, 2, 'A', 'D', 1)), 'conflict');
  assert.equal(judgeWitness(ring, [gift(0, 3, 'A', 'C', 1)], gift(4, 5, 'A', 'D', 1)), 'sign');
  assert.equal(judgeWitness(ring, [], gift(8, 9, 'A', 'C', 1)), 'conflict', 'given away before');
  assert.equal(judgeWitness(ring, [], gift(0, 3, 'B', 'B', 1)), 'conflict', 'not the owner');
  assert.equal(judgeWitness(ring, [], gift(0, 15, 'A', 'C', 1)), 'conflict', 'not the owner of all');
});

test('an heir whose ring is behind asks for patience instead of refusing', () => {
  assert.equal(judgeWitness([], [], gift(0, 3, 'A', 'C', 1)), 'behind');
  assert.equal(judgeWitness(segments(GENESIS), [], gift(0, 3, 'B', 'C', 2)), 'behind');
  assert.equal(judgeWitness(segments(GENESIS), [gift(0, 3, 'B', 'C', 2)], gift(0, 3, 'B', 'C', 2)), 'sign');
});

test('a promise is kept until the ring has come past it', () => {
  const promise = gift(0, 3, 'A', 'B', 1);
  assert.deepEqual(livePromises(segments(GENESIS), [promise]), [promise]);
  assert.deepEqual(livePromises(segments(GENESIS, promise), [promise]), [promise]);
  const further = [gift(0, 1, 'B', 'C', 2), gift(2, 3, 'B', 'A', 2)];
  assert.deepEqual(livePromises(segments(GENESIS, promise, ...further.slice(1)), [promise]), [promise]);
  assert.deepEqual(livePromises(segments(GENESIS, promise, ...further), [promise]), []);
});

test('peers that know different parts of an honest history never hold the same address, given that each knows what it gave', () => {
  const scene = honestHistory.chain((history) =>
    fc.tuple(
      fc.constant(history),
      fc.array(fc.array(fc.boolean(), { minLength: history.length, maxLength: history.length }), {
        minLength: PEERS.length,
        maxLength: PEERS.length,
      }),
    ),
  );
  fc.assert(
    fc.property(scene, ([history, heard]) => {
      const holders = new Map(
        PEERS.map((peer, p) => {
          const entries = history.filter((entry, e) => entry.donor === peer || heard[p]?.[e]);
          const gone = history.filter((entry) => entry.donor === peer && entry.owner !== peer);
          return [peer, ownBlocks(segments(...entries), peer, gone)] as const;
        }),
      );
      assert.deepEqual(checkHolders(holders), []);
    }),
    { numRuns: 500 },
  );
});
