import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Status } from '../../src/doors/control.ts';
import { EXPIRED_TOKEN, FOREIGN_TOKEN, GOOD_TOKEN, MEMORY_MESH } from './support/memory-weftd.ts';

/** `weft` and `weftd` as processes, from start to end; behind the daemon's API is the memory control. */

const WEFT = join(import.meta.dirname, 'support', 'memory-weft.ts');
const WEFTD = join(import.meta.dirname, 'support', 'memory-weftd.ts');

/** Hundreds of starts: stripping types each time would be most of the time. */
const CACHE = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'weft');

interface Ran {
  readonly exit: number | null;
  readonly out: string;
  readonly err: string;
}

/** A machine: a folder for state and socket. Whatever daemon is left at the end of the test is ended. */
function machine(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'weft-cli-'));
  const state = join(folder, 'state');
  const socket = join(folder, 'run', 'weft.sock');
  const { WEFT_CONFIG: _, ...rest } = process.env;
  const env = {
    ...rest,
    WEFT_STATE: state,
    WEFT_SOCKET: socket,
    WEFT_NICKNAME: 'host-a',
    NODE_COMPILE_CACHE: CACHE,
  };
  const ran = ({ status, stdout, stderr }: SpawnSyncReturns<string>): Ran => ({
    exit: status,
    out: stdout,
    err: stderr,
  });
  const weft = (...argv: string[]) =>
    ran(spawnSync(process.execPath, [WEFT, ...argv], { env, encoding: 'utf8' }));
  const weftd = (...argv: string[]) =>
    ran(spawnSync(process.execPath, [WEFTD, ...argv], { env, encoding: 'utf8' }));
  t.after(() => {
    weft('down');
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    folder,
    state,
    socket,
    env,
    weft,
    weftd,
    pid: () => Number(readFileSync(join(state, 'weftd.pid'), 'utf8').split(' ')[0]),
    log: () => readFileSync(join(state, 'weftd.log'), 'utf8'),
    json: <T>(...argv: string[]) => JSON.parse(weft(...argv, '--json').out) as T,
  };
}

function fine({ exit, out, err }: Ran): string {
  assert.deepEqual([exit, err], [0, '']);
  return out;
}

function failed({ exit, out, err }: Ran, code: number, expected: RegExp): void {
  assert.deepEqual([exit, out], [code, ''], err);
  assert.match(err, /^weftd?: [^\n]+\n( {2}→ [^\n]+\n)?$/);
  assert.match(err, expected);
}

test('a first host comes up with one command, which prints the line for the next one', (t) => {
  const { weft, json, state, socket, log } = machine(t);
  const out = fine(weft('up'));
  assert.match(out, /^Made a mesh over 10\.32\.0\.0\/12; this host, host-a, is its first peer\.\n/);
  assert.match(out, /\n {2}weft join wf1_[A-Za-z0-9_-]+\n/);
  assert.match(out, /lets 1 host in, for 1 d/);
  const status = json<Status>('status');
  assert.deepEqual([status.phase.state, status.nickname], ['ready', 'host-a']);
  assert.deepEqual(
    [state, socket].map((path) => statSync(path).mode & 0o777),
    [0o700, 0o600],
  );
  assert.equal(statSync(join(state, 'weftd.log')).mode & 0o777, 0o600);
  assert.doesNotMatch(log(), /wf1_[A-Za-z0-9]/);
});

test('a second up changes nothing and says so', (t) => {
  const { weft, json, pid } = machine(t);
  fine(weft('up'));
  const before = pid();
  assert.match(fine(weft('up')), /^Running already: host-a in mesh 0{16}/);
  const again = weft('up', '--port', '7000', '--json');
  assert.equal(again.exit, 0);
  assert.match(again.err, /^weft: the daemon runs already; --port will count after/);
  assert.deepEqual([JSON.parse(again.out).created, JSON.parse(again.out).invitation], [false, null]);
  assert.equal(pid(), before);
  assert.equal(json<Status>('status').phase.state, 'ready');
  failed(weft('up', '--range', '10.96.0.0/12'), 1, /this mesh has 10\.32\.0\.0\/12\n.*leave --range out/);
});

test('a host joins with a token from each place it may come from', (t) => {
  const { weft, env, folder, json, log } = machine(t);
  const file = join(folder, 'token');
  writeFileSync(file, `weft join ${GOOD_TOKEN}\n`);
  const ways: (() => Ran)[] = [
    () => weft('join', GOOD_TOKEN),
    () => weft('join', '--token-file', file),
    () => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [WEFT, 'join', '-'], {
        env,
        input: GOOD_TOKEN,
        encoding: 'utf8',
      });
      return { exit: status, out: stdout, err: stderr };
    },
  ];
  for (const way of ways) {
    assert.match(fine(way()), /^Joined: mesh a{16} over 10\.32\.0\.0\/12/);
    assert.equal(json<Status>('status').mesh?.id, MEMORY_MESH);
    assert.doesNotMatch(log(), /wf1_[A-Za-z0-9]/);
    fine(weft('down'));
  }
});

test('a member that joins again is told so, and one of another mesh is refused', (t) => {
  const { weft, json } = machine(t);
  fine(weft('join', GOOD_TOKEN));
  assert.match(fine(weft('join', GOOD_TOKEN)), /^A member already, the token was not used: mesh a{16}/);
  failed(weft('join', FOREIGN_TOKEN), 1, /member of another mesh\n.*weft down/);
  assert.equal(json<Status>('status').mesh?.id, MEMORY_MESH);
});

test('a join that is refused leaves no daemon behind and repeats no token', (t) => {
  const { weft, socket, state } = machine(t);
  for (const [token, expected] of [
    [EXPIRED_TOKEN, /the token has expired\n.*weft invite/],
    [`wf1_${'u'.repeat(60)}`, /did not issue this token/],
    ['wf1_short', /not a join token/],
    ['hello', /not a join token/],
  ] as const) {
    const ran = weft('join', token);
    failed(ran, 1, expected);
    assert.doesNotMatch(ran.err, /wf1_[a-z]{3}|hello/);
    assert.equal(existsSync(socket), false);
    assert.equal(existsSync(join(state, 'weftd.pid')), false);
  }
});

test('a start that cannot be is one line with what to do, and leaves nothing running', (t) => {
  const { weft, weftd, state, socket, folder } = machine(t);
  failed(weft('up', '--port', '70000'), 1, /--port "70000" must be a whole number/);
  failed(weft('up', '--range', '10.32.0.1/12'), 1, /10\.32\.0\.0\/12/);
  failed(weft('up', '--config', '/nonexistent'), 1, /no file \/nonexistent/);
  failed(weft('up', '--state', 'relative'), 1, /--state "relative" must be an absolute path/);
  failed(weftd('--prot', '1'), 1, /did you mean --port/);
  writeFileSync(join(folder, 'file'), '');
  failed(weft('up', '--state', join(folder, 'file')), 1, /./);
  failed(weft('up', '--socket', join(folder, 'file')), 1, /file is there and is not a socket/);
  assert.deepEqual([existsSync(join(state, 'weftd.pid')), existsSync(socket)], [false, false]);
});

test('endpoints come and go, and text and JSON agree', (t) => {
  const { weft, json } = machine(t);
  fine(weft('up'));
  assert.match(
    fine(weft('attach', 'blue', '--name', 'web', '--ip', '10.32.0.7')),
    /^10\.32\.0\.7\/12 on eth0 of blue \(web\), endpoint [0-9a-f]{12}\n$/,
  );
  const exposed = json<{ address: string }>('expose');
  const { endpoints } = json<{ endpoints: { id: string; address: string; name: string | null }[] }>('ps');
  const text = fine(weft('ps'));
  assert.equal(endpoints.length, 2);
  for (const endpoint of endpoints) {
    assert.match(
      text,
      new RegExp(`^${endpoint.id.slice(0, 12)} +${endpoint.name ?? '-'} +${endpoint.address}/12 `, 'm'),
    );
  }
  assert.deepEqual(json('status', 'endpoints'), { endpoints });
  assert.deepEqual(json<Status>('status').endpoints, endpoints);
  failed(weft('attach', 'green', '--ip', '10.32.0.7'), 1, /10\.32\.0\.7 is in use/);
  failed(weft('attach', 'green', '--ip', '10.032.0.7'), 1, /not an IPv4 address/);
  failed(weft('attach', '../../etc'), 1, /sandbox must be the name of a network namespace/);
  failed(weft('attach', '--', '-x'), 1, /sandbox must be/);
  failed(weft('detach', 'green'), 1, /no endpoint here is called green\n.*weft ps/);
  assert.match(fine(weft('detach', 'web')), /^10\.32\.0\.7\/12 taken from eth0 of blue/);
  assert.equal(fine(weft('hide')), `${exposed.address}/12 taken from weft0 of this host\n`);
  assert.match(fine(weft('hide')), /had no address/);
});

test('an invitation lasts and serves as long as was asked for', (t) => {
  const { weft, json } = machine(t);
  fine(weft('up'));
  const invitation = json<{ ttl: number; uses: number }>('invite', '--ttl', '30m', '--uses', '5');
  assert.deepEqual([invitation.ttl, invitation.uses], [1_800, 5]);
  assert.match(
    fine(weft('invite', '--ttl', '7d', '--uses', '20')),
    /On each next host, paste:\n\n {2}weft join wf1_\S+\n\nThe token lets 20 hosts in, for 7 d/,
  );
  failed(weft('invite', '--ttl', '31d'), 1, /--ttl.*from 1m to 30d/);
  failed(weft('invite', '--uses', '10001'), 1, /--uses.*from 1 to 10000/);
});

test('down ends the daemon before it returns, and up brings another', (t) => {
  const { weft, state, socket, pid } = machine(t);
  fine(weft('up'));
  fine(weft('attach', 'blue'));
  for (let round = 0; round < 3; round++) {
    const before = pid();
    assert.match(fine(weft('down')), /^Down: [01] endpoints? detached/);
    assert.equal(existsSync(socket), false);
    assert.deepEqual(readdirSync(state), ['weftd.log']);
    assert.match(fine(weft('down')), /^Nothing to take down: no daemon runs here/);
    fine(weft('up'));
    assert.notEqual(pid(), before);
  }
});

test('a configuration may be named relative to where weft is run', (t) => {
  const { weft, folder, state } = machine(t);
  const file = join(folder, 'own.conf');
  writeFileSync(file, 'log-level = debug\n');
  fine(weft('up', '--config', relative(process.cwd(), file)));
  assert.ok(existsSync(join(state, 'weftd.pid')));
});

test('a daemon that was killed leaves nothing that keeps the next one from starting', (t) => {
  const { weft, pid, json } = machine(t);
  fine(weft('up'));
  process.kill(pid(), 'SIGKILL');
  fine(weft('up'));
  assert.equal(json<Status>('status').phase.state, 'ready');
});

test('two daemons never run on one state folder, and none takes the socket of another', (t) => {
  const { weft, weftd, folder } = machine(t);
  fine(weft('up'));
  const other = ['--socket', join(folder, 'other.sock')];
  failed(weftd('--background', ...other), 1, /another weftd \(process \d+\) uses .*state|Another weftd/);
  failed(weftd('--background', '--state', join(folder, 'state2')), 1, /nother daemon listens on/);
  assert.equal(existsSync(join(folder, 'state2', 'weftd.pid')), false);
});

test('of five ups at once every one succeeds, and one daemon runs', async (t) => {
  const { env, json } = machine(t);
  const codes = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const child = spawn(process.execPath, [WEFT, 'up'], { env, stdio: 'ignore' });
      const [code] = (await once(child, 'close')) as [number];
      return code;
    }),
  );
  assert.deepEqual(codes, [0, 0, 0, 0, 0]);
  assert.equal(json<Status>('status').phase.state, 'ready');
});

test('in the foreground the daemon runs as long as the command, and a signal ends both', async (t) => {
  const { env, json, socket, state } = machine(t);
  const child = spawn(process.execPath, [WEFT, 'up', '--foreground', '--json'], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [answer] = await once(child.stdout, 'data');
  assert.equal(JSON.parse(String(answer)).created, true);
  assert.equal(json<Status>('status').phase.state, 'ready');
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'close'), [0, null]);
  assert.deepEqual([existsSync(socket), existsSync(join(state, 'weftd.pid'))], [false, false]);
});

test('a token on the command line is gone from the process list while the command runs', async (t) => {
  const { env, socket, folder } = machine(t);
  const real = join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.ts');
  // Something that takes the connection and never answers keeps the command running.
  const server = createServer();
  const connected = once(server, 'connection');
  const path = join(folder, 'mute.sock');
  await once(server.listen(path), 'listening');
  const child = spawn(process.execPath, [real, 'join', GOOD_TOKEN], {
    env: { ...env, WEFT_SOCKET: path },
    stdio: 'ignore',
  });
  const [connection] = (await connected) as [import('node:net').Socket];
  const commandLine = readFileSync(`/proc/${child.pid}/cmdline`, 'utf8');
  connection.destroy();
  server.close();
  const [code] = (await once(child, 'close')) as [number];
  assert.doesNotMatch(commandLine, /wf1_/);
  assert.equal(code, 2);
  assert.equal(existsSync(socket), false);
});

test('what listens on the socket and is not weftd is told from it', async (t) => {
  const { folder, env } = machine(t);
  const path = join(folder, 'other.sock');
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi');
  });
  await once(server.listen(path), 'listening');
  t.after(() => server.close());
  const child = spawn(process.execPath, [WEFT, 'status', '--socket', path], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let err = '';
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  assert.deepEqual(await once(child, 'close'), [2, null]);
  assert.match(err, /is not weftd/);
});

test('networks are made, shown, used, renamed and removed by name', (t) => {
  const { weft, json } = machine(t);
  fine(weft('up'));
  assert.match(fine(weft('network', 'create', 'web')), /^web has 10\.\d+\.\d+\.0\/24, id [0-9a-f]{16}\n$/);
  const db = ['create', 'db', '--subnet', '10.40.5.0/24', '--gateway', '10.40.5.1', '--internal'];
  fine(weft('network', ...db, '--reserve', '10.40.5.2', '--reserve', '10.40.5.3'));
  assert.match(fine(weft('network', 'ls')), /^NAME .*\nweft .*\nweb .*\ndb .* internal\n$/);
  const shown = json<{ reserved: string[]; gateway: string }>('network', 'inspect', 'db');
  assert.deepEqual([shown.gateway, shown.reserved], ['10.40.5.1', ['10.40.5.2', '10.40.5.3']]);
  assert.match(fine(weft('attach', 'blue', '--network', 'db')), /^10\.40\.5\.\d+\/24 on eth0 of blue/);
  assert.match(fine(weft('expose', '--network', 'web')), /\/24 on weft0 of this host/);
  failed(weft('network', 'rm', 'db'), 1, /db has endpoints.*10\.40\.5\..*\n {2}→ detach them first/);
  fine(weft('detach', 'blue'));
  assert.match(fine(weft('network', 'rename', 'db', 'base')), /is called base now/);
  assert.match(fine(weft('network', 'rm', 'base')), /^base is removed, 10\.40\.5\.0\/24 is free again/);
  failed(weft('network', 'inspect', 'base'), 1, /there is no network base\n {2}→ see `weft network ls`/);
  failed(weft('network', 'create', '../x'), 1, /name must be the name of a network/);
  failed(
    weft('network', 'create', 'far', '--subnet', '192.168.0.0/16'),
    1,
    /192\.168\.0\.0\/16 is not in 10\.32\.0\.0\/12/,
  );
});
