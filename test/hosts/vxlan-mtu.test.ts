import assert from 'node:assert/strict';
import type { Lab } from '../lab/create.ts';
import { ping, reaches } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { type Place, story } from './story.ts';
import { bothGo, goes, trusting } from './vxlan.ts';

const PORT = '7008';

/** One megabyte of TCP between two containers, from the first or to it. */
async function transfers(from: Place, to: Place, reverse: boolean): Promise<void> {
  const server = to.sandbox.start(['iperf3', '-s', '-1', '-p', PORT, '--forceflush'], { say: null });
  await until('iperf3 to listen', () => server.output().includes('listening'));
  const options = ['-p', PORT, '-n', '1000000', ...(reverse ? ['-R'] : []), '-J'];
  const { stdout } = await from.sandbox.run(['timeout', '20', 'iperf3', '-c', to.address, ...options]);
  const { end } = JSON.parse(stdout) as { end: { sum_received: { bytes: number } } };
  assert.ok(end.sum_received.bytes >= 1_000_000, `${end.sum_received.bytes} bytes arrived`);
  await server.exited;
}

/** A megabyte passes both ways, and the largest packet that passes whole is the one that status tells. */
async function carries(
  lab: Lab,
  kind: 'vxlan' | 'encrypted',
  expected: number,
  up: string[] = [],
): Promise<void> {
  const options = kind === 'vxlan' ? ['--trusted-subnets', '198.18.0.0/16', ...up] : up;
  const [one, two] = await trusting(lab, { up: options, joining: () => options });
  assert.ok(one && two);
  await bothGo(one.host, two.host, kind, 20_000);
  await reaches(one.sandbox, two.address);
  const { mtu } = await goes(one.host, two.host, kind);
  assert.equal(mtu, expected);
  await transfers(one, two, false);
  await transfers(one, two, true);
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
  story(
    `over a wire of ${wire} bytes the kernel's path carries what status tells`,
    { hosts: 2, mtu: wire, family: 'ipv4' },
    (lab) => carries(lab, 'vxlan', mtu),
  );
}

story(
  'over a wire of 1280 bytes the encrypted path carries what status tells',
  { hosts: 2, mtu: 1280, family: 'ipv4' },
  (lab) => carries(lab, 'encrypted', 1208),
);

story('containers that may send all that VXLAN carries do so', { hosts: 2, family: 'ipv4' }, (lab) =>
  carries(lab, 'vxlan', 1450, ['--mtu', '1450']),
);
