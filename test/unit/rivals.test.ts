import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerId } from '../../src/core/ids.ts';
import { type Judged, withoutRivals } from '../../src/mesh/paths/rivals.ts';

const at = (name: string, address: string, seen?: string): Judged => ({
  peer: name as PeerId,
  name,
  verdict: { trusted: true, address },
  seen,
});

function outcome(judged: readonly Judged[]): Record<string, string> {
  return Object.fromEntries(
    withoutRivals(judged).map(({ name, verdict }) => [name, verdict.trusted ? 'trusted' : verdict.reason]),
  );
}

test('an address belongs to who is seen there, not to who says so first', () => {
  assert.deepEqual(
    outcome([at('liar', '192.0.2.2'), at('h2', '192.0.2.2', '192.0.2.2'), at('h3', '192.0.2.3')]),
    {
      h2: 'trusted',
      h3: 'trusted',
      liar: 'another peer has the address 192.0.2.2, too',
    },
  );
});

test('hosts that come from one address are all refused, and named', () => {
  const nat = '203.0.113.9';
  const reason = `a, b come from one address, ${nat}, by which VXLAN cannot tell them apart`;
  assert.deepEqual(outcome([at('a', nat, nat), at('h1', '192.0.2.1', '192.0.2.1'), at('b', nat, nat)]), {
    a: reason,
    b: reason,
    h1: 'trusted',
  });
});

test('nobody who only claims an address takes it from hosts that share it', () => {
  const nat = '203.0.113.9';
  const { liar } = outcome([at('liar', nat), at('a', nat, nat), at('b', nat, nat)]);
  assert.equal(liar, `another peer has the address ${nat}, too`);
});
