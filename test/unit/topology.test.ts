import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PeerId } from '../../src/core/ids.ts';
import { createTopology } from '../../src/core/topology.ts';

const p = (...names: string[]) => names as PeerId[];
const [self, a, b, c, d] = p('s', 'a', 'b', 'c', 'd') as [PeerId, PeerId, PeerId, PeerId, PeerId];

test('messages take the fewest hops, and the first of equals', () => {
  const topology = createTopology(self);
  topology.setOwn([b, a]);
  topology.set(a, [self, c]);
  topology.set(b, [self, c]);
  topology.set(c, [a, b, d]);
  topology.set(d, [c]);
  assert.equal(topology.nextHop(a), a);
  assert.equal(topology.nextHop(c), a);
  assert.equal(topology.nextHop(d), a);
  assert.deepEqual([self, a, c, d].map(topology.hops), [0, 1, 2, 3]);
  assert.deepEqual(topology.reachable(), [self, a, b, c, d]);
  assert.equal(topology.nextHop(self), undefined);
});

test('a crashed peer is gone once every neighbour has dropped it, whatever its own last words', () => {
  const topology = createTopology(self);
  topology.setOwn([a, b]);
  topology.set(a, [self, c]);
  topology.set(b, [self, c]);
  topology.set(c, [a, b]);
  topology.set(a, [self]);
  assert.equal(topology.nextHop(c), b);
  topology.set(b, [self]);
  assert.equal(topology.hops(c), undefined);
});

test('a link that only one side claims carries nothing', () => {
  const topology = createTopology(self);
  topology.setOwn([a]);
  topology.set(a, [self, c]);
  assert.equal(topology.hops(c), undefined);
  topology.set(c, [a]);
  assert.equal(topology.hops(c), 2);
  topology.set(a, undefined);
  assert.equal(topology.hops(c), undefined);
  assert.equal(topology.hops(a), 1, 'the own link is open all the same');
});

test('a change that is none is told apart', () => {
  const topology = createTopology(self);
  assert.equal(topology.setOwn([]), false);
  assert.equal(topology.setOwn([a]), true);
  assert.equal(topology.setOwn([a, a, self]), false);
  assert.equal(topology.set(a, [b]), true);
  assert.equal(topology.set(a, [b, b, a]), false);
  assert.equal(topology.set(self, [b]), false);
  assert.equal(topology.set(c, undefined), false);
  assert.deepEqual(topology.neighboursOf(a), [b]);
  assert.deepEqual(topology.neighboursOf(self), [a]);
  assert.deepEqual(topology.neighboursOf(d), []);
});

/** Shortest distances by relaxation, without a queue: a second opinion. */
function distances(edges: ReadonlySet<string>, count: number): readonly number[] {
  const far = Array.from({ length: count }, (_, peer) => (peer === 0 ? 0 : Number.POSITIVE_INFINITY));
  for (let round = 0; round < count; round++) {
    for (const edge of edges) {
      const [x, y] = edge.split('-').map(Number) as [number, number];
      const open = (x === 0 || edges.has(`${y}-${x}`)) && y !== 0;
      if (open) far[y] = Math.min(far[y] as number, (far[x] as number) + 1);
    }
  }
  return far;
}

test('on any graph the hops are those of a slow search, and following next hops arrives', () => {
  const count = 7;
  const graph = fc.uniqueArray(
    fc.tuple(fc.nat(count - 1), fc.nat(count - 1)).filter(([x, y]) => x !== y),
    {
      selector: ([x, y]) => `${x}-${y}`,
      maxLength: 30,
    },
  );
  fc.assert(
    fc.property(graph, (pairs) => {
      const names = Array.from({ length: count }, (_, index) => `p${index}` as PeerId);
      const claims = (x: number) => pairs.filter(([from]) => from === x).map(([, to]) => names[to] as PeerId);
      const topology = createTopology(names[0] as PeerId);
      topology.setOwn(claims(0));
      for (let x = 1; x < count; x++) topology.set(names[x] as PeerId, claims(x));
      const far = distances(new Set(pairs.map(([x, y]) => `${x}-${y}`)), count);
      names.forEach((name, index) => {
        const hops = Number.isFinite(far[index]) ? far[index] : undefined;
        assert.equal(topology.hops(name), hops);
        const next = topology.nextHop(name);
        if (index > 0) assert.equal(next !== undefined && claims(0).includes(next), hops !== undefined);
      });
    }),
    { numRuns: 500 },
  );
});
