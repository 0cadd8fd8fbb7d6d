import assert from 'node:assert/strict';
import { until } from '../lab/wait.ts';
import { createPlugins, DRIVER, enablePlugins, pluginNetworks, pluginWeft, removePlugin } from './managed.ts';
import { story } from './story.ts';
import { pings, sleeper } from './weft.ts';

story(
  'the managed plugin joins by its settings, its networks are on both hosts with names, and it leaves nothing behind',
  { patience: 240_000 },
  async (lab) => {
    await lab.startEngines();
    await createPlugins(lab);
    await enablePlugins(lab);
    const [one, two] = [lab.host(1), lab.host(2)];

    await one.ask('network', 'create', '-d', DRIVER, '--ipam-driver', DRIVER, 'app');
    for (const host of lab.hosts) {
      await until(`app in the Docker of ${host.name}`, async () =>
        (await pluginNetworks(host)).includes('app'),
      );
    }
    const first = await sleeper(one, 'app', 'c1');
    const second = await sleeper(two, 'app', 'c2');
    assert.ok(await pings(one, 'c1', second), 'c1 → c2 by address');
    await until('c1 → c2 by name', () => pings(one, 'c1', 'c2'), 20_000);
    await until('c2 → c1 by name', () => pings(two, 'c2', 'c1'), 20_000);
    assert.match(await pluginWeft(one, 'ps'), new RegExp(`c1 +${first}/`));

    // A plugin that was off brings its host back, and what Docker still has on it.
    await two.ask('plugin', 'disable', '--force', 'weft');
    await two.ask('plugin', 'enable', 'weft');
    await until('c2 to be back', () => pings(one, 'c1', second), 30_000);

    await Promise.all([one.ask('rm', '-f', 'c1'), two.ask('rm', '-f', 'c2')]);
    await two.ask('network', 'rm', 'app');
    await until('app to be gone', async () => !(await pluginNetworks(one)).includes('app'));
    for (const host of lab.hosts) assert.equal(await removePlugin(host), '', host.name);
  },
);
