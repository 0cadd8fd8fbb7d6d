/* A weftd that is in no mesh, and a caller that speaks as dockerd does. Nothing of the machine's network is touched. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { callPlugin } from '../contract/support/docker-replay.ts';
import { until } from '../lab/wait.ts';
import { needsRoot } from './namespaces.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'daemon', 'main.ts');
const UNIT = join(import.meta.dirname, 'socket-unit.pl');
const POOL = { AddressSpace: 'WeftLocal', Pool: '', SubPool: '', Options: null, V6: false };

describe('the socket for Docker', { skip: needsRoot }, () => {
  let folder: string;
  let socket: string;
  const running = new Set<ChildProcess>();

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weft-docker-'));
    socket = join(folder, 'plugins', 'weft.sock');
  });
  afterEach(async () => {
    for (const child of running) child.kill('SIGKILL');
    await rm(folder, { recursive: true });
  });

  function flags(name: string, docker: 'auto' | 'on'): readonly string[] {
    const options = {
      state: join(folder, name),
      socket: join(folder, `${name}.sock`),
      docker,
      'docker-socket': socket,
    };
    return [MAIN, ...Object.entries(options).map(([key, value]) => `--${key}=${value}`)];
  }

  function start(name: string, docker: 'auto' | 'on') {
    const child = spawn(process.execPath, flags(name, docker), { stdio: ['ignore', 'ignore', 'pipe'] });
    running.add(child);
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    return {
      said: () => said,
      listening: () => until(`weftd to listen: ${said}`, () => said.includes('weftd listens'), 20_000),
      async end(signal: NodeJS.Signals) {
        const ended = once(child, 'exit');
        child.kill(signal);
        await ended;
      },
      exit: async () =>
        child.exitCode !== null ? child.exitCode : ((await once(child, 'exit'))[0] as number),
    };
  }

  async function isActive(): Promise<boolean> {
    const { body } = await callPlugin(socket, 'Plugin.Activate', '');
    return Array.isArray(body.Implements) && body.Implements.includes('NetworkDriver');
  }

  test('it is there before any mesh is, and says what to do', async () => {
    const daemon = start('a', 'on');
    await daemon.listening();
    assert.equal(statSync(socket).mode & 0o777, 0o600);
    assert.ok(await isActive());
    const { status, body } = await callPlugin(socket, 'IpamDriver.RequestPool', JSON.stringify(POOL));
    assert.equal(status, 500);
    assert.match(String(body.Err), /in no mesh.*`weft up`/);
    await daemon.end('SIGTERM');
    assert.equal(
      existsSync(socket),
      false,
      'a socket that nobody listens on costs Docker 15 s for each call',
    );
  });

  test('one that a killed daemon left behind is replaced', async () => {
    const first = start('a', 'on');
    await first.listening();
    await first.end('SIGKILL');
    assert.ok(existsSync(socket));
    const second = start('a', 'on');
    await second.listening();
    assert.ok(await isActive());
    await second.end('SIGTERM');
  });

  test('a second daemon starts without it where nobody asked for Docker, and not where somebody did', async () => {
    const first = start('a', 'on');
    await first.listening();
    const second = start('b', 'auto');
    await second.listening();
    assert.match(second.said(), /docker does not find weft here/);
    await second.end('SIGTERM');
    const third = start('c', 'on');
    assert.equal(await third.exit(), 1);
    assert.match(third.said(), /Another daemon listens on/);
    assert.ok(await isActive());
    await first.end('SIGTERM');
  });

  test('held by a socket unit, it lets a call wait for the daemon, and outlives it', async () => {
    socket = join(folder, 'weft.sock');
    const command = [UNIT, socket, process.execPath, ...flags('a', 'on')];
    const env = { ...process.env, LISTEN_FDS: '1', LISTEN_FDNAMES: 'docker' };
    const unit = spawn('perl', command, { stdio: ['pipe', 'pipe', 'ignore'], env });
    running.add(unit);
    const lines = createInterface(unit.stdout)[Symbol.asyncIterator]();
    const next = async () => String((await lines.next()).value);
    assert.equal(await next(), 'listening');
    for (const life of ['first', 'second']) {
      const early = isActive();
      unit.stdin.write('start\n');
      const daemon = Number(await next());
      assert.ok(await early, `a call that came before the ${life} start`);
      assert.ok(await isActive());
      process.kill(daemon, 'SIGTERM');
      assert.equal(await next(), 'ended');
      assert.ok(existsSync(socket));
    }
    unit.stdin.end();
    await once(unit, 'exit');
  });
});
