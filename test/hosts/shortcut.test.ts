/*
 * The shortcut for packets of containers (src/host/shortcut.ts) with real daemons: what takes it is not forwarded by the host's stack, whose
 * counter says so. Where the kernel lacks BPF all of these skip, and the other stories go the usual way.
 */
import assert from 'node:assert/strict';
import { ping, reaches } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { meshed, type Place, place, story } from './story.ts';
import { bothGo, trusting } from './vxlan.ts';

/** Packets that a host's stack has forwarded (RFC 2011, ipForwDatagrams). */
async function forwarded({ host }: Place): Promise<number> {
  const { stdout } = await host.run(['cat', '/proc/net/snmp'], { say: null });
  const [names = [], values = []] = stdout
    .split('\n')
    .filter((line) => line.startsWith('Ip: '))
    .map((line) => line.split(' '));
  return Number(values[names.indexOf('ForwDatagrams')]);
}

/** Packets that both hosts forward while three go from one container to the other and back. */
async function forwardedOnTheWay(from: Place, to: Place, all: readonly Place[]): Promise<number> {
  const count = async () => (await Promise.all(all.map(forwarded))).reduce((sum, one) => sum + one);
  const before = await count();
  assert.equal((await ping(from.sandbox, to.address)).received, 3);
  return (await count()) - before;
}

async function shortcutOpens(from: Place, to: Place, all: readonly Place[]): Promise<void> {
  const direct = async () => (await forwardedOnTheWay(from, to, all)) === 0;
  await until(`packets from ${from.sandbox.name} to take the shortcut`, direct);
}

/** Both hosts on the way take one hop each; the first one says so when it is the last. */
async function hopsCount(from: Place, to: Place): Promise<void> {
  const withHops = async (hops: number) => {
    const command = ['ping', '-c', '1', '-W', '1', '-t', `${hops}`, to.address];
    return (await from.sandbox.run(command, { check: false })).stdout;
  };
  assert.match(await withHops(1), /Time to live exceeded/);
  assert.match(await withHops(2), / 0 received/);
  assert.match(await withHops(3), / 1 received/);
}

for (const kind of ['encrypted', 'vxlan'] as const) {
  story(
    `packets between containers are not forwarded by the host's stack but where it must answer them: ${kind}`,
    { hosts: 2 },
    async (lab) => {
      const all = await (kind === 'vxlan' ? trusting(lab) : meshed(lab));
      const [one, two] = all as [Place, Place];
      if (kind === 'vxlan') await bothGo(one.host, two.host, 'vxlan');
      await reaches(one.sandbox, two.address);
      await shortcutOpens(one, two, all);
      const near = await place(lab, one.host, 'near');
      await shortcutOpens(one, near, all);
      await hopsCount(one, two);
    },
  );
}
