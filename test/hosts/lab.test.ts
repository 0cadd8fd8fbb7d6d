import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startCapture } from '../lab/capture.ts';
import { type Background, background } from '../lab/command.ts';
import { labFolder, leftovers, namespacesOf, tearDown } from '../lab/teardown.ts';
import { ping, stream } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { story } from './story.ts';

const LAB = join(import.meta.dirname, '..', 'lab');

story(
  'hosts of a lab reach each other over IPv4 and IPv6, and a capture sees what they say',
  { hosts: 2 },
  async (lab) => {
    const [one, two] = [lab.host(1), lab.host(2)];
    const capture = await startCapture(lab.wire.namespace, join(lab.folder, 'wire.pcap'));
    assert.equal((await ping(one, two.address, { pattern: 'over-the-wire-16' })).received, 3);
    assert.equal((await ping(one, two.address6)).received, 3);
    await capture.stop();
    assert.equal(await capture.holds('over-the-wire-16'), true);
    assert.equal(await capture.holds('never-said-at-all'), false);
    assert.equal(
      await capture.count(`icmp and host ${one.address}`),
      12,
      'three requests and answers, each at two ports',
    );
  },
);

story('faults of the wire come when asked for and go when mended', { hosts: 3 }, async (lab) => {
  const [one, two, three] = [lab.host(1), lab.host(2), lab.host(3)];
  const reached = async () => {
    const results = await Promise.all([two, three].map((host) => ping(one, host.address, { count: 1 })));
    return results.map(({ received }) => received);
  };
  assert.deepEqual(await reached(), [1, 1]);
  await lab.wire.cut('h1', 'h2');
  assert.deepEqual(await reached(), [0, 1]);
  await lab.wire.mend();
  await lab.wire.unplug('h3');
  assert.deepEqual(await reached(), [1, 0]);
  await lab.wire.plug('h3');
  await lab.wire.lose('h1', 99.9);
  assert.deepEqual(await reached(), [0, 0]);
  await lab.wire.mend();
  await lab.wire.limit('h2', 20);
  assert.ok((await stream(one, two, two.address)).bitsPerSecond < 40e6);
  await lab.wire.mend();
  assert.ok((await stream(one, two, two.address)).bitsPerSecond > 100e6);
});

story('a host behind a NAT reaches others and is not reached', { hosts: 1 }, async (lab) => {
  const laptop = await lab.behindNat('laptop');
  const [cloud] = lab.hosts;
  assert.ok(cloud);
  assert.equal((await ping(laptop, cloud.address)).received, 3);
  await cloud.run(['ip', 'route', 'add', '192.168.77.0/24', 'via', '198.18.0.100']);
  assert.equal((await ping(cloud, laptop.address, { count: 1 })).received, 0);
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`a lab that ${signal} ends leaves nothing behind`, async () => {
    const { id, child } = await labOfItsOwn();
    await child.stop(signal);
    assert.deepEqual(namespacesOf(id), []);
    assert.equal(existsSync(labFolder(id)), false);
  });
}

test('what a killed lab left is found and taken down', async () => {
  const { id, child } = await labOfItsOwn();
  await child.stop('SIGKILL');
  assert.notDeepEqual(namespacesOf(id), []);
  assert.ok(leftovers().some((lab) => lab.id === id));
  tearDown(id);
  assert.deepEqual(namespacesOf(id), []);
  assert.equal(existsSync(labFolder(id)), false);
});

/** A lab in another process that waits for its end. */
async function labOfItsOwn(): Promise<{ id: string; child: Background }> {
  const script = `
    const { createLab } = await import(${JSON.stringify(join(LAB, 'create.ts'))});
    const lab = await createLab({ hosts: 1, echo: { command() {}, note() {} } });
    lab.host(1).start(['sleep', '1000']);
    console.log('lab ' + lab.id);
    setInterval(() => {}, 1000);`;
  const child = background([process.execPath, '--input-type=module', '--eval', script]);
  const id = await until('the lab', () => /^lab (\w+)$/m.exec(child.output())?.[1]);
  return { id, child };
}
