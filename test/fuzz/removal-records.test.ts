import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MeshId, PeerId } from '../../src/core/ids.ts';
import { isGenuineEpoch } from '../../src/mesh/epochs.ts';
import { readEpoch, readEpochs, readTombstones } from '../../src/mesh/membership-state.ts';
import { KEY, type RecordEntry } from '../../src/mesh/records.ts';
import { createClosings } from '../../src/mesh/space/closings.ts';
import { createMemoryCrypto } from '../../src/ports/memory/crypto.ts';

const crypto = createMemoryCrypto();
const MESH = '5e'.repeat(32) as MeshId;
const anything = fc.anything({ withTypedArray: true, maxDepth: 3 });
const shaped = fc.record(
  {
    number: fc.oneof(fc.integer(), anything),
    secret: fc.oneof(fc.uint8Array({ minLength: 32, maxLength: 32 }), anything),
    rotation: fc.oneof(
      fc.constant(null),
      anything,
      fc.record(
        {
          author: fc.oneof(fc.string(), anything),
          excluded: fc.oneof(fc.array(fc.string(), { maxLength: 4 }), anything),
          signature: fc.oneof(fc.uint8Array({ minLength: 64, maxLength: 64 }), anything),
        },
        { requiredKeys: [] },
      ),
    ),
  },
  { requiredKeys: [] },
);

test('whatever a neighbour shows as an epoch or as a removal is read or refused, and believed by nobody', () => {
  fc.assert(
    fc.property(fc.oneof(shaped, anything), (data) => {
      const epoch = readEpoch(data);
      if (epoch !== undefined) assert.equal(isGenuineEpoch(epoch, MESH, crypto), false);
      readEpochs([data, data]);
      assert.deepEqual(readTombstones(Array.isArray(data) ? data : [data], MESH, crypto) ?? [], []);
    }),
    { numRuns: 2_000 },
  );
});

test('whatever a member writes about the entries of a removed peer is read or ignored', () => {
  const tags = fc.record(
    {
      parts: fc.oneof(fc.integer({ min: -1, max: 70 }), anything),
      count: fc.oneof(fc.nat(), anything),
      depth: fc.oneof(fc.nat(4), anything),
      tags: fc.oneof(fc.uint8Array({ maxLength: 40 }), anything),
    },
    { requiredKeys: [] },
  );
  const [self, lost] = ['self', 'lost'] as [PeerId, PeerId];
  fc.assert(
    fc.property(fc.array(fc.oneof(tags, anything), { maxLength: 3 }), (values) => {
      const entries: RecordEntry[] = values.flatMap((value, part) =>
        [KEY.fence + lost, `${KEY.closed}${lost}/2`].map((name) => ({
          author: self,
          key: `${name}/${part}`,
          value,
        })),
      );
      const closings = createClosings({
        self,
        crypto,
        membership: { depthsOf: () => [2], lineOf: () => [{ peer: self, depth: 2 }] },
        records: {
          put: async () => {},
          putAll: async () => {},
          keep: async () => {},
          get: (author, key) => entries.find((entry) => entry.author === author && entry.key === key)?.value,
          entries: (prefix) => entries.filter(({ key }) => key.startsWith(prefix)),
          watch: () => () => {},
        },
      });
      closings.closingOf(lost);
      for (const { known } of closings.promisesAbout(lost).values()) assert.ok(known.size <= 15);
      closings.ownPromise(lost);
    }),
    { numRuns: 2_000 },
  );
});
