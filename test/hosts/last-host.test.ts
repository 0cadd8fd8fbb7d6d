import assert from 'node:assert/strict';
import { converged, join, tokenIn } from '../lab/mesh.ts';
import { addressOf, reaches } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { meshed, place, story } from './story.ts';

story(
  'the one host that removals have left of three takes a new one in, which gets addresses, and every address is usable again',
  { hosts: 4 },
  async (lab) => {
    const [one, two, three, four] = lab.hosts;
    assert.ok(one && two && three && four);
    const [c1, c2, c3] = await meshed({ ...lab, hosts: [one, two, three] });
    assert.ok(c1 && c2 && c3);
    const { peer: first, ipam } = await one.status();
    const { peer: third } = await three.status();

    // The one that is left has not made the mesh, so it has no root key.
    await one.kill();
    await three.kill();
    await until('both to be seen down', async () => {
      const { peers } = await two.status();
      return peers.filter(({ state }) => state === 'down').length === 2;
    });
    await two.weft(['remove', 'h1']);
    await two.weft(['remove', 'h3']);
    await until('all addresses to belong to the host that is left', async () => {
      const { ipam: now, peer } = await two.status();
      return now?.owners.length === 1 && now.owners[0]?.peer === peer;
    });
    const alone = await two.status();
    assert.deepEqual(
      alone.warnings.filter(({ code }) => code === 'no-witness'),
      [],
    );
    await two.kill();
    await two.weft(['up']);
    await reaches(c2.sandbox, c2.address);

    await join(four, tokenIn((await two.weft(['invite'])).stdout));
    await converged([two, four]);
    const c4 = await place(lab, four);
    await reaches(c4.sandbox, c2.address);
    await reaches(c2.sandbox, c4.address);
    for (const [host, lost] of [
      [two, c1],
      [four, c3],
    ] as const) {
      const sandbox = await lab.sandbox(`w${host.name}`);
      await host.weft(['attach', sandbox.path, '--ip', lost.address]);
      assert.equal(await addressOf(sandbox), lost.address, 'the very address of a container that is gone');
      await reaches(sandbox, host === two ? c4.address : c2.address);
    }
    for (const host of [two, four]) {
      const { ipam: now, peers, warnings } = await host.status();
      const owned = now?.owners.reduce((sum, { addresses }) => sum + addresses, 0);
      assert.equal(owned, ipam?.total, 'nothing is lost of the range');
      assert.ok(!now?.owners.some(({ peer }) => peer === first || peer === third));
      assert.deepEqual(now?.waiting, []);
      assert.equal(peers.length, 1);
      assert.deepEqual(
        warnings.filter(({ severity }) => severity !== 'info'),
        [],
      );
    }

    await two.kill();
    await until('the heir to see it down', async () =>
      (await four.status()).peers.some(({ state }) => state === 'down'),
    );
    await four.weft(['remove', 'h2']);
    await until('the heir to have all', async () => (await four.status()).ipam?.owners.length === 1);
    const again = await place(lab, four, 'again');
    await reaches(again.sandbox, c4.address);
  },
);
