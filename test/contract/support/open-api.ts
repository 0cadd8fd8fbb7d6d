import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '../../../src/daemon/logger.ts';
import { type ApiParts, createApi } from '../../../src/doors/api/server.ts';
import { createMemoryControl } from '../../../src/doors/memory-control.ts';
import { createSystemClock } from '../../../src/host/clock.ts';
import { TOKENS } from './memory-weftd.ts';

export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly json: Record<string, unknown>;
}

/** An API over a memory control in a folder of its own. */
export async function openApi(more: Partial<ApiParts> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'weft-api-'));
  const socketPath = join(folder, 'weft.sock');
  const lines: string[] = [];
  const clock = createSystemClock();
  const control = createMemoryControl({ tokens: TOKENS });
  const log = createLogger({ clock, level: 'debug', write: (line) => lines.push(line) });
  let downs = 0;
  const onDown = () => {
    downs += 1;
    void api.close();
  };
  const api = createApi({ control, socketPath, log, clock, onDown, ...more });
  await api.listen().catch(async (error: unknown) => {
    await rm(folder, { recursive: true });
    throw error;
  });
  return {
    folder,
    socketPath,
    control,
    api,
    log: () => lines.join(''),
    downs: () => downs,
    /** Sends bytes as they are and reads until the other side closes. */
    raw: (text: string | Uint8Array) => exchange(socketPath, text),
    post: (path: string, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
      exchange(
        socketPath,
        request('POST', path, typeof body === 'string' ? body : JSON.stringify(body), headers),
      ),
    get: (path: string, headers: Readonly<Record<string, string>> = {}) =>
      exchange(socketPath, request('GET', path, undefined, headers)),
    async close() {
      await api.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export function request(
  method: string,
  path: string,
  body: string | undefined,
  headers: Readonly<Record<string, string>>,
): string {
  const all: Record<string, string> = {
    host: 'weft',
    connection: 'close',
    ...(body === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body ?? ''}`;
}

export function exchange(socketPath: string, text: string | Uint8Array): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect(socketPath, () => socket.write(text));
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    // A refused body is cut off while it is still being sent; what was answered before still counts.
    socket.on('error', (error) => {
      if (chunks.length === 0) reject(error);
    });
    socket.on('close', () => resolve(parse(Buffer.concat(chunks).toString('utf8'))));
  });
}

function parse(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n');
  const [first = '', ...lines] = text.slice(0, end).split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
  );
  const body = text.slice(end + 4);
  let json: Record<string, unknown> = {};
  try {
    json = JSON.parse(body) as Record<string, unknown>;
  } catch {
    // Not every answer is one JSON text: streams and empty ones are not.
  }
  return { status: Number(first.split(' ')[1] ?? 0), headers, body, json };
}
