import assert from 'node:assert/strict';
import { readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LabHost } from '../lab/host.ts';
import { converged } from '../lab/mesh.ts';
import { addressOf, lastLine, ping, reaches, serveEcho, talk } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { meshed, place, story } from './story.ts';

const ECHO_PORT = 7007;

story(
  'an open TCP connection survives kill -9 of a daemon that is back at once',
  { hosts: 2 },
  async (lab) => {
    const [one, two] = await meshed(lab);
    assert.ok(one && two);
    await reaches(one.sandbox, two.address);
    const server = await serveEcho(two.sandbox, ECHO_PORT);
    const talker = talk(one.sandbox, two.address, ECHO_PORT);
    await until('the first lines to come back', () => lastLine(talker) > 5);

    await one.host.kill();
    const before = lastLine(talker);
    await one.host.weft(['up']);

    assert.equal(await addressOf(one.sandbox), one.address, 'the container has its address');
    await until('lines to come back again', () => lastLine(talker) > before + 10, 15_000);
    assert.doesNotMatch(talker.output(), /failed|closed/);
    assert.equal(talker.running(), true);
    assert.deepEqual(
      (await one.host.status()).endpoints.map(({ address }) => address),
      [one.address],
    );
    await Promise.all([talker.stop(), server.stop()]);
  },
);

story(
  'both daemons killed and started again: the same addresses, and packets flow',
  { hosts: 2 },
  async (lab) => {
    const places = await meshed(lab);
    for (const { host } of places) await host.kill();
    for (const { host } of places) await host.weft(['up']);
    await converged(lab.hosts);
    for (const { host, address } of places) {
      assert.deepEqual(
        (await host.status()).endpoints.map((endpoint) => endpoint.address),
        [address],
      );
    }
    const [one, two] = places;
    assert.ok(one && two);
    await reaches(one.sandbox, two.address);
    assert.equal((await ping(two.sandbox, one.address)).received, 3);
  },
);

story(
  'a container that is attached after a restart gets an address of its own',
  { hosts: 2 },
  async (lab) => {
    const [one, two] = await meshed(lab);
    assert.ok(one && two);
    await one.host.kill();
    await one.host.weft(['up']);
    const late = await place(lab, one.host, 'late');
    assert.notEqual(late.address, one.address);
    assert.notEqual(late.address, two.address);
    await reaches(late.sandbox, two.address);
    await reaches(late.sandbox, one.address);
  },
);

story(
  'a damaged state file: the daemon starts from the previous generation and says so',
  { hosts: 2 },
  async (lab) => {
    const [one, two] = await meshed(lab);
    assert.ok(one && two);
    // The generation before the last holds the container only if something was stored after it.
    await one.host.weft(['invite']);
    await one.host.kill();
    await damage(one.host);
    await one.host.weft(['up']);
    const { state, phase } = await one.host.status();
    assert.equal(phase.state, 'ready');
    assert.equal(state.generation, 'previous');
    assert.match(state.note ?? '', /\w/);
    assert.match((await one.host.weft(['status'], { check: false })).stdout, /PREVIOUS GENERATION/);
    await converged(lab.hosts);
    await reaches(one.sandbox, two.address);
  },
);

story('with both generations damaged the daemon refuses, and says what to do', { hosts: 1 }, async (lab) => {
  const host = lab.host(1);
  await host.weft(['up']);
  await host.kill();
  for (const file of await stateFiles(host)) await writeFile(file, 'no state at all');
  const { status, stderr } = await host.weft(['up'], { check: false });
  assert.notEqual(status, 0);
  assert.match(stderr, /damaged/);
  assert.match(stderr, /→ .*(backup|move)/);
});

/** Cuts the newest state file in half. */
async function damage(host: LabHost): Promise<void> {
  const files = await stateFiles(host);
  const ages = await Promise.all(files.map(async (path) => ({ path, time: (await stat(path)).mtimeMs })));
  const newest = ages.sort((a, b) => b.time - a.time)[0]?.path ?? '';
  await truncate(newest, Math.floor((await readFile(newest)).length / 2));
}

async function stateFiles(host: LabHost): Promise<string[]> {
  const names = await readdir(host.stateFolder);
  const found = names.filter((name) => /^state(\.|$)/.test(name)).map((name) => join(host.stateFolder, name));
  assert.ok(found.length > 0, `state files among ${names}`);
  return found;
}
