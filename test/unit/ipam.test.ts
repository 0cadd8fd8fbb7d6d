import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Range } from '../../src/core/address.ts';
import { DEFAULT_NETWORK, type EndpointId } from '../../src/core/ids.ts';
import {
  donationPart,
  drop,
  freeCount,
  type Leases,
  largestFree,
  leaseAt,
  leaseOf,
  NO_LEASES,
  nextFree,
  take,
} from '../../src/core/ipam.ts';

const NETWORK: Range = { start: 0x0a200000, last: 0x0a2fffff };

function lease(name: string | number, address: number) {
  return { endpoint: `${name}` as EndpointId, network: DEFAULT_NETWORK, address };
}

/** Takes the next free address `count` times. */
function fill(blocks: readonly Range[], network: Range, leases: Leases, count: number): Leases {
  let filled = leases;
  for (let i = 0; i < count; i += 1) {
    const address = nextFree(blocks, network, filled, DEFAULT_NETWORK);
    if (address === undefined) break;
    filled = take(filled, lease(`${address}-${i}`, address), true);
  }
  return filled;
}
const offsets = (leases: Leases) => leases.list.map(({ address }) => address - NETWORK.start);

test('addresses are handed out in order, never the first or the last of the network', () => {
  const network = { start: 16, last: 23 };
  const leases = fill([network], network, NO_LEASES, 100);
  assert.deepEqual(
    leases.list.map(({ address }) => address),
    [17, 18, 19, 20, 21, 22],
  );
  assert.equal(freeCount([network], network, leases), 0);
  assert.equal(nextFree([network], network, leases, DEFAULT_NETWORK), undefined);
  assert.equal(nextFree([{ start: 16, last: 16 }], network, NO_LEASES, DEFAULT_NETWORK), undefined);
});

test('an address that was just released is the last to be used again', () => {
  const block = { start: NETWORK.start, last: NETWORK.start + 7 };
  let leases = fill([block], NETWORK, NO_LEASES, 3);
  leases = drop(leases, leases.list[0]?.endpoint as EndpointId);
  assert.deepEqual(offsets(fill([block], NETWORK, leases, 4)), [2, 3, 4, 5, 6, 7]);
  assert.deepEqual(offsets(fill([block], NETWORK, leases, 5)), [1, 2, 3, 4, 5, 6, 7]);
});

test('an address asked for by number does not move the place where the next one is looked for', () => {
  let leases = fill([NETWORK], NETWORK, NO_LEASES, 1);
  leases = take(leases, lease('asked', NETWORK.start + 1_000), false);
  assert.deepEqual(offsets(fill([NETWORK], NETWORK, leases, 1)), [1, 2, 1_000]);
  assert.equal(leaseAt(leases, NETWORK.start + 1_000)?.endpoint, 'asked');
  assert.equal(leaseAt(leases, NETWORK.start + 1_001), undefined);
  assert.equal(leaseOf(leases, 'asked' as EndpointId, DEFAULT_NETWORK)?.address, NETWORK.start + 1_000);
  assert.equal(drop(leases, 'nobody' as EndpointId), leases);
});

test('the largest free run lies between addresses in use', () => {
  const block = { start: NETWORK.start, last: NETWORK.start + 99 };
  let leases = take(NO_LEASES, lease('a', block.start + 20), true);
  leases = take(leases, lease('b', block.start + 80), true);
  assert.deepEqual(largestFree([block], NETWORK, leases)?.run, {
    start: block.start + 21,
    last: block.start + 79,
  });
  assert.equal(largestFree([{ start: NETWORK.start, last: NETWORK.start }], NETWORK, NO_LEASES), undefined);
});

test('half of everything is cut at a round number', () => {
  assert.deepEqual(donationPart(NETWORK, NETWORK), { start: 0x0a280000, last: NETWORK.last });
  const inUse = { start: NETWORK.start + 200, last: NETWORK.last };
  assert.deepEqual(donationPart(inUse, NETWORK), { start: 0x0a280000, last: NETWORK.last });
  assert.deepEqual(donationPart({ start: NETWORK.start, last: NETWORK.start + 1 }, NETWORK), {
    start: NETWORK.start + 1,
    last: NETWORK.start + 1,
  });
});

test('a /12 with ten thousand addresses in use answers at once', () => {
  const leases = fill([NETWORK], NETWORK, NO_LEASES, 10_000);
  assert.equal(leases.list.length, 10_000);
  assert.equal(freeCount([NETWORK], NETWORK, leases), 2 ** 20 - 2 - 10_000);
  assert.equal(nextFree([NETWORK], NETWORK, leases, DEFAULT_NETWORK), NETWORK.start + 10_001);
});

const run = fc.tuple(fc.nat(2 ** 20 - 1), fc.nat(2 ** 20 - 1)).map(([a, b]) => ({
  start: NETWORK.start + Math.min(a, b),
  last: NETWORK.start + Math.max(a, b),
}));

test('a donation leaves the donor at least a quarter and gives at least one usable address', () => {
  fc.assert(
    fc.property(run, (free) => {
      fc.pre(freeCount([free], NETWORK, NO_LEASES) > 0);
      const part = donationPart(free, NETWORK);
      assert.ok(free.start <= part.start && part.start <= part.last && part.last === free.last);
      const given = freeCount([part], NETWORK, NO_LEASES);
      const all = freeCount([free], NETWORK, NO_LEASES);
      assert.ok(given >= 1 && given >= Math.floor(all / 4), `${given} of ${all}`);
      assert.ok(all === 1 || given <= Math.ceil((all * 3) / 4), `${given} of ${all}`);
    }),
  );
});

test('whatever is taken and dropped, no address is handed out twice and none is lost', () => {
  const blocks = [
    { start: 0, last: 4 },
    { start: 9, last: 12 },
    { start: 14, last: 15 },
  ];
  const network = { start: 0, last: 15 };
  const usable = [1, 2, 3, 4, 9, 10, 11, 12, 14];
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constant('take' as const), fc.nat(30)), { maxLength: 60 }), (steps) => {
      let leases = NO_LEASES;
      for (const [i, step] of steps.entries()) {
        if (step === 'take') {
          const address = nextFree(blocks, network, leases, DEFAULT_NETWORK);
          assert.equal(address === undefined, leases.list.length === usable.length);
          if (address === undefined) continue;
          assert.ok(usable.includes(address));
          assert.equal(leaseAt(leases, address), undefined);
          leases = take(leases, lease(i, address), true);
        } else leases = drop(leases, `${step}` as EndpointId);
        assert.equal(freeCount(blocks, network, leases), usable.length - leases.list.length);
        assert.deepEqual(
          leases.list,
          leases.list.toSorted((a, b) => a.address - b.address),
        );
      }
    }),
  );
});
