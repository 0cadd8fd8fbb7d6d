import assert from 'node:assert/strict';
import type { DockerHost } from '../lab/docker-host.ts';
import { story } from './story.ts';
import { agrees, createNetwork, hasNoTraces, meshed, sleeper } from './weft.ts';

/** Puts the daemon's folder on a disk of its own that is soon full. */
async function smallDisk({ run, stateFolder }: DockerHost): Promise<void> {
  await run(['mkdir', '-p', stateFolder]);
  await run(['mount', '-t', 'tmpfs', '-o', 'size=1m,mode=700', 'tmpfs', stateFolder]);
}

async function fill({ run, stateFolder }: DockerHost): Promise<void> {
  const { stderr } = await run(['dd', 'if=/dev/zero', `of=${stateFolder}/fill`, 'bs=4k'], { check: false });
  assert.match(stderr, /No space left/);
}

story(
  'on a full disk Docker is told so, nothing is left over, and all works again once there is room',
  { hosts: 1, patience: 280_000 },
  async (lab) => {
    const host = lab.host(1);
    await smallDisk(host);
    await meshed(lab);
    await sleeper(host, 'weft', 'c1');
    const pid = await host.daemon();
    await fill(host);
    for (const words of [
      ['run', '--rm', '--network', 'weft', 'busybox', 'true'],
      ['network', 'create', '-d', 'weft', '--ipam-driver', 'weft', 'app'],
    ]) {
      const { status, stderr } = await host.docker(words, { check: false });
      assert.notEqual(status, 0);
      assert.match(stderr, /weft: .*(space|disk).*(room|free)/i);
    }
    // Docker takes no notice of errors while it takes a container down.
    await host.ask('rm', '-f', 'c1');
    assert.equal(await host.daemon(), pid, 'weftd lives');

    await host.run(['rm', `${host.stateFolder}/fill`]);
    await hasNoTraces(host, 120_000);
    await createNetwork(host, 'app');
    await sleeper(host, 'app', 'c2');
    await agrees(host);
    await host.ask('rm', '-f', 'c2');
    await hasNoTraces(host);
  },
);
