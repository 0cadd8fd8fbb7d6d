import assert from 'node:assert/strict';
import type { Status } from '../../src/doors/control.ts';
import type { LabHost } from '../lab/host.ts';
import { converged, join, tokenIn } from '../lab/mesh.ts';
import { addressOf, ping, reaches } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { meshed, place, story } from './story.ts';

const owned = (status: Status, peer: string | null) =>
  status.ipam?.owners.find((owner) => owner.peer === peer)?.addresses ?? 0;

async function agreed(hosts: readonly LabHost[], peer: string | null): Promise<void> {
  for (const host of hosts) {
    await until(`${host.name} to know that the host is gone`, async () => {
      const status = await host.status();
      return !status.peers.some(({ id }) => id === peer) && owned(status, peer) === 0;
    });
  }
}

story(
  'a host lost for good is removed, its addresses are given out again, and when it comes back it is told and joins as a new one',
  { hosts: 4 },
  async (lab) => {
    const [one, two, three, four] = lab.hosts;
    assert.ok(one && two && three && four);
    const places = await meshed({ ...lab, hosts: [one, two, three] });
    const [c1, c2, c3] = places;
    assert.ok(c1 && c2 && c3);
    const lost = (await three.status()).peer;
    const before = await one.status();
    const share = owned(before, lost);
    assert.ok(share > 0);

    await three.kill();
    await until('the lost host to be seen down', async () => {
      const { peers } = await two.status();
      return peers.some(({ id, state }) => id === lost && state === 'down');
    });
    const refusal = await two.weft(['remove', 'h9'], { check: false });
    assert.match(refusal.stderr, /there is no host h9/);
    const removed = await two.weft(['remove', 'h3']);
    assert.match(removed.stdout, /h3 is removed; h\d has its addresses/);
    await agreed([one, two], lost);
    const all = (await Promise.all([one, two].map((host) => host.status()))).map((status) =>
      owned(status, status.peer),
    );
    assert.equal((all[0] as number) + (all[1] as number), before.ipam?.total, 'nothing is lost of the range');
    await until('the secret of the mesh to be new on both', async () => {
      const epochs = await Promise.all([one, two].map(async (host) => (await host.status()).mesh?.epoch));
      return epochs.every((epoch) => epoch === (before.mesh?.epoch ?? 0) + 1);
    });
    const heir = removed.stdout.includes('h1 has') ? one : two;
    const again = await place(lab, heir, 'again');
    const wanted = await lab.sandbox('wanted');
    await heir.weft(['attach', wanted.path, '--ip', c3.address]);
    assert.equal(await addressOf(wanted), c3.address, 'the very address of a container of the lost host');
    await reaches(again.sandbox, c1.host === heir ? c2.address : c1.address);

    const twice = await one.weft(['remove', 'h3'], { check: false });
    assert.match(twice.stderr, /was removed already/);
    const itself = await one.weft(['remove', 'h1'], { check: false });
    assert.match(itself.stderr, /this is the host itself/);
    const alive = await one.weft(['remove', 'h2'], { check: false });
    assert.match(alive.stderr, /h2 \(…\w{8}\) is up/);

    await join(four, tokenIn((await two.weft(['invite'])).stdout));
    await converged([one, two, four]);

    await three.weft(['up']);
    await until('the lost host to hear that it was removed', async () =>
      (await three.status()).warnings.some(({ code }) => code === 'removed'),
    );
    const shown = await three.weft(['status'], { check: false });
    assert.match(shown.stdout, /This host was removed from the mesh/);
    assert.equal((await ping(c3.sandbox, c1.address)).received, 0, 'its containers reach nobody');
    assert.equal(await addressOf(c3.sandbox), c3.address, 'and keep what they have');

    await join(three, tokenIn((await one.weft(['invite'])).stdout));
    await converged([one, two, three, four]);
    const renewed = (await three.status()).peer;
    assert.notEqual(renewed, lost, 'with a key of its own');
    await three.weft(['attach', c3.sandbox.path]);
    const address = await addressOf(c3.sandbox);
    assert.notEqual(address, c3.address);
    await reaches(c3.sandbox, c1.address);
  },
);

story(
  'before a host leaves, another becomes the heir of the one that made the mesh, and removes it when that is lost, too',
  { hosts: 3 },
  async (lab) => {
    const [one, two, three] = lab.hosts;
    assert.ok(one && two && three);
    await meshed(lab);
    const refusal = await one.weft(['handover', 'h2', '--from', 'h2'], { check: false });
    assert.match(refusal.stderr, /h2 .* has the roles of h2/);
    const handed = await one.weft(['handover', 'h3', '--from', 'h2']);
    assert.match(handed.stdout, /^h3 is now the heir of h1; h2 was\.$/m);
    const again = JSON.parse((await two.weft(['--json', 'handover', 'h3'])).stdout);
    assert.deepEqual(again.handed, []);

    const [first, second] = [(await one.status()).peer, (await two.status()).peer];
    await two.weft(['down']);
    await one.weft(['remove', 'h2', '--yes']);
    await agreed([one, three], second);
    await one.kill();
    const removed = await three.weft(['remove', 'h1', '--yes']);
    assert.match(removed.stdout, /h1 is removed; h3 has its addresses/);
    await agreed([three], first);
    const alone = await three.status();
    assert.equal(owned(alone, alone.peer), alone.ipam?.total);
  },
);
