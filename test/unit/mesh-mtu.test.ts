import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerId } from '../../src/core/ids.ts';
import { LEAST, type MeshMtuParts, meshMtu } from '../../src/daemon/mesh-mtu.ts';
import { RELAY_BYTES } from '../../src/ports/datapath.ts';

interface Other {
  /** What it says of its device. */
  readonly told?: number;
  readonly path?: number;
  readonly kind?: 'vxlan' | 'encrypted';
  readonly relayed?: boolean;
}

function smallest(own: number, others: readonly Other[]): number {
  const peers = others.map((_, at) => `p${at}` as PeerId);
  const other = (peer: PeerId) => others[peers.indexOf(peer)] as Other;
  const record = { nickname: 'x', version: '1', control: [], data: [], boot: 'b', free: 0, degree: 8 };
  const parts = {
    own,
    mesh: {
      membership: { self: 'self' as PeerId, members: () => ['self' as PeerId, ...peers] },
      records: {
        get: (author: PeerId) => {
          const { told } = other(author);
          return told === undefined ? record : { ...record, mtu: told };
        },
      },
    },
    paths: {
      report: (peer: PeerId) => ({ kind: other(peer).kind ?? 'encrypted', mtu: other(peer).path ?? own }),
    },
    relays: {
      status: (peer: PeerId) => (other(peer).relayed ? { direct: 'blocked', by: 'p9' } : { direct: 'works' }),
    },
  };
  return meshMtu(parts as unknown as MeshMtuParts);
}

test('what fits everywhere is the least of this device, of the others and of the ways to them', () => {
  assert.equal(smallest(1428, []), 1428);
  assert.equal(smallest(1428, [{}, { told: 8928 }]), 1428);
  assert.equal(smallest(1428, [{ told: 1328 }, {}]), 1328);
  assert.equal(smallest(1428, [{ told: 1428, path: 1350, kind: 'vxlan' }, {}]), 1350);
  assert.equal(smallest(1428, [{ relayed: true }]), 1428 - RELAY_BYTES);
});

test('no word of a member makes it useless', () => {
  assert.equal(smallest(1428, [{ told: 1 }]), LEAST);
  assert.equal(smallest(1000, [{ told: 1 }]), 1000, 'a device that is smaller stays what it is');
});
