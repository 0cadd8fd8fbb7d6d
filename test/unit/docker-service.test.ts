import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { readConfig } from '../../src/daemon/config.ts';
import { createDockerService, type DockerService } from '../../src/daemon/docker.ts';
import type { Network } from '../../src/daemon/network.ts';
import { createPhases, type Phases } from '../../src/daemon/phases.ts';
import type { Runner } from '../../src/daemon/runner.ts';
import { inheritedSocket } from '../../src/daemon/systemd.ts';
import { callPlugin } from '../contract/support/docker-replay.ts';
import { silentLog } from '../hosts/log.ts';
import { createDockerWorld, type DockerWorld } from './support/docker-world.ts';

let folder: string;
let socket: string;
let world: DockerWorld;
let phases: Phases;
let service: DockerService;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-service-'));
  socket = join(folder, 'weft.sock');
  world = createDockerWorld();
  phases = createPhases();
  const docker = await world.live();
  const network = () => (phases.get().state === 'ready' ? ({ docker } as unknown as Network) : undefined);
  const read = readConfig({
    argv: ['--docker=on', `--docker-socket=${socket}`],
    env: {},
    readFile: () => undefined,
    hostname: 'h',
  });
  assert.equal(read.kind, 'run');
  const { config } = read as Extract<typeof read, { kind: 'run' }>;
  const runner = { phases, network } as unknown as Runner;
  service = createDockerService({ config, runner, clock: world.clock, log: silentLog, keep });
  await service.listen();
});

/** Under a clock that stands still a stand-in would hear no sign of life and take the calls. */
const keep = () => ({ start: () => {}, stop: async () => {} });

afterEach(async () => {
  await service.close();
  await rm(folder, { recursive: true });
});

const POOL = { AddressSpace: 'WeftLocal', Pool: '', SubPool: '', Options: null, V6: false };
const requestPool = () => callPlugin(socket, 'IpamDriver.RequestPool', JSON.stringify(POOL));

/** Resolves when a call has begun to wait. */
function waits(): Promise<void> {
  const { watch } = phases;
  return new Promise((resolve) => {
    Object.assign(phases, {
      watch(handler: Parameters<typeof watch>[0]) {
        resolve();
        return watch(handler);
      },
    });
  });
}

test('a call that comes while the mesh starts is answered as soon as it is up', async () => {
  phases.enter('starting', 'taking up the mesh');
  const answers: number[] = [];
  const watched = waits();
  const call = requestPool().then(({ status }) => answers.push(status));
  await watched;
  assert.deepEqual(answers, []);
  phases.enter('ready', 'the network is up');
  await call;
  assert.deepEqual(answers, [200]);
});

test('it does not wait longer than ten seconds, and says for what', async () => {
  phases.enter('starting', 'asking 192.0.2.7:6783 for addresses');
  const watched = waits();
  const call = requestPool();
  await watched;
  await world.clock.advance(10_000);
  const { status, body } = await call;
  assert.equal(status, 500);
  assert.match(String(body.Err), /still starting \(asking 192\.0\.2\.7:6783 for addresses\)/);
});

test('a mesh that is not starting is not waited for', async () => {
  for (const [state, expected] of [
    ['idle', /no mesh/],
    ['failed', /could not start/],
    ['stopping', /is stopping/],
  ] as const) {
    phases.enter(state, 'for a reason');
    const { status, body } = await requestPool();
    assert.equal(status, 500, state);
    assert.match(String(body.Err), state === 'failed' ? /for a reason/ : expected, state);
  }
});

test('a socket from systemd is taken by its name, and only by the process that it is for', () => {
  const env = { LISTEN_PID: String(process.pid), LISTEN_FDS: '2', LISTEN_FDNAMES: 'api:docker' };
  assert.equal(inheritedSocket('docker', env), 4);
  assert.equal(inheritedSocket('api', env), 3);
  assert.equal(inheritedSocket('other', env), undefined);
  assert.equal(inheritedSocket('docker', { ...env, LISTEN_FDS: '1' }), undefined);
  assert.equal(inheritedSocket('docker', { ...env, LISTEN_PID: '1' }), undefined);
  assert.equal(inheritedSocket('docker', {}), undefined);
});
