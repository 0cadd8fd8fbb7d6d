import assert from 'node:assert/strict';
import { until } from '../lab/wait.ts';
import { story } from './story.ts';
import { meshed, sleeper } from './weft.ts';

story(
  'a container that Docker gave up starting before weftd was there runs once it is',
  { hosts: 1, patience: 240_000 },
  async (lab) => {
    await meshed(lab);
    const host = lab.host(1);
    await sleeper(host, 'weft', 'always', '--restart', 'always');
    const state = () => host.ask('inspect', '--format', '{{.State.Running}} {{.State.Error}}', 'always');
    await host.engine.stop();
    await host.kill();
    await host.engine.start({ patience: 120_000 });
    const failed = await until(
      'Docker to give up',
      async () => {
        const found = await state();
        return /weft/.test(found) ? found : undefined;
      },
      60_000,
    );
    assert.match(failed, /^false /);
    await host.weft(['up']);
    await until('the container to run', async () => (await state()) === 'true', 30_000);
  },
);
