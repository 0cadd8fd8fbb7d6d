import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommandResult } from '../lab/command.ts';
import type { LabHost } from '../lab/host.ts';
import { WEFT } from '../lab/host.ts';
import { converged } from '../lab/mesh.ts';
import type { Namespace } from '../lab/namespace.ts';
import { AS_NOBODY } from '../lab/nobody.ts';
import { difference, snapshot } from '../lab/snapshot.ts';
import { addressOf, reaches } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { meshed, story } from './story.ts';

const stackOf = (namespace: Namespace) => snapshot((argv) => namespace.run(argv, { say: null }));

story('weft down leaves host and containers as they were before weft up', { hosts: 2 }, async (lab) => {
  const sandboxes = [await lab.sandbox('c1'), await lab.sandbox('c2')];
  const places = [...lab.hosts, ...sandboxes];
  const before = await Promise.all(places.map(stackOf));

  await lab.host(1).weft(['up']);
  for (const sandbox of sandboxes) await lab.host(1).weft(['attach', sandbox.path]);
  await lab.host(1).weft(['expose']);
  const during = await stackOf(lab.host(1));
  assert.notDeepEqual(difference(before[0] ?? [], during), [], 'the snapshot sees what weft does');

  await lab.host(1).weft(['down']);
  await until('the daemon to end', async () => (await lab.host(1).daemon()) === undefined);
  for (const [index, namespace] of places.entries()) {
    assert.deepEqual(difference(before[index] ?? [], await stackOf(namespace)), [], namespace.name);
  }
});

story('weft down after kill -9 cleans up what the dead daemon left', { hosts: 1 }, async (lab) => {
  const host = lab.host(1);
  const sandbox = await lab.sandbox('c1');
  const before = await stackOf(host);
  await host.weft(['up']);
  await host.weft(['attach', sandbox.path]);
  await host.kill();
  assert.match((await host.weft(['down'])).stdout, /^Down: no daemon ran here; .* 1 endpoint detached/);
  assert.deepEqual(difference(before, await stackOf(host)), []);
  assert.match((await host.weft(['down'])).stdout, /^Nothing to take down/);
});

story(
  'after weft down and weft up the containers of before have their addresses again',
  { hosts: 2 },
  async (lab) => {
    const [one, two] = await meshed(lab);
    assert.ok(one && two);
    await one.host.weft(['down']);
    await one.host.weft(['up']);
    await converged(lab.hosts);
    await one.host.weft(['attach', one.sandbox.path], { check: false });
    assert.equal(await addressOf(one.sandbox), one.address);
    await reaches(one.sandbox, two.address);
  },
);

story('the host itself takes part with expose and leaves with hide', { hosts: 2 }, async (lab) => {
  const [one, two] = await meshed(lab);
  assert.ok(one && two);
  const { address } = JSON.parse((await one.host.weft(['expose', '--json'])).stdout) as { address: string };
  await reaches(two.sandbox, address);
  await reaches(one.sandbox, address);
  await reaches(one.host, two.address);
  await one.host.weft(['hide']);
  const { stdout } = await one.host.run(['ip', '-4', 'address']);
  assert.equal(stdout.includes(address), false);
});

story('detach takes the interface away and gives the address back', { hosts: 1 }, async (lab) => {
  const host = lab.host(1);
  const sandbox = await lab.sandbox('c1');
  const before = await stackOf(sandbox);
  await host.weft(['up']);
  await host.weft(['attach', sandbox.path, '--ip', '10.32.0.77']);
  assert.equal(await addressOf(sandbox), '10.32.0.77');
  await host.weft(['detach', sandbox.path]);
  assert.deepEqual(difference(before, await stackOf(sandbox)), []);
  await host.weft(['attach', sandbox.path, '--ip', '10.32.0.77']);
  assert.equal(await addressOf(sandbox), '10.32.0.77');
});

story(
  'a range that overlaps a route of the host is refused before anything is touched',
  { hosts: 1 },
  async (lab) => {
    const host = lab.host(1);
    await host.run(['ip', 'route', 'add', '10.40.0.0/16', 'via', '198.18.0.254']);
    await refusedUntouched(host, ['up'], /10\.40\.0\.0\/16/, /--range/);
    await host.weft(['up', '--range', '10.96.0.0/12']);
  },
);

story('a port in use is named with the way to find its owner', { hosts: 1 }, async (lab) => {
  const host = lab.host(1);
  const taker = host.start(['iperf3', '-s', '-p', '6783']);
  await host.run(['sh', '-c', 'until ss -ltn | grep -q :6783; do sleep 0.05; done']);
  await refusedUntouched(host, ['up'], /6783/, /ss -|--port/);
  await taker.stop();
  await host.weft(['up']);
});

story('a machine without /dev/net/tun is told what to load', { hosts: 1 }, async (lab) => {
  const host = lab.host(1);
  await refusedUntouched(host, ['up'], /\/dev\/net\/tun/, /modprobe tun|--device/, [
    'unshare',
    '--mount',
    'sh',
    '-c',
    'mount -t tmpfs none /dev/net && exec "$@"',
    'sh',
  ]);
});

story('whoever is not root is told to be', { hosts: 1 }, async (lab) => {
  const host = lab.host(1);
  await chmod(lab.folder, 0o755);
  await host.run(['chown', 'nobody', `${lab.folder}/${host.name}`]);
  await refusedUntouched(host, ['up'], /root/, /root/, AS_NOBODY);
});

story(
  'without a daemon every command that needs one exits with 2 and names the next step',
  { hosts: 1 },
  async (lab) => {
    const host = lab.host(1);
    for (const words of ['status', 'peers', 'invite', 'attach c1', 'detach c1', 'expose', 'hide']) {
      const { status, stderr } = await host.weft(words.split(' '), { check: false });
      assert.equal(status, 2, `${words}: ${stderr}`);
      assert.match(stderr, /weft up/, words);
    }
  },
);

/** The command fails with both lines, no daemon stays and the host's network is as before. */
async function refusedUntouched(
  host: LabHost,
  args: readonly string[],
  what: RegExp,
  remedy: RegExp,
  under: readonly string[] = [],
): Promise<void> {
  const before = await stackOf(host);
  const environment = { WEFT_STATE: host.stateFolder, WEFT_SOCKET: host.socket };
  const result: CommandResult = await host.run([...under, ...WEFT, ...args], { check: false, environment });
  assert.ok(result.status === 1 || result.status === 3, `exit code ${result.status}: ${result.stderr}`);
  const [first = '', second = ''] = result.stderr.split('\n');
  assert.match(first, what);
  assert.match(`${first}\n${second}`, remedy);
  assert.doesNotMatch(result.stderr, /\n\s+at /, 'no stack');
  await until('the daemon to end', async () => (await host.daemon()) === undefined);
  assert.deepEqual(difference(before, await stackOf(host)), []);
}

story('a second daemon started by mistake leaves the first one alone', { hosts: 1 }, async (lab) => {
  const host = lab.host(1);
  const sandbox = await lab.sandbox('c1');
  await host.weft(['up']);
  await host.weft(['attach', sandbox.path]);
  const before = await stackOf(host);
  const state = await mkdtemp(join(tmpdir(), 'weft-second-'));
  try {
    const second = ['--state', state, '--socket', join(state, 'weft.sock')];
    const ways = [['up', '--port', '7000'], ['up', '--port', '7000', '--device', 'weft7'], ['down']];
    for (const way of ways) {
      const { status, stderr } = await host.weft([...second, ...way], { check: false });
      assert.equal(status, 1, stderr);
      assert.match(stderr, /another weftd works on this machine: it holds the device weft0/);
    }
  } finally {
    await rm(state, { recursive: true });
  }
  assert.deepEqual(difference(before, await stackOf(host)), []);
  assert.equal((await host.status()).degraded, false);
});
