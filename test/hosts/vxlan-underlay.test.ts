import assert from 'node:assert/strict';
import { converged, join, tokenIn } from '../lab/mesh.ts';
import { reaches } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { place, story } from './story.ts';
import { pathTo } from './vxlan.ts';

story(
  'two hosts behind one NAT stay encrypted, and the one that sees them says why',
  { hosts: 1 },
  async (lab) => {
    const one = lab.host(1);
    const laptop = await lab.behindNat('laptop');
    const desktop = await lab.behindNat('desktop', laptop);
    const hosts = [one, laptop, desktop];
    await one.weft(['up', '--no-encryption', '--advertise', one.address]);
    for (const host of [laptop, desktop]) await join(host, tokenIn((await one.weft(['invite'])).stdout));
    const outside = await place(lab, one);
    const inside = [await place(lab, laptop, 'c-laptop'), await place(lab, desktop, 'c-desktop')];
    await converged(hosts);
    for (const { host, sandbox, address } of inside) {
      await reaches(sandbox, outside.address);
      await reaches(outside.sandbox, address);
      const reason =
        /^(laptop, desktop|desktop, laptop) come from one address, 198\.18\.0\.100, by which VXLAN/;
      await until(`h1 to say why ${host.name} is encrypted`, async () => {
        const path = await pathTo(one, host);
        return path.kind === 'encrypted' && reason.test(path.reason ?? '');
      });
      assert.equal((await pathTo(host, one)).kind, 'encrypted');
    }
  },
);
