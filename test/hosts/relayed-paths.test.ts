import assert from 'node:assert/strict';
import type { LabHost } from '../lab/host.ts';
import { join, tokenIn } from '../lab/mesh.ts';
import { ping, reaches, stream } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { place, story } from './story.ts';
import { bothGo, pathTo, WIRE } from './vxlan.ts';

const PORT = 6783;
const HEADER = 16;
const MEGABYTE = 1_000_000;
/** Nothing comes back for three seconds before a path counts as blocked; the rest is for a busy machine. */
const PATIENCE = 30_000;

async function bothRelayed(one: LabHost, two: LabHost, by: string): Promise<void> {
  for (const [from, to] of [
    [one, two],
    [two, one],
  ] as const) {
    const isSo = async () => {
      const path = await pathTo(from, to);
      return path.kind === 'relayed' && path.by === by && !path.reason?.endsWith('proven yet');
    };
    await until(`${from.name} to reach ${to.name} by ${by}`, isSo, PATIENCE);
  }
}

story(
  'two hosts with a wall between them are relayed by a third one, when that dies by a fourth, and go directly when the wall falls',
  { hosts: 4 },
  async (lab) => {
    const [one, two, three, four] = [lab.host(1), lab.host(2), lab.host(3), lab.host(4)];
    const trust = ['--trusted-subnets', WIRE];
    await join(two, tokenIn((await one.weft(['up', ...trust])).stdout));
    await join(three, tokenIn((await one.weft(['invite'])).stdout), trust);
    const [here, there] = [await place(lab, one), await place(lab, two)];
    await bothGo(one, two, 'encrypted');
    await bothGo(one, three, 'vxlan');
    await bothGo(two, three, 'encrypted');
    await reaches(here.sandbox, there.address);

    await lab.wire.wall(one.name, two.name, PORT);
    const pings = here.sandbox.start(['ping', '-i', '0.2', '-W', '1', there.address], { say: null });
    await bothRelayed(one, two, three.name);
    for (const [from, to] of [
      [here, there],
      [there, here],
    ] as const) {
      await reaches(from.sandbox, to.address);
      const mtu = (await pathTo(from.host, to.host)).mtu;
      assert.equal(mtu + HEADER, (await from.host.status()).device?.mtu);
      const { received } = await ping(from.sandbox, to.address, { count: 5, size: mtu - 28, whole: true });
      assert.ok(received >= 4, `${received} of 5 full packets`);
      const { bytes } = await stream(from.sandbox, to.sandbox, to.address);
      assert.ok(bytes > MEGABYTE, `${bytes} bytes by TCP`);
    }
    assert.match(
      (await one.weft(['status', 'paths'])).stdout,
      /^h2 +relayed via h3 .* UDP directly, so h3 relays$/m,
    );
    await until('the third host to say what it does', async () => {
      const { stdout } = await three.weft(['status', 'paths']);
      return /^This host relays for 1 pair of other hosts: [\d.,]+ [MG]iB/m.test(stdout);
    });
    await bothGo(one, three, 'vxlan');

    await join(four, tokenIn((await one.weft(['invite'])).stdout), trust);
    await bothGo(two, four, 'encrypted');
    await three.kill();
    await bothRelayed(one, two, four.name);
    await reaches(here.sandbox, there.address);

    await lab.wire.mend();
    await bothGo(one, two, 'encrypted', PATIENCE);
    await reaches(here.sandbox, there.address);
    await pings.stop('SIGINT');
  },
);
