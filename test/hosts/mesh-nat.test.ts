import assert from 'node:assert/strict';
import { join as joinMesh, tokenIn } from '../lab/mesh.ts';
import { ping, reaches } from '../lab/traffic.ts';
import { place, story } from './story.ts';

story('a laptop behind a NAT takes part by dialling out', { hosts: 2 }, async (lab) => {
  const laptop = await lab.behindNat('laptop');
  const [one, two] = [lab.host(1), lab.host(2)];
  await one.weft(['up', '--advertise', one.address]);
  for (const host of [two, laptop]) await joinMesh(host, tokenIn((await one.weft(['invite'])).stdout));
  const outside = [await place(lab, one), await place(lab, two)];
  const inside = await place(lab, laptop, 'c-laptop');
  for (const { sandbox, address } of outside) {
    await reaches(inside.sandbox, address);
    assert.equal((await ping(inside.sandbox, address)).received, 3);
    assert.equal((await ping(sandbox, inside.address)).received, 3, `${sandbox.name} → the laptop`);
  }
});
