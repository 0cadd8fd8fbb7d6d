/* SECURITY.md 3: a member says that it is where another one is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPathsWorld } from '../unit/support/paths-world.ts';

test('a member that announces the address of another takes neither its path nor its place', async () => {
  const { one, two, clock } = createPathsWorld({ claims: '192.0.2.2' });
  await one.start();
  await two.start();
  await clock.advance(5_000);
  assert.equal(one.paths.report(two.peer).kind, 'vxlan');
  assert.deepEqual(
    one.plans.at(-1)?.peers.map(({ underlay, ranges }) => ({ underlay, ranges })),
    [{ underlay: '192.0.2.2', ranges: [{ start: 0x0a280000, last: 0x0a2fffff }] }],
  );
});
