/*
 * Networks with real daemons. On each host a container in the network web (`w1`, `w2`), one in db (`d1`, `d2`) and one in weft (`c1`, `c2`).
 */
import assert from 'node:assert/strict';
import type { NetworkStatus } from '../../src/doors/networks.ts';
import type { Lab } from '../lab/create.ts';
import type { LabHost } from '../lab/host.ts';
import { converged, joinAll } from '../lab/mesh.ts';
import type { Namespace } from '../lab/namespace.ts';
import { addressOf, ping, reaches, say, serveEcho } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { story } from './story.ts';

interface Inhabitant {
  readonly sandbox: Namespace;
  readonly address: string;
  readonly network: string;
}

const networksOf = async (host: LabHost) => (await host.status()).networks;

/** Resolves when the host knows a network of this name, or none any more. */
async function knows(host: LabHost, name: string, there = true): Promise<NetworkStatus | undefined> {
  let found: NetworkStatus | undefined;
  await until(`${host.name} to ${there ? 'know' : 'forget'} the network ${name}`, async () => {
    found = (await networksOf(host)).find((network) => network.name === name);
    return (found !== undefined) === there;
  });
  return found;
}

async function place(lab: Lab, host: LabHost, name: string, network: string): Promise<Inhabitant> {
  const sandbox = await lab.sandbox(name);
  await host.weft(['attach', sandbox.path, '--network', network]);
  // A way to the whole mesh, so that what keeps networks apart is not that a container has no route.
  await sandbox.run(['ip', 'route', 'replace', '10.32.0.0/12', 'dev', 'eth0'], { say: null });
  return { sandbox, address: await addressOf(sandbox), network };
}

/** web made on the first host, db on the second, and everybody in place. */
async function inhabited(lab: Lab): Promise<Inhabitant[]> {
  await joinAll(lab.hosts);
  await converged(lab.hosts);
  const [one, two] = [lab.host(1), lab.host(2)];
  await one.weft(['network', 'create', 'web']);
  await two.weft(['network', 'create', 'db', '--subnet', '10.40.5.0/24']);
  for (const host of lab.hosts) for (const name of ['web', 'db']) await knows(host, name);
  const places = [];
  for (const [index, host] of [one, two].entries()) {
    places.push(await place(lab, host, `w${index + 1}`, 'web'));
    places.push(await place(lab, host, `d${index + 1}`, 'db'));
    places.push(await place(lab, host, `c${index + 1}`, 'weft'));
  }
  return places;
}

async function apart(places: readonly Inhabitant[]): Promise<void> {
  const pairs = places.flatMap((from) => places.filter((to) => to !== from).map((to) => ({ from, to })));
  for (const { from, to } of pairs) {
    if (from.network === to.network) await reaches(from.sandbox, to.address);
  }
  const others = pairs.filter(({ from, to }) => from.network !== to.network);
  const arrived = others.map(async ({ from, to }) => {
    const { received } = await ping(from.sandbox, to.address, { count: 2, say: null });
    return received === 0 ? [] : [`${from.sandbox.name} to ${to.sandbox.name}`];
  });
  assert.deepEqual((await Promise.all(arrived)).flat(), []);
}

story(
  'a network made on one host is there on both: its members talk, and nobody else',
  { hosts: 2 },
  async (lab) => {
    const places = await inhabited(lab);
    await apart(places);
    const [w1, , , w2, d2] = places;
    assert.ok(w1 && w2 && d2);
    const servers = [await serveEcho(w2.sandbox, 7007), await serveEcho(d2.sandbox, 7007)];
    assert.match(await say(w1.sandbox, w2.address, 7007, 'hello'), /hello/);
    await assert.rejects(say(w1.sandbox, d2.address, 7007, 'hello'));
    for (const server of servers) await server.stop();

    await lab.host(1).weft(['attach', w1.sandbox.path, '--network', 'db']);
    await reaches(w1.sandbox, d2.address);
    await reaches(w1.sandbox, w2.address);
    assert.match(await addressOf(w1.sandbox, 'weft0'), /^10\.40\.5\./);
  },
);

story(
  'networks, addresses and isolation outlive kill -9 and restarts of all daemons',
  { hosts: 2 },
  async (lab) => {
    const places = await inhabited(lab);
    const before = (await networksOf(lab.host(1))).map(({ id, name, subnet }) => ({ id, name, subnet }));
    for (const host of lab.hosts) await host.kill();
    const [w1, d1, c1] = places;
    assert.ok(w1 && d1 && c1);
    for (const to of [d1, c1]) {
      assert.equal((await ping(w1.sandbox, to.address, { count: 2 })).received, 0, 'apart without a daemon');
    }
    for (const host of lab.hosts) await host.weft(['up']);
    await converged(lab.hosts);
    for (const host of lab.hosts) {
      const after = (await networksOf(host)).map(({ id, name, subnet }) => ({ id, name, subnet }));
      assert.deepEqual(after, before);
    }
    for (const { sandbox, address } of places) assert.equal(await addressOf(sandbox), address);
    await apart(places);
  },
);

story(
  'a network in use on another host is not removed; a free one is gone everywhere',
  { hosts: 2 },
  async (lab) => {
    await joinAll(lab.hosts);
    await converged(lab.hosts);
    const [one, two] = [lab.host(1), lab.host(2)];
    await one.weft(['network', 'create', 'web']);
    await knows(two, 'web');
    const { sandbox } = await place(lab, two, 'w2', 'web');
    const refused = await one.weft(['network', 'rm', 'web'], { check: false });
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /web has endpoints on h2 .*\n.*detach them first/);
    await two.weft(['detach', sandbox.path]);
    await one.weft(['network', 'rm', 'web']);
    await knows(two, 'web', false);
    await until('all addresses to be back in weft', async () => {
      const { stdout } = await two.weft(['status', 'ipam', '--json'], { say: null });
      const { ipam } = JSON.parse(stdout) as { ipam: { own: { network: string }[] } };
      return ipam.own.every(({ network }) => network === 'weft');
    });
  },
);

story(
  'two hosts that cannot see each other make networks of one name: the older keeps it',
  { hosts: 2 },
  async (lab) => {
    await joinAll(lab.hosts);
    await converged(lab.hosts);
    const [one, two] = [lab.host(1), lab.host(2)];
    await lab.wire.cut('h1', 'h2');
    await one.weft(['network', 'create', 'web']);
    const older = await knows(one, 'web');
    await two.weft(['network', 'create', 'web']);
    const younger = await knows(two, 'web');
    assert.ok(older && younger);
    assert.notEqual(older.subnet, younger.subnet);
    await lab.wire.mend();
    const settled = async (host: LabHost) => (await knows(host, 'web'))?.id === older.id;
    for (const host of lab.hosts)
      await until(`${host.name} to know the older one`, () => settled(host), 30_000);
    const { stdout } = await two.weft(['status']);
    assert.match(stdout, new RegExp(`→ give it another one with .weft network rename ${younger.id} NAME`));
    await two.weft(['network', 'rename', younger.id, 'shop']);
    assert.equal((await knows(one, 'shop'))?.id, younger.id);
  },
);
