import assert from 'node:assert/strict';
import type { DockerHost } from '../lab/docker-host.ts';
import { until } from '../lab/wait.ts';
import { story } from './story.ts';
import { addressIn, createNetwork, hasNoTraces, meshed, pings, sleeper } from './weft.ts';

/** Names of the containers that run. */
async function running(host: DockerHost): Promise<string[]> {
  const { stdout } = await host.docker(['ps', '--format', '{{.Names}}'], { say: null });
  return stdout.split('\n').filter(Boolean).sort();
}

/** `docker ps` within a second; a machine that is busy with something else may need another try. */
function listsAtOnce(host: DockerHost, how: string): Promise<boolean> {
  return until(`docker ps within a second: ${how}`, async () => {
    const { elapsed } = await host.docker(['ps']);
    if (elapsed >= 1_000) throw new Error(`${elapsed} ms`);
    return true;
  });
}

story(
  'with weftd stopped, hung or killed Docker answers at once and runs other containers, and it starts',
  { hosts: 1, patience: 240_000 },
  async (lab) => {
    await meshed(lab);
    const host = lab.host(1);
    await sleeper(host, 'weft', 'c1');
    const isInNobodysWay = async (how: string) => {
      await listsAtOnce(host, how);
      await host.ask('run', '--rm', 'busybox', 'true');
      assert.ok((await running(host)).includes('c1'), how);
    };
    const pid = await until('weftd', () => host.daemon());
    host.signal(pid, 'SIGSTOP');
    await isInNobodysWay('hung');
    host.signal(pid, 'SIGCONT');
    await host.kill();
    await isInNobodysWay('killed');
    await host.weft(['up']);
    host.signal(await until('weftd', () => host.daemon()), 'SIGTERM');
    await until('weftd to end', async () => (await host.daemon()) === undefined);
    await isInNobodysWay('stopped');

    await host.weft(['up']);
    await host.ask('rm', '-f', 'c1');
    await host.engine.stop();
    await host.kill();
    await host.engine.start();
    await listsAtOnce(host, 'started without weftd');
    await host.ask('run', '--rm', 'busybox', 'true');
  },
);

story(
  'a Docker that starts while weftd hangs runs all other containers, and those of weft when it goes on',
  { hosts: 1, patience: 240_000 },
  async (lab) => {
    await meshed(lab);
    const host = lab.host(1);
    await sleeper(host, 'weft', 'always', '--restart', 'always');
    await host.engine.stop();
    const pid = await until('weftd', () => host.daemon());
    host.signal(pid, 'SIGSTOP');
    await host.engine.start({ patience: 60_000 });
    await listsAtOnce(host, 'hung');
    await host.ask('run', '--rm', 'busybox', 'true');
    const refused = await host.docker(['run', '--rm', '--network', 'weft', 'busybox', 'true'], {
      check: false,
    });
    assert.match(refused.stderr, /no answer from weftd, which hangs/);

    host.signal(pid, 'SIGCONT');
    await until('the container', async () => (await running(host)).includes('always'), 60_000);
    await sleeper(host, 'weft', 'new');
    assert.ok(await pings(host, 'new', await addressIn(host, 'weft', 'always')));
    await host.ask('rm', '-f', 'new', 'always');
    await hasNoTraces(host, 90_000);
  },
);

story(
  'containers that restart always come back whichever of weftd and dockerd starts last',
  {},
  async (lab) => {
    await meshed(lab);
    const [one, two] = [lab.host(1), lab.host(2)];
    await sleeper(two, 'weft', 'far');
    const far = await addressIn(two, 'weft', 'far');
    await sleeper(one, 'weft', 'near', '--restart', 'always');

    await one.engine.stop();
    await one.kill();
    await one.weft(['up']);
    await one.engine.start();
    assert.deepEqual(await running(one), ['near'], 'weftd first');
    assert.ok(await pings(one, 'near', far));

    await one.engine.kill();
    await one.kill();
    // Docker waits for its driver; so does whoever starts it.
    const started = one.engine.start({ patience: 90_000 });
    await until('dockerd to run', () => one.engine.process());
    await one.weft(['up']);
    await started;
    await until('the container', async () => (await running(one)).includes('near'));
    assert.ok(await pings(one, 'near', far));
  },
);

story('traffic goes on while dockerd is killed under live-restore, and after weftd was', {}, async (lab) => {
  await meshed(lab, { liveRestore: true });
  const [one, two] = [lab.host(1), lab.host(2)];
  const far = await sleeper(two, 'weft', 'far');
  const near = await sleeper(one, 'weft', 'near');
  await one.engine.kill();
  assert.ok(await pings(two, 'far', near), 'without dockerd');
  await one.engine.start({ liveRestore: true });
  assert.deepEqual(await running(one), ['near']);
  assert.ok(await pings(one, 'near', far), 'with the next dockerd');
  await one.kill();
  await one.weft(['up']);
  assert.ok(await pings(one, 'near', far), 'with the next weftd');
  await one.ask('rm', '-f', 'near');
  await hasNoTraces(one);
});

story(
  'a container that ends while weftd is away leaves nothing once it is back',
  { hosts: 1, patience: 240_000 },
  async (lab) => {
    await meshed(lab);
    const host = lab.host(1);
    await sleeper(host, 'weft', 'c1');
    await host.kill();
    // Each of Docker's four calls gives up after 15 s, and none is repeated.
    await host.docker(['rm', '-f', 'c1'], { timeout: 120_000 });
    await host.weft(['up']);
    await hasNoTraces(host, 60_000);
  },
);

story('a container whose start fails after it was attached leaves nothing', { hosts: 1 }, async (lab) => {
  await meshed(lab);
  const host = lab.host(1);
  const failed = await host.docker(['run', '--network', 'weft', 'busybox', 'no-such-program'], {
    check: false,
  });
  assert.equal(failed.status, 127);
  await hasNoTraces(host);
});

story('a killed dockerd without live-restore leaves nothing of its containers', { hosts: 1 }, async (lab) => {
  await meshed(lab);
  const host = lab.host(1);
  await sleeper(host, 'weft', 'c1');
  await host.engine.kill();
  await host.engine.start();
  assert.deepEqual(await running(host), []);
  await hasNoTraces(host, 30_000);
});

story(
  'a container keeps its address when it is restarted, and when it is made anew under its name',
  { hosts: 1 },
  async (lab) => {
    await meshed(lab);
    const host = lab.host(1);
    await createNetwork(host, 'app');
    const address = await sleeper(host, 'app', 'c1');
    await sleeper(host, 'app', 'c2');
    await host.ask('restart', 'c1');
    assert.equal(await addressIn(host, 'app', 'c1'), address, 'restarted');
    await host.ask('stop', 'c1');
    await sleeper(host, 'app', 'c3');
    await host.ask('start', 'c1');
    assert.equal(await addressIn(host, 'app', 'c1'), address, 'stopped and started');
    await host.ask('rm', '-f', 'c1');
    assert.equal(await sleeper(host, 'app', 'c1'), address, 'made anew');
  },
);
