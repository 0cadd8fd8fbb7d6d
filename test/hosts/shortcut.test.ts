/*
 * The shortcut for packets of containers (src/host/shortcut.ts) with real daemons: what takes it is not forwarded by the host's stack, whose
 * counter says so. Where the kernel lacks BPF all of these skip, and the other stories go the usual way.
 */
import assert from 'node:assert/strict';
import type { Lab } from '../lab/create.ts';
import type { LabHost } from '../lab/host.ts';
import { ping, reaches } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { meshed, type Place, place, story } from './story.ts';
import { bothGo, trusting, WIRE } from './vxlan.ts';

const TRUST = ['--trusted-subnets', WIRE];

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

/** A container in a network of its own on the first host. */
async function apart(lab: Lab, host: LabHost): Promise<Place['sandbox']> {
  await host.weft(['network', 'create', 'other']);
  const sandbox = await lab.sandbox('other');
  await host.weft(['attach', sandbox.path, '--network', 'other']);
  await sandbox.run(['ip', 'route', 'replace', '10.32.0.0/12', 'dev', 'eth0'], { say: null });
  return sandbox;
}

story(
  'kill -9 leaves the shortcut open and networks apart; weft up adopts it, or takes it away where it is off',
  { hosts: 2 },
  async (lab) => {
    const all = await trusting(lab);
    const [one, two] = all as [Place, Place];
    await bothGo(one.host, two.host, 'vxlan');
    const other = await apart(lab, one.host);
    await shortcutOpens(one, two, all);
    const separate = async () => {
      for (const to of all) assert.equal((await ping(other, to.address, { count: 2 })).received, 0);
    };
    await separate();

    for (const { host } of all) await host.kill();
    assert.equal(await forwardedOnTheWay(one, two, all), 0);
    await separate();

    await two.host.weft(['up', ...TRUST]);
    const pings = one.sandbox.start(['ping', '-i', '0.02', '-W', '1', two.address], { say: null });
    await one.host.weft(['up', ...TRUST]);
    await bothGo(one.host, two.host, 'vxlan', 20_000);
    await shortcutOpens(one, two, all);
    await pings.stop('SIGINT');
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(pings.output()) ?? [];
    // The last one may still be on its way.
    assert.ok(
      Number(sent) - Number(received) <= 1,
      `${received} of ${sent} came back while the daemon started`,
    );
    await separate();

    await one.host.kill();
    await one.host.weft(['up', '--shortcut', 'off', ...TRUST]);
    await bothGo(one.host, two.host, 'vxlan', 20_000);
    await reaches(one.sandbox, two.address);
    // One host forwards both directions of three echoes, the other one still has its shortcut.
    const oneForwards = async () => (await forwardedOnTheWay(one, two, all)) === 6;
    await until('only the first host to forward', oneForwards);
    await separate();
  },
);
