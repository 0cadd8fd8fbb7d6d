import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { createRoutes, type Route } from '../../src/doors/api/routes.ts';
import { createApi } from '../../src/doors/api/server.ts';
import { createMemoryControl } from '../../src/doors/memory-control.ts';
import { openApi, request } from '../contract/support/open-api.ts';
import { AS_NOBODY } from '../lab/nobody.ts';

/** Attacks 13, 26 and 28: the local API as a stranger, a browser and a fuzzer see it. */

const ROUTES = createRoutes(createMemoryControl());

test('the socket and its folder are for their owner only', async (t) => {
  const outer = mkdtempSync(join(tmpdir(), 'weft-api-'));
  t.after(() => rmSync(outer, { recursive: true }));
  const socketPath = join(outer, 'run', 'weft.sock');
  const api = await openApi({ socketPath });
  t.after(api.close);
  assert.equal(statSync(socketPath).mode & 0o777, 0o600);
  assert.equal(statSync(join(outer, 'run')).mode & 0o777, 0o700);
});

test('another user cannot open the socket', {
  skip: process.getuid?.() !== 0 && 'needs root to become somebody else',
}, async (t) => {
  const api = await openApi();
  t.after(api.close);
  const script = `require('node:net').connect(${JSON.stringify(api.socketPath)}).on('connect', () => process.exit(0)).on('error', (e) => { console.log(e.code); process.exit(7); })`;
  spawnSync('chmod', ['0711', api.folder]);
  const [command = '', ...args] = [...AS_NOBODY, process.execPath, '-e', script];
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8' });
  assert.deepEqual([status, stdout.trim()], [7, 'EACCES']);
});

test('a socket that a dead daemon left is replaced, one in use or something else is not', async (t) => {
  const api = await openApi();
  t.after(api.close);
  await assert.rejects(openApi({ socketPath: api.socketPath }), { code: 'socket-in-use' });
  assert.equal((await api.get('/v1/version')).status, 200);

  const file = join(api.folder, 'file');
  writeFileSync(file, 'precious');
  await assert.rejects(openApi({ socketPath: file }), { code: 'socket-unusable' });
  assert.ok(lstatSync(file).isFile());
  await assert.rejects(openApi({ socketPath: `/tmp/${'x'.repeat(120)}` }), { code: 'socket-unusable' });

  const stale = join(api.folder, 'stale');
  const leave = `require('node:net').createServer().listen(${JSON.stringify(stale)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', leave]);
  assert.ok(lstatSync(stale).isSocket());
  const second = await openApi({ socketPath: stale });
  await second.close();
  assert.equal(existsSync(stale), false);
});

test('no route answers a browser, whatever it sends', async (t) => {
  const api = await openApi();
  t.after(api.close);
  const disguises: Record<string, string>[] = [
    { origin: 'http://localhost' },
    { origin: 'null' },
    { referer: 'http://localhost/' },
    { 'sec-fetch-site': 'same-origin' },
    { 'sec-fetch-mode': 'navigate' },
    { cookie: 'a=b' },
    { host: 'evil.example' },
    { host: '127.0.0.1:6784' },
    { host: '' },
  ];
  for (const route of ROUTES) {
    for (const headers of disguises) {
      const answer =
        route.method === 'GET' ? await api.get(route.path, headers) : await api.post(route.path, {}, headers);
      assert.deepEqual(
        [answer.status, answer.json.code],
        [403, 'forbidden-origin'],
        `${route.path} ${JSON.stringify(headers)}`,
      );
      assert.equal(answer.headers['access-control-allow-origin'], undefined);
    }
  }
  assert.equal(api.control.status().phase.state, 'idle');
  assert.equal(api.downs(), 0);
});

test('a listener that grants reading only refuses every route that changes something', async (t) => {
  const api = await openApi({ grants: ['read'] });
  t.after(api.close);
  await api.control.found({});
  const before = api.control.status();
  for (const route of ROUTES) {
    const answer = route.method === 'GET' ? await api.get(route.path) : await api.post(route.path, {});
    assert.equal(answer.status, route.permission === 'read' ? 200 : 403, route.path);
  }
  assert.deepEqual(api.control.status(), before);
});

test('a route without a permission, or one that changes with permission to read, stops the start', async () => {
  const route = { method: 'POST', path: '/v1/x', permission: 'manage', run: () => ({}) } as const;
  const wrong: readonly unknown[][] = [
    [{ ...route, permission: undefined }],
    [{ ...route, permission: 'toString' }],
    [{ ...route, permission: 'read' }],
    [route, route],
  ];
  for (const routes of wrong) {
    assert.throws(
      () => createApi({ routes: routes as Route[] } as unknown as Parameters<typeof createApi>[0]),
      /route/,
    );
  }
});

test('a request that is malformed is answered with a problem and costs nothing', async (t) => {
  const api = await openApi();
  t.after(api.close);
  const cases: readonly [string, number][] = [
    [request('GET', '/v1/nothing', undefined, {}), 404],
    [request('GET', '/v1/status/', undefined, {}), 404],
    [request('GET', '/v1/../v1/status', undefined, {}), 404],
    [request('GET', '//v1/status', undefined, {}), 404],
    [request('GET', '/v1/status?x=1', undefined, {}), 404],
    [request('GET', '/__proto__', undefined, {}), 404],
    [request('DELETE', '/v1/status', undefined, {}), 405],
    [request('POST', '/v1/status', '{}', {}), 405],
    [request('GET', '/v1/up', undefined, {}), 405],
    [request('POST', '/v1/up', '{}', { 'content-type': 'text/plain' }), 415],
    [request('POST', '/v1/up', '{}', { 'content-type': 'application/x-www-form-urlencoded' }), 415],
    [request('POST', '/v1/up', '{"range"', {}), 400],
    [request('POST', '/v1/up', '{"range":"10.0.0.0/12"}\u0000', {}), 400],
    [request('POST', '/v1/up', '{"reach":"10.32.0.0/12"}', {}), 400],
    [request('POST', '/v1/up', JSON.stringify({ range: 'x'.repeat(70_000) }), {}), 413],
    [request('GET', '/v1/status', '{}', {}), 400],
    [request('GET', '/v1/status', undefined, { 'x-big': 'x'.repeat(20_000) }), 400],
    ['GET /v1/status HTTP/1.1\r\nconnection: close\r\n\r\n', 403],
    ['\x16\x03\x01\x02\x00\x01\x00', 400],
    ['POST /v1/up HTTP/1.1\r\nhost: weft\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}', 400],
    ['POST /v1/up HTTP/1.1\r\nhost: weft\r\ncontent-length: -1\r\n\r\n', 400],
  ];
  for (const [text, status] of cases) {
    const answer = await api.raw(text);
    assert.equal(answer.status, status, text.slice(0, 80));
    assert.equal(
      answer.headers['content-type'] ?? 'none',
      answer.body === '' ? 'none' : 'application/problem+json',
      text.slice(0, 80),
    );
    assert.doesNotMatch(answer.body, /node:|\.ts:| {4}at /);
  }
  assert.equal(api.control.status().phase.state, 'idle');
  assert.equal((await api.get('/v1/status')).status, 200);
});

test('a body that is not UTF-8 is refused', async (t) => {
  const api = await openApi();
  t.after(api.close);
  const head = Buffer.from(request('POST', '/v1/detach', '', { 'content-length': '16' }));
  const answer = await api.raw(
    Buffer.concat([head, Buffer.from('{"endpoint":"'), Buffer.from([0xff]), Buffer.from('"}')]),
  );
  assert.deepEqual([answer.status, answer.json.code], [400, 'bad-json']);
});

test('random bodies change nothing and are each answered with a code that says why', async (t) => {
  const api = await openApi();
  t.after(api.close);
  await api.control.found({});
  const before = JSON.stringify(api.control.status());
  const path = fc.constantFrom('/v1/join', '/v1/attach', '/v1/detach');
  const key = fc.constantFrom(
    'token',
    'sandbox',
    'ip',
    'interface',
    'endpoint',
    '__proto__',
    'constructor',
    'x',
  );
  const odd = fc.constantFrom(null, true, 1e308, -1, '../../etc', '$(reboot)', '-x', '10.032.0.1', 'wf1_');
  const value = fc.oneof(fc.string({ unit: 'binary' }), odd, fc.jsonValue());
  const body = fc.oneof(
    fc.dictionary(key, value).map((object) => JSON.stringify(object)),
    fc.json(),
    fc.string({ unit: 'binary' }),
  );
  // A good sandbox alone would be attached, as it should.
  const harmless = (text: string) => !/"sandbox"\s*:\s*"[A-Za-z0-9_/]/.test(text);
  await fc.assert(
    fc.asyncProperty(path, body.filter(harmless), async (to, text) => {
      const answer = await api.post(to, text);
      assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status} ${text}`);
      assert.ok(typeof answer.json.code === 'string' && answer.json.code !== 'internal');
    }),
    { numRuns: 500 },
  );
  assert.equal(JSON.stringify(api.control.status()), before);
});

test('connections that send slowly or nothing are closed, and others are served meanwhile', async (t) => {
  const api = await openApi({ limits: { headersTimeout: 200, requestTimeout: 300 } });
  t.after(api.close);
  const closed = (first: string) =>
    new Promise<string>((resolve) => {
      let said = '';
      const socket = connect(api.socketPath, () => socket.write(first));
      socket.on('data', (chunk) => {
        said += chunk;
      });
      socket.on('error', () => {});
      socket.on('close', () => resolve(said));
    });
  const slow = Promise.all([
    closed(''),
    closed('GET /v1/status HT'),
    closed('GET /v1/status HTTP/1.1\r\nhost: weft\r\nx: '),
    closed(request('POST', '/v1/up', '{', { 'content-length': '100' })),
  ]);
  assert.equal((await api.get('/v1/status')).status, 200);
  const [, , headers, body] = await slow;
  assert.match(headers, /^HTTP\/1\.1 408 [\s\S]*"code":"request-timeout"/);
  assert.match(body, /^HTTP\/1\.1 408 /);
  assert.equal(api.control.status().phase.state, 'idle');
});

test('a thousand requests that are broken off leave room for the next', async (t) => {
  const api = await openApi();
  t.after(api.close);
  const head = request('POST', '/v1/up', '{', { 'content-length': '50' });
  const breakOff = () =>
    new Promise<void>((resolve) => {
      const socket = connect(api.socketPath, () => socket.write(head, () => socket.destroy()));
      socket.on('error', () => {});
      socket.on('close', () => resolve());
    });
  for (let round = 0; round < 20; round++) await Promise.all(Array.from({ length: 50 }, breakOff));
  assert.equal((await api.get('/v1/status')).status, 200);
  assert.equal(api.control.status().phase.state, 'idle');
});

test('a hundred requests at once are each answered, and hand out a hundred addresses', async (t) => {
  const api = await openApi();
  t.after(api.close);
  await api.control.found({});
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, index) => api.post('/v1/attach', { sandbox: `box${index}` })),
  );
  assert.deepEqual([...new Set(answers.map((answer) => answer.status))], [200]);
  assert.equal(new Set(answers.map((answer) => answer.json.address)).size, 100);
});

test('neither bodies nor tokens nor what a stranger writes into a path get into the log', async (t) => {
  const token = `wf1_${'Zq9'.repeat(30)}`;
  const api = await openApi();
  t.after(api.close);
  await api.post('/v1/join', { token });
  await api.post('/v1/join', { token: `${token}!` });
  await api.post('/v1/join', `{"token":"${token}`);
  await api.post('/v1/attach', { sandbox: token, secretword: token });
  await api.get(`/v1/${token}`);
  await api.get('/v1/%0a%1b[2J');
  await api.get('/v1/status', { 'user-agent': token });
  assert.match(api.log(), /path=\/v1\/join status=409/);
  assert.doesNotMatch(api.log(), /Zq9|secretword|\[2J/);
});

test('an error inside tells the caller nothing and the log everything but tokens', async (t) => {
  const run = () => {
    throw new Error('the inside of wf1_abcdef broke');
  };
  const api = await openApi({ routes: [{ method: 'GET', path: '/v1/broken', permission: 'read', run }] });
  t.after(api.close);
  const answer = await api.get('/v1/broken');
  assert.deepEqual([answer.status, answer.json.code], [500, 'internal']);
  assert.doesNotMatch(answer.body, /inside of/);
  assert.match(api.log(), /the inside of wf1_… broke.*api\.test\.ts/);
});
