import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { DockerDoor } from '../../docker-plugin/door.ts';
import { createMethods } from '../../docker-plugin/methods.ts';
import { createPluginServer, MAX_BODY, type PluginServer } from '../../docker-plugin/server.ts';
import { listenOnSocket } from '../../src/doors/api/socket.ts';
import { silentLog } from '../hosts/log.ts';
import { createDockerWorld } from '../unit/support/docker-world.ts';
import { callPlugin } from './support/docker-replay.ts';

let folder: string;
let socket: string;
let plugin: PluginServer;
/** What the mesh does when it is asked for. */
let mesh: () => Promise<DockerDoor>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-plugin-'));
  socket = join(folder, 'plugins', 'weft.sock');
  const world = createDockerWorld();
  const door = await world.live();
  mesh = async () => door;
  plugin = createPluginServer({
    door: () => mesh(),
    explain: (error) => `explained: ${(error as Error).message}`,
    scope: 'local',
    clock: world.clock,
    log: silentLog,
  });
  await listenOnSocket(plugin.server, socket);
});

afterEach(async () => {
  await plugin.close();
  await rm(folder, { recursive: true });
});

const call = (method: string, body: object | string) =>
  callPlugin(socket, method, typeof body === 'string' ? body : JSON.stringify(body));

const STATEFUL = [...createMethods('local')].flatMap(([name, { kind }]) => (kind === 'mesh' ? [name] : []));
const FIXED = [...createMethods('local')].flatMap(([name, { kind }]) => (kind === 'fixed' ? [name] : []));

test('the socket is for root alone, and goes with the daemon', async () => {
  assert.equal(statSync(socket).mode & 0o777, 0o600);
  await plugin.close();
  assert.equal(existsSync(socket), false);
});

test('what Docker must know before anything else is answered also where there is no mesh', async () => {
  mesh = () => Promise.reject(new Error('no mesh'));
  const active = await call('Plugin.Activate', '');
  assert.equal(active.status, 200);
  assert.deepEqual(active.body, { Implements: ['NetworkDriver', 'IpamDriver'] });
  assert.match(String(active.headers['content-type']), /^application\/vnd\.docker\.plugins/);
  assert.equal((await call('NetworkDriver.GetCapabilities', '')).body.Scope, 'local');
  assert.equal((await call('IpamDriver.GetCapabilities', '')).body.RequiresRequestReplay, false);
  for (const method of FIXED) assert.equal((await call(method, '{}')).status, 200, method);
});

test('an error has the one form that every release shows for both drivers', async () => {
  mesh = () => Promise.reject(new Error('the mesh is starting'));
  for (const method of STATEFUL) {
    const { status, body } = await call(method, {});
    assert.equal(status, 500, method);
    assert.deepEqual(body, { Err: 'explained: the mesh is starting' }, method);
  }
});

test('a call that Docker repeats without its body is refused and does nothing', async () => {
  mesh = () => assert.fail('the mesh was asked');
  for (const method of STATEFUL) {
    const { status, body } = await call(method, '');
    assert.equal(status, 500, method);
    assert.match(String(body.Err), /try again/, method);
  }
});

test('what is no call of the protocol is refused, whatever it is', async () => {
  const { status, body } = await call('NetworkDriver.Explode', {});
  assert.deepEqual([status, typeof body.Err], [404, 'string']);
  for (const text of [
    '{',
    '[]',
    'null',
    '"x"',
    '{"a":1,"a":2}',
    `{"a":${'['.repeat(50)}${']'.repeat(50)}}`,
  ]) {
    for (const method of ['IpamDriver.RequestPool', 'NetworkDriver.Join']) {
      const answer = await call(method, text);
      assert.deepEqual([answer.status, typeof answer.body.Err], [500, 'string'], `${method} ${text}`);
    }
  }
  for (const field of [7, ['x'], { x: 1 }, '../../etc', 'a'.repeat(65), 'x y']) {
    const answer = await call('NetworkDriver.Join', {
      NetworkID: field,
      EndpointID: field,
      SandboxKey: field,
    });
    assert.equal(answer.status, 500, JSON.stringify(field));
  }
});

test('fields that a later release adds are no reason to refuse', async () => {
  const ask = {
    AddressSpace: 'WeftLocal',
    Pool: '',
    SubPool: '',
    Options: null,
    V6: false,
    Later: { x: [1] },
  };
  assert.equal((await call('IpamDriver.RequestPool', ask)).status, 200);
});

test('a body is read up to a limit', async () => {
  const padding = 'x'.repeat(MAX_BODY);
  const answer = await call('IpamDriver.RequestPool', { Pool: '', Options: { padding } });
  assert.equal(answer.status, 500);
  assert.match(String(answer.body.Err), /larger/);
  const fine = {
    AddressSpace: 'WeftLocal',
    Pool: '',
    SubPool: '',
    Options: { padding: 'x'.repeat(1 << 20) },
  };
  assert.equal((await call('IpamDriver.RequestPool', fine)).status, 200);
});

test('a connection carries one call: on one that is kept, a restart would cost Docker the body of its next', async () => {
  const answer = await call('Plugin.Activate', '');
  assert.equal(answer.headers.connection, 'close');
});

test('a caller that goes away or talks nonsense does not stop the next one', async () => {
  for (const text of [
    '',
    'POST /Plugin.Activate HTTP/1.1\r\n',
    'GET / HTTP/1.1\r\nhost: x\r\n\r\n',
    '\0\xff\r\n\r\n',
  ]) {
    const client = connect(socket);
    await new Promise<void>((resolve) => client.once('connect', resolve));
    client.on('error', () => undefined);
    await new Promise<void>((resolve) => client.write(text, () => resolve()));
    client.destroy();
  }
  assert.equal((await call('Plugin.Activate', '')).status, 200);
});
