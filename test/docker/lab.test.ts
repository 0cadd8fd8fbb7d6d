import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createDockerLab, dockerIsMissing } from '../lab/docker.ts';
import { transcript } from '../lab/echo.ts';
import { namespacesOf } from '../lab/teardown.ts';
import { cgroupOf } from '../lab/teardown-docker.ts';
import { story } from './story.ts';

story('two engines on one machine know nothing of each other and meet on the wire', {}, async (lab) => {
  await lab.startEngines();
  const [one, two] = [lab.host(1), lab.host(2)];
  await one.ask('network', 'create', 'mine');
  await one.ask('run', '-d', '--name', 'web', '-p', '8080:80', 'busybox', 'httpd', '-f', '-h', '/etc');
  assert.doesNotMatch(await two.ask('network', 'ls', '--format', '{{.Name}}'), /mine/);
  assert.equal(await two.ask('ps', '-q'), '');
  const page = `http://${one.address}:8080/hostname`;
  const read = await two.ask('run', '--rm', 'busybox', 'wget', '-qO-', page);
  assert.equal(read, await one.ask('exec', 'web', 'hostname'));
});

story('an engine that was killed starts again at once', { hosts: 1 }, async (lab) => {
  await lab.startEngines();
  const host = lab.host(1);
  await host.ask('run', '-d', '--restart', 'always', '--name', 'web', 'busybox', 'sleep', '1000');
  await host.engine.kill();
  assert.equal(await host.engine.process(), undefined);
  await host.engine.start();
  assert.equal(await host.ask('ps', '--format', '{{.Names}}'), 'web');
});

test('a lab with a paused container leaves no process, namespace, control group or folder', {
  skip: dockerIsMissing() ?? false,
}, async () => {
  const lab = await createDockerLab({ hosts: 1, echo: transcript() });
  try {
    await lab.startEngines();
    await lab.host(1).ask('run', '-d', '--name', 'still', 'busybox', 'sleep', '1000');
    await lab.host(1).ask('pause', 'still');
    assert.notEqual(processesOf(lab.id).length, 0);
  } finally {
    lab.close();
  }
  assert.deepEqual(namespacesOf(lab.id), []);
  assert.ok(!existsSync(lab.folder));
  const hierarchies = readdirSync('/sys/fs/cgroup').map(
    (name) => `/sys/fs/cgroup/${name}${cgroupOf(lab.id)}`,
  );
  assert.deepEqual(
    hierarchies.filter((path) => existsSync(path)),
    [],
  );
  assert.deepEqual(processesOf(lab.id), []);
});

/** Processes of this machine that name the lab in their command line or control group. */
function processesOf(id: string): string[] {
  const about = (pid: string) => ['cmdline', 'cgroup'].map((name) => read(`/proc/${pid}/${name}`)).join();
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name) && about(name).includes(`weft-lab-${id}`));
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
