import assert from 'node:assert/strict';
import type { Lab } from '../lab/create.ts';
import { BEHIND, hideBehindHop } from '../lab/hop.ts';
import { converged, join, tokenIn } from '../lab/mesh.ts';
import type { Namespace } from '../lab/namespace.ts';
import { ping, pour, reaches, serveEcho } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { place, story } from './story.ts';
import { bothGo, goes, trusting, WIRE, WIRE6 } from './vxlan.ts';

const PORT = 7007;

async function mtuOf(sandbox: Namespace): Promise<number> {
  return Number((await sandbox.run(['cat', '/sys/class/net/eth0/mtu'], { say: null })).stdout);
}

/** A megabyte passes both ways, and the largest packet that passes whole is the one that status tells. */
async function carries(
  lab: Lab,
  kind: 'vxlan' | 'encrypted',
  expected: number,
  up: string[] = [],
): Promise<void> {
  const options = kind === 'vxlan' ? ['--trusted-subnets', `${WIRE},${BEHIND},${WIRE6}`, ...up] : up;
  const [one, two] = await trusting(lab, { up: options, joining: () => options });
  assert.ok(one && two);
  await bothGo(one.host, two.host, kind, 20_000);
  await reaches(one.sandbox, two.address);
  const { mtu } = await goes(one.host, two.host, kind);
  assert.equal(mtu, expected);
  const server = await serveEcho(two.sandbox, PORT);
  assert.equal(await pour(one.sandbox, two.address, PORT, 1_000_000), 1_000_000);
  await server.stop();
  const size = (bytes: number) => ({ count: 3, size: bytes - 28, whole: true });
  await until('a packet that is too large to be refused', async () => {
    return (await ping(one.sandbox, two.address, size(mtu + 1))).received === 0;
  });
  assert.equal((await ping(one.sandbox, two.address, size(mtu))).received, 3);
  assert.equal((await ping(two.sandbox, one.address, size(mtu))).received, 3);
}

for (const [wire, mtu] of [
  [1280, 1208],
  [1400, 1328],
  [1500, 1428],
  [9000, 8928],
] as const) {
  for (const [kind, path] of [
    ['vxlan', "the kernel's path"],
    ['encrypted', 'the encrypted path'],
  ] as const) {
    story(
      `over a wire of ${wire} bytes ${path} carries what status tells`,
      { hosts: 2, mtu: wire, family: 'ipv4' },
      (lab) => carries(lab, kind, mtu),
    );
  }
}

story(
  'what is attached sends what fits through every host of the mesh as it is then',
  { hosts: 2, family: 'ipv4' },
  async (lab) => {
    const [one, two] = [lab.host(1), lab.host(2)];
    const token = tokenIn((await one.weft(['up'])).stdout);
    const alone = await place(lab, one, 'alone');
    assert.equal(await mtuOf(alone.sandbox), 1428);
    await join(two, token, ['--mtu', '1308']);
    await converged(lab.hosts);
    const later = await place(lab, one, 'later');
    assert.equal(await mtuOf(later.sandbox), 1308);
    assert.equal(await mtuOf(alone.sandbox), 1428, 'who is there keeps what it has');
  },
);

story('containers that may send all that VXLAN carries do so', { hosts: 2, family: 'ipv4' }, (lab) =>
  carries(lab, 'vxlan', 1450, ['--mtu', '1450']),
);

story(
  'over IPv6 the headers of VXLAN take 20 bytes more, which is measured',
  { hosts: 2, family: 'ipv6' },
  (lab) => carries(lab, 'vxlan', 1430, ['--mtu', '1450']),
);

story(
  "over IPv6 and a wire of 1280 bytes the kernel's path carries what status tells",
  { hosts: 2, mtu: 1280, family: 'ipv6' },
  (lab) => carries(lab, 'vxlan', 1188),
);

story(
  "a narrow hop that says nothing: the kernel's path is measured and carries what status tells",
  { hosts: 2, family: 'ipv4' },
  async (lab) => {
    await hideBehindHop(lab, lab.host(2), 1400);
    await carries(lab, 'vxlan', 1350);
  },
);

story(
  'a narrow hop that says nothing: the encrypted path carries what status tells',
  { hosts: 2, family: 'ipv4' },
  async (lab) => {
    await hideBehindHop(lab, lab.host(2), 1400);
    await carries(lab, 'encrypted', 1428);
  },
);

story(
  'a hop of 1280 bytes that says nothing: a host joins through it, with much to be told, and what it carries arrives',
  { hosts: 2, family: 'ipv4' },
  async (lab) => {
    await hideBehindHop(lab, lab.host(2), 1280);
    const [one, two] = [lab.host(1), lab.host(2)];
    const token = tokenIn((await one.weft(['up', '--mtu', '1208'])).stdout);
    // Names of twelve networks: more than one segment of any size that hosts use.
    for (let number = 0; number < 12; number++) {
      await one.weft(['network', 'create', `net-${number}-${'n'.repeat(48)}`], { say: null });
    }
    await join(two, token, ['--mtu', '1208']);
    await converged(lab.hosts);
    await until('the networks to be known', async () => {
      return (await two.weft(['network', 'ls'], { say: null })).stdout.includes('net-11-');
    });
    const [here, there] = [await place(lab, one), await place(lab, two)];
    await reaches(there.sandbox, here.address);
    const server = await serveEcho(here.sandbox, PORT);
    assert.equal(await pour(there.sandbox, here.address, PORT, 1_000_000), 1_000_000);
    await server.stop();
  },
);
