import assert from 'node:assert/strict';
import type { DockerHost } from '../lab/docker-host.ts';
import { until } from '../lab/wait.ts';
import { randomOperations } from './operations.ts';
import { story } from './story.ts';
import { addressIn, createNetwork, hasNetwork, hasNoTraces, meshed, pings, sleeper } from './weft.ts';

/** What a container finds under a name; undefined when there is none. */
async function lookUp(host: DockerHost, container: string, name: string): Promise<string | undefined> {
  const { stdout } = await host.docker(['exec', container, 'ping', '-c', '1', '-W', '1', name], {
    say: null,
    check: false,
  });
  return /^PING \S+ \(([\d.]+)\)/.exec(stdout)?.[1];
}

story(
  'a container is found by its name, host name and alias from the other host, until it ends',
  {},
  async (lab) => {
    await meshed(lab);
    const [one, two] = [lab.host(1), lab.host(2)];
    await createNetwork(one, 'app');
    await hasNetwork(two, 'app');
    await sleeper(one, 'app', 'c1');
    const address = await sleeper(two, 'app', 'shop_db', '--hostname', 'store', '--network-alias', 'db');
    for (const name of ['shop_db', 'store', 'db', 'db.app', 'db.app.weft.local']) {
      await until(`${name} to be found`, async () => (await lookUp(one, 'c1', name)) === address, 2_000, 20);
    }
    const id = await two.ask('inspect', '--format', '{{.Id}}', 'shop_db');
    assert.equal(await lookUp(one, 'c1', id.slice(0, 12)), address);
    await two.ask('rename', 'shop_db', 'base');
    await until('the new name', async () => (await lookUp(one, 'c1', 'base')) === address);
    assert.equal(await lookUp(one, 'c1', 'shop_db'), undefined);
    await two.ask('kill', 'base');
    await until('the names to be gone', async () => (await lookUp(one, 'c1', 'db')) === undefined, 5_000);
  },
);

story(
  'fifty containers that are started at once have fifty addresses and all run',
  { patience: 240_000 },
  async (lab) => {
    await meshed(lab);
    const [one, two] = [lab.host(1), lab.host(2)];
    await createNetwork(one, 'app');
    await hasNetwork(two, 'app');
    const each = Array.from({ length: 50 }, (_, index) => ({
      host: index % 2 ? two : one,
      name: `c${index}x`,
    }));
    await Promise.all(
      each.map(({ host, name }) =>
        host.docker(['run', '-d', '--name', name, '--network', 'app', 'busybox', 'sleep', '100000'], {
          say: null,
          timeout: 200_000,
        }),
      ),
    );
    const addresses = [];
    for (const { host, name } of each) addresses.push(await addressIn(host, 'app', name));
    assert.equal(new Set(addresses).size, 50);
    assert.ok(await pings(one, 'c0x', addresses[49] ?? ''));
    const all = (host: DockerHost) => each.filter((one) => one.host === host).map(({ name }) => name);
    await Promise.all([one, two].map((host) => host.docker(['rm', '-f', ...all(host)], { say: null })));
    await Promise.all([hasNoTraces(one, 30_000), hasNoTraces(two, 30_000)]);
  },
);

story(
  'whatever is done to containers and networks on two hosts, both agree and nothing is left over',
  { patience: 280_000 },
  async (lab) => {
    await meshed(lab);
    await randomOperations(lab, { seed: 7, count: 40 });
  },
);
