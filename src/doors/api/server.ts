import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import type { Control } from '../control.ts';
import { ControlError, codeOf, type Problem, toProblem } from '../errors.ts';
import { readBody, refuseBrowsers } from './request.ts';
import { createRoutes, PERMISSIONS, type Permission, PROGRESS_TYPE, type Route } from './routes.ts';
import { listenOnSocket } from './socket.ts';

export interface Api {
  /** Rejects with ControlError `socket-in-use` or `socket-unusable`. */
  listen(): Promise<void>;
  /** Takes no more requests, removes the socket, lets running requests end for `closeTimeout`, then cuts them off. */
  close(): Promise<void>;
}

/** Milliseconds. Together they bound what a connection that sends slowly or nothing can hold. */
export interface ApiLimits {
  readonly headersTimeout: number;
  readonly requestTimeout: number;
  readonly keepAliveTimeout: number;
  readonly closeTimeout: number;
  readonly connections: number;
}

const LIMITS: ApiLimits = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  closeTimeout: 5_000,
  connections: 256,
};
/** Far more than the CLI sends. */
const MAX_HEADER_BYTES = 8_192;

export interface ApiParts {
  readonly control: Control;
  readonly socketPath: string;
  readonly log: Log;
  readonly clock: Clock;
  /** Called once, after a successful `down` was answered: the daemon ends, and calls `close` last. */
  readonly onDown: () => void;
  /** What callers of this socket may do; absent: everything, for the socket is root's. */
  readonly grants?: readonly Permission[];
  readonly routes?: readonly Route[];
  readonly limits?: Partial<ApiLimits>;
}

/** HTTP on a unix socket. Throws at once when a route does not say what permission it takes. */
export function createApi(parts: ApiParts): Api {
  const { control, socketPath, log, clock } = parts;
  const grants = parts.grants ?? PERMISSIONS;
  const limits = { ...LIMITS, ...parts.limits };
  const lastReplies: ServerResponse[] = [];
  const routes = indexRoutes(parts.routes ?? createRoutes(control));

  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      // Refused by refuseBrowsers, with a problem for an answer.
      requireHostHeader: false,
      headersTimeout: limits.headersTimeout,
      requestTimeout: limits.requestTimeout,
      keepAliveTimeout: limits.keepAliveTimeout,
      connectionsCheckingInterval: Math.min(1_000, limits.headersTimeout),
    },
    (request, response) => void serve(request, response),
  );
  server.maxConnections = limits.connections;
  server.on('clientError', refuseMalformed);

  /** Origin → route → permission → body → run → reply. Never rejects. */
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const started = clock.now();
    const done = (status: number, error?: unknown) => {
      const fields = {
        method: request.method,
        path: knownPath(request),
        status,
        ms: Math.round(clock.now() - started),
      };
      if (error !== undefined && codeOf(error) === 'internal')
        log.error('request failed', { ...fields, error: describe(error) });
      else if (request.method === 'GET') log.debug('request', fields);
      else log.info('request', fields);
    };
    let route: Route;
    let run: () => unknown;
    try {
      refuseBrowsers(request);
      route = findRoute(request, response);
      const body = await readBody(request);
      run = () => route.run(body);
    } catch (error) {
      done(sendProblem(response, toProblem(error)), error);
      return;
    }
    if (route.progress === true && request.headers.accept === PROGRESS_TYPE) {
      await streamProgress(response, run, done);
      return;
    }
    try {
      const result = await run();
      if (route.last === true) sendLast(response, result);
      else send(response, 200, 'application/json', result);
      done(200);
    } catch (error) {
      done(sendProblem(response, toProblem(error)), error);
    }
  }

  function findRoute(request: IncomingMessage, response: ServerResponse): Route {
    const methods = routes.get(request.url ?? '');
    if (methods === undefined) throw new ControlError('no-route');
    const route = methods.get(request.method ?? '');
    if (route === undefined) {
      response.setHeader('allow', [...methods.keys()].join(', '));
      throw new ControlError('method-not-allowed');
    }
    if (!grants.includes(route.permission)) throw new ControlError('not-permitted');
    return route;
  }

  /** Its end is the daemon's: `close` sends it, so that the caller knows when everything is gone. */
  function sendLast(response: ServerResponse, value: unknown): void {
    response.writeHead(200, { ...COMMON_HEADERS, 'content-type': 'application/json' });
    const first = lastReplies.push(response) === 1;
    response.write(`${JSON.stringify(value)}\n`, () => {
      if (first) parts.onDown();
    });
  }

  /** Of the path only what the table knows gets into the log. */
  function knownPath(request: IncomingMessage): string | undefined {
    return routes.has(request.url ?? '') ? request.url : undefined;
  }

  async function streamProgress(
    response: ServerResponse,
    run: () => unknown,
    done: (status: number, error?: unknown) => void,
  ): Promise<void> {
    response.writeHead(200, { ...COMMON_HEADERS, 'content-type': PROGRESS_TYPE });
    const line = (value: unknown) => response.write(`${JSON.stringify(value)}\n`);
    const stop = control.watchPhase((phase) => line({ phase }));
    try {
      line({ result: await run() });
      done(200);
    } catch (error) {
      const problem = toProblem(error);
      line({ problem });
      done(problem.status, error);
    } finally {
      stop();
      response.end();
    }
  }

  async function close(): Promise<void> {
    if (!server.listening) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const response of lastReplies) response.end();
    server.closeIdleConnections();
    const deadline = clock.setTimer(limits.closeTimeout, () => server.closeAllConnections());
    await closed;
    deadline.cancel();
  }

  return { listen: () => listenOnSocket(server, socketPath), close };
}

const COMMON_HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

/** Path → method → route. A table that is not right is a mistake of ours, found at the first start. */
function indexRoutes(routes: readonly Route[]): ReadonlyMap<string, ReadonlyMap<string, Route>> {
  const index = new Map<string, Map<string, Route>>();
  for (const route of routes) {
    const label = `${route.method} ${route.path}`;
    if (!PERMISSIONS.includes(route.permission)) throw new Error(`The route ${label} declares no permission`);
    if (route.permission === 'read' && route.method !== 'GET')
      throw new Error(`The route ${label} changes with permission to read`);
    const methods = index.get(route.path) ?? new Map<string, Route>();
    if (methods.has(route.method)) throw new Error(`The route ${label} is there twice`);
    index.set(route.path, methods.set(route.method, route));
  }
  return index;
}

function send(response: ServerResponse, status: number, type: string, value: unknown): number {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  response.writeHead(status, { ...COMMON_HEADERS, 'content-type': type, 'content-length': body.length });
  response.end(body);
  return status;
}

/** A refused request may not have been read to its end, so its connection is not used again. */
function sendProblem(response: ServerResponse, problem: Problem): number {
  response.setHeader('connection', 'close');
  return send(response, problem.status, 'application/problem+json', problem);
}

/** What the parser of node:http refuses never becomes a request. */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const timeout = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  const problem = toProblem(
    timeout
      ? new ControlError('request-timeout')
      : new ControlError('bad-request', 'This is not HTTP/1.1, or its header is too large'),
  );
  const body = `${JSON.stringify(problem)}\n`;
  socket.end(
    `HTTP/1.1 ${problem.status} ${timeout ? 'Request Timeout' : 'Bad Request'}\r\nconnection: close\r\n` +
      `content-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
