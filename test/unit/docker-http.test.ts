import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DockerError, type DockerErrorCode, type DockerEvent } from '../../docker-plugin/engine/api.ts';
import { createDockerApi } from '../../docker-plugin/engine/http-api.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';

/** An engine that answers as the test wants. */
async function serve(t: TestContext, answer: RequestListener) {
  const folder = mkdtempSync(join(tmpdir(), 'weft-docker-'));
  const socket = join(folder, 'docker.sock');
  const server: Server = createServer(answer);
  server.listen(socket);
  await once(server, 'listening');
  const clock = createVirtualClock();
  const api = createDockerApi({ socket, driver: 'weft', clock });
  t.after(() => {
    api.close();
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { api, clock, server };
}

function fails(task: Promise<unknown>, code: DockerErrorCode, text: RegExp = /./): Promise<void> {
  return assert.rejects(task, (error) => {
    assert.ok(error instanceof DockerError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, text);
    return true;
  });
}

test('a network is made with the driver, its subnet and the option that names it', async (t) => {
  let seen: unknown;
  const { api } = await serve(t, async (request, response) => {
    const parts = await request.toArray();
    seen = [request.method, request.url, JSON.parse(Buffer.concat(parts).toString())];
    response.writeHead(201).end('{"Id":"abc","Warning":""}');
  });
  const options = { 'weft.network': 'a1' };
  const id = await api.createNetwork({ name: 'app', subnet: '10.32.1.0/24', internal: true, options });
  assert.equal(id, 'abc');
  const ipam = { Driver: 'weft', Options: options, Config: [{ Subnet: '10.32.1.0/24' }] };
  const body = {
    Name: 'app',
    CheckDuplicate: true,
    Driver: 'weft',
    Internal: true,
    IPAM: ipam,
    Options: options,
  };
  assert.deepEqual(seen, ['POST', '/networks/create', body]);
});

test('each refusal of Docker has its code and keeps its words', async (t) => {
  let status = 409;
  const { api } = await serve(t, (_request, response) => {
    response.writeHead(status).end('{"message":"so says Docker"}');
  });
  const plan = { name: 'app', subnet: '10.32.1.0/24', internal: false, options: {} };
  await fails(api.createNetwork(plan), 'name-taken', /so says Docker/);
  status = 403;
  await fails(api.removeNetwork('a'), 'in-use', /so says Docker/);
  status = 500;
  await fails(api.networks(), 'refused', /so says Docker/);
});

test('what is gone is undefined, and fine to remove', async (t) => {
  const { api } = await serve(t, (_request, response) => {
    response.writeHead(404).end('{"message":"no such thing"}');
  });
  assert.equal(await api.network('a'), undefined);
  assert.equal(await api.container('a'), undefined);
  await api.removeNetwork('a');
  await api.disconnect('a', 'b');
});

test('an id cannot leave its place in the path', async (t) => {
  let path: string | undefined;
  const { api } = await serve(t, (request, response) => {
    path = request.url;
    response.writeHead(404).end();
  });
  await api.container('../images/json?all=1');
  assert.equal(path, '/containers/..%2Fimages%2Fjson%3Fall%3D1/json');
});

test('an answer that does not come is given up', async (t) => {
  let asked = () => {};
  const arrived = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const { api, clock } = await serve(t, () => asked());
  const answer = fails(api.networks(), 'timeout', /GET \/networks within 20 s/);
  await arrived;
  await clock.advance(20_000);
  await answer;
});

test('an engine that breaks off, is not there, or talks nonsense is an error of its own kind', async (t) => {
  let body = '[{"Id":1}]';
  const { api, server } = await serve(t, (_request, response) => {
    response.writeHead(200, { 'content-length': '100' });
    if (body === '') response.socket?.destroy();
    else response.end(body.padEnd(100));
  });
  await fails(api.networks(), 'bad-answer');
  body = 'nothing like JSON';
  await fails(api.networks(), 'bad-answer');
  body = '{"Containers":[]}';
  await fails(api.network('a'), 'bad-answer');
  body = '';
  await fails(api.networks(), 'unreachable');
  server.close();
  await once(server, 'close');
  await fails(api.networks(), 'unreachable', /docker\.sock/);
});

test('an answer without end is cut off', async (t) => {
  const { api } = await serve(t, (_request, response) => {
    const chunk = Buffer.alloc(1024 * 1024, ' ');
    const more = () => {
      while (!response.destroyed && response.write(chunk));
    };
    response.writeHead(200).on('drain', more);
    more();
  });
  await fails(api.containers(), 'bad-answer', /too large/);
});

test('events come one by one, whatever lies between them, until the stream breaks', async (t) => {
  const { api } = await serve(t, (request, response) => {
    assert.match(request.url ?? '', /^\/events\?filters=/);
    const start = { Type: 'container', Action: 'start', Actor: { ID: 'c1', Attributes: { name: 'web' } } };
    const about = { container: 'c1', name: 'app', type: 'weft' };
    const connect = { Type: 'network', Action: 'connect', Actor: { ID: 'n1', Attributes: about } };
    const text = `${JSON.stringify(start)}\nnonsense\n{"Type":"image"}\n${JSON.stringify(connect)}\n`;
    response.writeHead(200).write(text.slice(0, 20));
    setImmediate(() => response.end(text.slice(20)));
  });
  const events: DockerEvent[] = [];
  let opened = 0;
  const onOpen = () => {
    opened++;
  };
  const onEvent = (event: DockerEvent) => events.push(event);
  await fails(api.follow({ onOpen, onEvent }, new AbortController().signal), 'unreachable');
  assert.equal(opened, 1);
  assert.deepEqual(events, [
    { type: 'container', action: 'start', id: 'c1', container: null, name: 'web' },
    { type: 'network', action: 'connect', id: 'n1', container: 'c1', name: 'app' },
  ]);
});

test('following ends when it is told to', async (t) => {
  const { api } = await serve(t, (_request, response) => void response.writeHead(200).flushHeaders());
  const abort = new AbortController();
  await api.follow({ onOpen: () => abort.abort(), onEvent: () => {} }, abort.signal);
});
