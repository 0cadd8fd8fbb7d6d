import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { converged } from '../lab/mesh.ts';
import { until } from '../lab/wait.ts';
import { story } from './story.ts';
import {
  agrees,
  createNetwork,
  hasNetwork,
  hasNoNetwork,
  hasNoTraces,
  meshed,
  networksOf,
  pings,
  sleeper,
} from './weft.ts';

story(
  'a network made on one host is there on the other, and containers on both reach each other',
  {},
  async (lab) => {
    await meshed(lab);
    const [one, two] = [lab.host(1), lab.host(2)];
    await createNetwork(one, 'app');
    await hasNetwork(two, 'app');
    const first = await sleeper(one, 'app', 'c1');
    const second = await sleeper(two, 'app', 'c2');
    assert.notEqual(first, second);
    assert.ok(await pings(one, 'c1', second), 'c1 → c2');
    assert.ok(await pings(two, 'c2', first), 'c2 → c1');

    await two.ask('rm', '-f', 'c2');
    await one.ask('rm', '-f', 'c1');
    await Promise.all([hasNoTraces(one), hasNoTraces(two)]);
    await two.ask('network', 'rm', 'app');
    await hasNoNetwork(one, 'app');
    assert.deepEqual(await networksOf(two), ['weft']);
  },
);

story(
  'the default network needs no command, and its containers reach each other and those of weft attach',
  {},
  async (lab) => {
    await meshed(lab);
    const [one, two] = [lab.host(1), lab.host(2)];
    await sleeper(one, 'weft', 'c1');
    const second = await sleeper(two, 'weft', 'c2');
    assert.ok(await pings(one, 'c1', second));
  },
);

story(
  'a host whose Docker or daemon was away catches up with networks that came and went',
  {},
  async (lab) => {
    await meshed(lab);
    const [one, two] = [lab.host(1), lab.host(2)];
    await createNetwork(one, 'old');
    await hasNetwork(two, 'old');
    await two.engine.stop();
    await createNetwork(one, 'fresh');
    await one.ask('network', 'rm', 'old');
    await two.engine.start();
    await Promise.all([hasNetwork(two, 'fresh'), hasNoNetwork(two, 'old')]);

    await two.kill();
    await one.ask('network', 'rm', 'fresh');
    await hasNoNetwork(one, 'fresh');
    await two.weft(['up']);
    await converged(lab.hosts);
    await hasNoNetwork(two, 'fresh', 20_000);
  },
);

story(
  'networks of weft network and of docker network are each there for the other, on both hosts',
  {},
  async (lab) => {
    await meshed(lab);
    const [one, two] = [lab.host(1), lab.host(2)];
    await one.weft(['network', 'create', 'shop', '--subnet', '10.34.0.0/16']);
    await Promise.all([hasNetwork(one, 'shop'), hasNetwork(two, 'shop')]);
    const far = await sleeper(two, 'shop', 'far');
    assert.match(far, /^10\.34\./);
    await sleeper(one, 'shop', 'near');
    assert.ok(await pings(one, 'near', far));
    const refused = await one.weft(['network', 'rm', 'shop'], { check: false });
    assert.notEqual(refused.status, 0);
    assert.match(refused.stderr, /shop.*(in use|attached|endpoint)/i);
    await one.ask('rm', '-f', 'near');
    await two.ask('rm', '-f', 'far');
    await Promise.all([hasNoTraces(one), hasNoTraces(two)]);

    await createNetwork(two, 'mine');
    const listed = async () => (await one.weft(['network', 'ls'], { say: null })).stdout;
    await until('weft on the other host to list it', async () => /^mine /m.test(await listed()));
    // What the first host knows of the other's addresses may be a moment old.
    await until('the removal', async () => (await one.weft(['network', 'rm', 'shop'])).status === 0);
    await Promise.all([hasNoNetwork(one, 'shop'), hasNoNetwork(two, 'shop')]);
    await one.weft(['network', 'rm', 'mine']);
    await hasNoNetwork(two, 'mine');
    assert.doesNotMatch(await listed(), /shop|mine/);
  },
);

story(
  'a container that Docker has and weft has lost is a warning with what to do',
  { hosts: 1, patience: 240_000 },
  async (lab) => {
    await meshed(lab);
    const host = lab.host(1);
    const state = join(host.stateFolder, 'state');
    await copyFile(state, `${state}.backup`);
    await sleeper(host, 'weft', 'c1');
    await host.kill();
    await copyFile(`${state}.backup`, state);
    await host.weft(['up']);
    const warned = async () =>
      (await host.status()).warnings.find(({ code }) => code === 'docker-endpoint-unknown');
    const { text, remedy } = await until('the warning', warned, 60_000);
    assert.match(text, /container c1 is on weft for Docker, and not for weft/);
    assert.equal(remedy, 'docker restart c1');
    await host.ask('restart', 'c1');
    await until('the warning to be gone', async () => (await warned()) === undefined, 90_000);
    await agrees(host);
  },
);

story('a name that Docker gave to another driver is a warning with what to do', {}, async (lab) => {
  await meshed(lab);
  const [one, two] = [lab.host(1), lab.host(2)];
  await two.ask('network', 'create', 'app');
  await createNetwork(one, 'app');
  const warned = async () => (await two.status()).warnings.find(({ code }) => code === 'docker-name-taken');
  const warning = await until('the warning', warned);
  assert.match(
    `${warning.text} ${warning.remedy}`,
    /network app of the driver bridge.*docker network rm app/,
  );
  await two.ask('network', 'rm', 'app');
  await hasNetwork(two, 'app');
  await until('the warning to be gone', async () => (await warned()) === undefined);
});
