import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareStamps, NO_STAMP, nextStamp, readStamp, type Stamp } from '../../src/core/hybrid-clock.ts';
import type { NetworkId, PeerId } from '../../src/core/ids.ts';
import { type NetworkObject, readNetwork, tabulate } from '../../src/core/network.ts';
import { overlapping } from '../../src/core/subnets.ts';
import { latest, readVersion, type Version } from '../../src/core/versioned.ts';

const RANGE = { start: 0x0a200000, last: 0x0a2fffff };
const GOOD: NetworkObject = {
  start: 0x0a210100,
  last: 0x0a2101ff,
  name: 'web',
  internal: false,
  gateway: 0x0a210101,
  reserved: [0x0a210102],
  automatic: { start: 0x0a210180, last: 0x0a2101ff },
  options: { a: 'b' },
  born: { time: 1, count: 0 },
  creator: 'peer' as PeerId,
};

const stamp: fc.Arbitrary<Stamp> = fc.record(
  { time: fc.nat(50), count: fc.nat(3) },
  { noNullPrototype: true },
);

test('a network comes back as it was written, and any field of another kind makes it none', () => {
  assert.deepEqual({ ...readNetwork(GOOD), options: { a: 'b' } }, GOOD);
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(GOOD)), fc.anything(), (field, value) => {
      const read = readNetwork({ ...GOOD, [field]: value });
      if (read === undefined) return;
      assert.ok(read.start <= read.last && read.reserved.length <= 256);
      assert.ok(read.gateway === null || (read.start <= read.gateway && read.gateway <= read.last));
      assert.ok(read.name === null || /^[A-Za-z0-9][\w.-]{0,127}$/.test(read.name));
    }),
  );
});

test('any data at all is a network, a version and a stamp, or none of them, and throws nothing', () => {
  fc.assert(
    fc.property(fc.anything({ withBigInt: true, withNullPrototype: true, maxDepth: 3 }), (data) => {
      readNetwork(data);
      readStamp(data);
      readVersion('peer' as PeerId, data, readNetwork);
      readVersion('peer' as PeerId, { at: { time: 1, count: 1 }, removed: false, value: data }, readNetwork);
    }),
  );
});

test('lists and texts without end are refused before they are copied', () => {
  const long = (items: number) => Array.from({ length: items }, () => GOOD.start + 1);
  assert.equal(readNetwork({ ...GOOD, reserved: long(257) }), undefined);
  assert.equal(readNetwork({ ...GOOD, name: 'x'.repeat(129) }), undefined);
  const options = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`k${index}`, 'v']));
  assert.equal(readNetwork({ ...GOOD, options }), undefined);
  assert.equal(readNetwork({ ...GOOD, options: { a: 'x'.repeat(1_025) } }), undefined);
  const hostile = JSON.parse('{"__proto__": "x"}') as Record<string, string>;
  assert.equal(Object.getPrototypeOf(readNetwork({ ...GOOD, options: hostile })?.options ?? {}), null);
});

test('a stamp is later than everything seen, whatever the wall clock says, and stays readable', () => {
  fc.assert(
    fc.property(fc.double(), stamp, (wall, seen) => {
      const next = nextStamp(wall, seen);
      assert.ok(compareStamps(next, seen) > 0);
      assert.deepEqual(readStamp(next), next);
    }),
  );
  assert.ok(compareStamps(nextStamp(-1e15, NO_STAMP), NO_STAMP) > 0);
});

test('the latest version is the same in whatever order versions came', () => {
  const author = fc.constantFrom('a', 'b', 'c') as fc.Arbitrary<PeerId>;
  const version: fc.Arbitrary<Version<number>> = fc
    .tuple(author, stamp, fc.boolean())
    .map(([name, at, removed]) => ({ author: name, at, removed, value: at.time * 10 + at.count }));
  fc.assert(
    fc.property(fc.array(version, { minLength: 1 }), fc.nat(), (versions, turn) => {
      const at = turn % versions.length;
      const other = [...versions.slice(at), ...versions.slice(0, at)].reverse();
      const [one, two] = [latest(versions), latest(other)];
      assert.deepEqual([one?.author, one?.at], [two?.author, two?.at]);
    }),
  );
});

test('whatever networks members tell of, those that count do not overlap, and all hosts agree on them', () => {
  const network = fc
    .tuple(fc.nat(63), fc.constantFrom(256, 1_024, 65_536), fc.constantFrom('x', 'y', null), stamp)
    .map(([place, size, name, born]): NetworkObject => {
      const start = RANGE.start + Math.floor((place * 1_024) / size) * size;
      const none = { gateway: null, reserved: [], automatic: null };
      return { ...GOOD, ...none, start, last: start + size - 1, name, born };
    });
  fc.assert(
    fc.property(fc.array(network, { maxLength: 20 }), (networks) => {
      const named = networks.map((one, index) => {
        return [index.toString(16).padStart(16, '0') as NetworkId, one] as const;
      });
      const table = tabulate(RANGE, new Map(named));
      assert.equal(overlapping([...table.networks.values()]), undefined);
      assert.equal(table.networks.size + table.void.size, networks.length);
      const again = tabulate(RANGE, new Map(named.toReversed()));
      assert.deepEqual([...again.networks.keys()], [...table.networks.keys()]);
      assert.deepEqual([...again.byName], [...table.byName]);
    }),
  );
});
