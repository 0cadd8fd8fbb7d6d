import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { limitSegments, SEGMENT } from '../../src/host/segment-limit.ts';
import type { Log } from '../../src/ports/log.ts';

const servers: Server[] = [];
after(() => servers.forEach((server) => void server.close()));

async function listen(port: number): Promise<Server> {
  const server = createServer((socket) => socket.pipe(socket)).listen(port, '::');
  servers.push(server);
  await once(server, 'listening');
  return server;
}

/** What the kernel says of both ends of a new connection: largest segments that it sends, and that it asks for. */
async function segments(port: number): Promise<readonly { sends: number; asks: number }[]> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write('x');
  await once(socket, 'data');
  const { stdout } = await promisify(execFile)('ss', ['-Htin', `( sport = :${port} or dport = :${port} )`]);
  socket.destroy();
  return [...stdout.matchAll(/ mss:(\d+).* advmss:(\d+)/g)].map(([, sends, asks]) => {
    return { sends: Number(sends), asks: Number(asks) };
  });
}

test('connections that a limited socket accepts send no segment above the limit, on either end', async () => {
  const warnings: string[] = [];
  const log: Log = { debug() {}, info() {}, warn: (text) => void warnings.push(text), error() {} };
  const free = await listen(0);
  const { port } = free.address() as AddressInfo;
  const before = await segments(port);
  assert.equal(before.length, 2);
  assert.ok(before.every(({ sends }) => sends > SEGMENT));
  free.close();
  await once(free, 'close');

  const unlimit = limitSegments(port, log);
  await listen(port);
  const limited = await segments(port);
  assert.equal(limited.length, 2);
  assert.ok(
    limited.every(({ sends }) => sends <= SEGMENT),
    JSON.stringify(limited),
  );
  assert.ok(
    limited.some(({ asks }) => asks <= SEGMENT),
    JSON.stringify(limited),
  );
  const other = await listen(0);
  const elsewhere = await segments((other.address() as AddressInfo).port);
  assert.ok(
    elsewhere.every(({ sends }) => sends > SEGMENT),
    'only the port that was named is limited',
  );
  unlimit();
  assert.deepEqual(warnings, []);
});
