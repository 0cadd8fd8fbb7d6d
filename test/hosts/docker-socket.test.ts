/* A weftd that is in no mesh, and a caller that speaks as dockerd does. Nothing of the machine's network is touched. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { callPlugin } from '../contract/support/docker-replay.ts';
import { hasEnded } from '../lab/host.ts';
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
    const pid = child.pid ?? 0;
    return {
      said: () => said,
      pid,
      /** Process id of who answers Docker when the daemon does not. */
      standIn: () =>
        until('a stand-in', () => {
          const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
          return children.filter(Boolean).map(Number).find(isStandIn);
        }),
      listening: () => until(`weftd to listen: ${said}`, () => said.includes('weftd listens'), 20_000),
      signal: (name: NodeJS.Signals) => void child.kill(name),
      async end(signal: NodeJS.Signals) {
        const ended = once(child, 'exit');
        child.kill(signal);
        await ended;
      },
      exit: async () =>
        child.exitCode !== null ? child.exitCode : ((await once(child, 'exit'))[0] as number),
    };
  }

  function isStandIn(pid: number): boolean {
    return existsSync(`/proc/${pid}`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('stand-in');
  }

  const refusal = async () => {
    const { body } = await callPlugin(socket, 'IpamDriver.RequestPool', JSON.stringify(POOL));
    return String(body.Err);
  };

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

  test('while the daemon hangs Docker is answered all the same, and by the daemon once it goes on', async () => {
    const daemon = start('a', 'on');
    await daemon.listening();
    const standIn = await daemon.standIn();
    daemon.signal('SIGSTOP');
    assert.ok(await isActive());
    assert.match(await refusal(), /no answer from weftd, which hangs/);
    daemon.signal('SIGCONT');
    await until('the daemon', async () => /in no mesh/.test(await refusal()), 20_000);
    // The stand-in has done its work: there is another one for the next time.
    await until('its end', () => hasEnded(standIn), 20_000);
    const next = await daemon.standIn();
    daemon.signal('SIGSTOP');
    assert.ok(await isActive());
    daemon.signal('SIGCONT');
    await daemon.end('SIGTERM');
    await until('no stand-in to be left', () => hasEnded(next));
    assert.equal(existsSync(socket), false);
  });

  test('after the daemon was killed Docker is answered, until the next one is there', async () => {
    const first = start('a', 'on');
    await first.listening();
    const standIn = await first.standIn();
    await first.end('SIGKILL');
    assert.ok(await isActive());
    const second = start('a', 'on');
    await second.listening();
    assert.match(await refusal(), /in no mesh/);
    await until('the one before to end', () => hasEnded(standIn));
    await second.end('SIGTERM');
  });

  test('a stand-in that dies or hangs is replaced', async () => {
    const daemon = start('a', 'on');
    await daemon.listening();
    let last = await daemon.standIn();
    for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
      process.kill(last, signal);
      await until('its end', () => hasEnded(last), 60_000);
      last = await daemon.standIn();
    }
    daemon.signal('SIGSTOP');
    assert.ok(await isActive());
    daemon.signal('SIGCONT');
    await daemon.end('SIGTERM');
  });

  test('cleaning up after a killed daemon ends its stand-in and takes the socket away', async () => {
    const daemon = start('a', 'on');
    await daemon.listening();
    const standIn = await daemon.standIn();
    await daemon.end('SIGKILL');
    const options = { stdio: 'ignore' } as const;
    await once(spawn(process.execPath, [...flags('a', 'on'), '--clean'], options), 'exit');
    await until('its end', () => hasEnded(standIn));
    assert.equal(existsSync(socket), false);
  });

  test('one that nobody stands behind any more is replaced', async () => {
    const first = start('a', 'on');
    await first.listening();
    const standIn = await first.standIn();
    // Both of them: first the one that would be replaced otherwise.
    first.signal('SIGSTOP');
    process.kill(standIn, 'SIGKILL');
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
