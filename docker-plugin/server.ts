import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { JsonError, type JsonObject, parseObject } from '../src/core/json.ts';
import type { Clock } from '../src/ports/clock.ts';
import type { Log } from '../src/ports/log.ts';
import { DockerError } from './errors.ts';
import { type Answering, createMethods, type Method } from './methods.ts';
import type { Scope } from './parts.ts';

/** The plugin protocol on HTTP. Whoever starts it binds `server` to the socket. */
export interface PluginServer {
  readonly server: Server;
  /** Takes no more calls, lets running ones end for `patience` ms, then cuts them off. A socket that was bound by path goes. */
  close(patience?: number): Promise<void>;
}

export interface PluginServerParts {
  /** The door of the mesh that is up; waits for one that is starting, in bounds. Rejects with what stands in the way. */
  readonly door: () => Promise<Answering>;
  /** One line for any other error, with what to do; never more than a user of Docker may see. */
  readonly explain: (error: unknown) => string;
  readonly scope: Scope;
  /** Methods that are none of Docker's. */
  readonly extra?: readonly (readonly [string, Method])[];
  readonly clock: Clock;
  readonly log: Log;
}

/** A container that publishes ten thousand ports has a call of two megabytes. */
export const MAX_BODY = 8 << 20;
const MAX_HEADER_BYTES = 16_384;
const CLOSE_TIMEOUT = 5_000;
const TYPE = 'application/vnd.docker.plugins.v1.2+json';

export function createPluginServer(parts: PluginServerParts): PluginServer {
  const { door, explain, clock, log } = parts;
  const methods = new Map([...createMethods(parts.scope), ...(parts.extra ?? [])]);
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      // 20.10 sends an empty one.
      requireHostHeader: false,
      headersTimeout: 5_000,
      requestTimeout: 10_000,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => void serve(request, response),
  );

  /** Never rejects: Docker repeats a call that got no answer with an empty body, which can only fail. */
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const started = clock.now();
    const name = (request.url ?? '').slice(1);
    const method = methods.get(name);
    const fields = { method: method === undefined ? 'unknown' : name };
    try {
      const body = await collect(request);
      const result = await call(request, method, body);
      log.debug('docker call', { ...fields, ms: Math.round(clock.now() - started) });
      send(response, 200, result);
    } catch (error) {
      const text = error instanceof DockerError ? error.message : explain(error);
      log.info('docker call refused', { ...fields, error: describe(error) });
      // The one form that both interfaces of every release show: docker-plugin/server.test.ts.
      send(response, statusOf(error), { Err: text });
    }
  }

  async function call(request: IncomingMessage, method: Method | undefined, body: string): Promise<object> {
    if (request.method !== 'POST')
      throw new DockerError('unknown-method', 'the plugin protocol of Docker uses POST only');
    if (method === undefined)
      throw new DockerError('unknown-method', 'weft does not know this method of the plugin protocol');
    if (method.kind === 'fixed') return method.run(body === '' ? {} : parse(body));
    // What Docker sends when it did not get an answer to its first try. Whatever that did is on record; guessing more does harm.
    if (body === '') {
      throw new DockerError(
        'bad-call',
        'Docker lost the connection to weft and repeated the call without its content: try again',
      );
    }
    const parsed = parse(body);
    return method.run(await door(), parsed);
  }

  async function close(patience = CLOSE_TIMEOUT): Promise<void> {
    if (!server.listening) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
    const deadline = clock.setTimer(patience, () => server.closeAllConnections());
    await closed;
    deadline.cancel();
  }

  return { server, close };
}

function parse(body: string): JsonObject {
  try {
    return parseObject(body);
  } catch (error) {
    throw error instanceof JsonError ? new DockerError('bad-call', error.message) : error;
  }
}

function collect(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const lost = () => reject(new DockerError('bad-call', 'the call did not arrive whole'));
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MAX_BODY) {
        chunks.push(chunk);
        return;
      }
      request.removeAllListeners('data');
      request.resume();
      reject(new DockerError('bad-call', `the call is larger than ${MAX_BODY} bytes`));
    });
    request.once('end', () => resolve(Buffer.concat(chunks).toString('utf8').trim()));
    request.once('error', lost);
    request.once('close', lost);
  });
}

/**
 * A connection for each call: on one that is kept, a call that meets its end would be repeated by Docker, and a call is repeated without
 * its body.
 */
function send(response: ServerResponse, status: number, value: object): void {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  response.writeHead(status, { 'content-type': TYPE, 'content-length': body.length, connection: 'close' });
  response.end(body);
}

function statusOf(error: unknown): number {
  return error instanceof DockerError && error.code === 'unknown-method' ? 404 : 500;
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
