import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REPLICA_LIMITS } from '../../src/core/replica.ts';
import { createMesh, mesh } from './removal-world.ts';

const CYCLES = 300;

test('a network that is made and removed leaves less than a kilobyte behind, and the ring in as many pieces', async (t) => {
  const { world, hosts } = await createMesh('networks', 0);
  const [a, b] = hosts as [(typeof hosts)[number], (typeof hosts)[number]];
  const { replica } = mesh(a).records;
  const bytes = () => replica.deltas(a.peer).reduce((sum, { body }) => sum + body.length, 0);

  async function comeAndGo(): Promise<void> {
    const { id } = await world.settled(mesh(a).networks.create({ name: 'short-lived' }));
    await world.until(() => mesh(b).networks.get(id) !== undefined, 5_000);
    await world.settled(mesh(a).networks.remove(id));
    await world.until(
      () =>
        mesh(b)
          .space.ring()
          .every(({ network }) => network !== id),
      60_000,
    );
  }

  await comeAndGo();
  const before = { bytes: bytes(), pieces: mesh(a).space.ring().length };
  for (let cycle = 0; cycle < CYCLES; cycle++) await comeAndGo();
  const each = (bytes() - before.bytes) / CYCLES;
  t.diagnostic(
    `${Math.round(each)} bytes each: full after ${Math.floor(REPLICA_LIMITS.authorBytes / each)} networks of one host`,
  );
  assert.ok(each < 1_024, `${each} bytes`);
  assert.equal(mesh(a).space.ring().length, before.pieces);
  assert.deepEqual(
    mesh(b)
      .networks.list()
      .map(({ id }) => id),
    ['weft'],
  );
});
