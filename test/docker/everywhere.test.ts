import assert from 'node:assert/strict';
import { converged } from '../lab/mesh.ts';
import { until } from '../lab/wait.ts';
import { story } from './story.ts';
import {
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
