import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerId } from '../../src/core/ids.ts';
import type { Declaration } from '../../src/core/path.ts';
import { createJudges } from '../../src/mesh/paths/judges.ts';

const [self, a, b] = ['s', 'a', 'b'] as [PeerId, PeerId, PeerId];
const HERE: Declaration = { subnets: ['192.0.2.0/24'], vxlan: { vni: 1, port: 2 }, obstacle: null };

/** Two others that trust the link; what is known of them is changed by the test. */
function createWorld() {
  const told = new Map<string, unknown>();
  for (const [peer, last] of [
    [a, 2],
    [b, 3],
  ] as const) {
    told.set(`${peer} trust`, HERE);
    told.set(`${peer} peer`, record(peer, `192.0.2.${last}`));
  }
  const members = [self, a, b];
  const seen = new Map<PeerId, string>();
  const judges = createJudges({
    self,
    membership: { members: () => members, genesis: { plain: false } } as never,
    records: { get: (peer: PeerId, key: string) => told.get(`${peer} ${key}`) } as never,
    forwarding: { endpointOf: () => undefined, seenAt: (peer) => seen.get(peer) },
    settings: { vni: 1, port: 2, mtu: 1400, ours: () => ['192.0.2.1:6783'] },
  });
  return { told, members, seen, judges };
}

function record(nickname: string, address: string) {
  const at = [`${address}:6783`];
  return { nickname, version: '1', boot: '0123456789abcdef', control: at, data: at, free: 0, degree: 8 };
}

test('nobody is judged anew while nothing has changed', () => {
  const { judges } = createWorld();
  const first = judges.verdicts(HERE);
  assert.deepEqual(
    first.judged.map(({ peer, verdict }) => [peer, verdict]),
    [
      [a, { trusted: true, address: '192.0.2.2' }],
      [b, { trusted: true, address: '192.0.2.3' }],
    ],
  );
  assert.equal(first.isNews, true);
  const second = judges.verdicts({ ...HERE });
  assert.equal(second.isNews, false);
  for (const [at, one] of second.judged.entries()) assert.equal(one, first.judged[at]);
});

test('whoever moves, writes or is seen elsewhere is judged anew, and the others are not', () => {
  const { judges, told, seen } = createWorld();
  const [, before] = judges.verdicts(HERE).judged;
  told.set(`${a} peer`, record(a, '198.51.100.2'));
  const moved = judges.verdicts(HERE);
  assert.equal(moved.isNews, true);
  assert.equal(moved.judged[0]?.verdict.trusted, false);
  assert.equal(moved.judged[1], before);
  seen.set(a, '192.0.2.2');
  assert.equal(judges.verdicts(HERE).judged[0]?.seen, '192.0.2.2');
  told.set(`${a} trust`, undefined);
  assert.equal(judges.verdicts(HERE).isNews, true);
});

test('what this host declares, and who leaves, is news', () => {
  const { judges, members } = createWorld();
  judges.verdicts(HERE);
  const { judged, isNews } = judges.verdicts({ ...HERE, subnets: [] });
  assert.deepEqual([isNews, judged.some(({ verdict }) => verdict.trusted)], [true, false]);
  members.pop();
  assert.equal(judges.verdicts({ ...HERE, subnets: [] }).isNews, true);
});
