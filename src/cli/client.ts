import { type IncomingMessage, request } from 'node:http';
import type { Phase } from '../doors/control.ts';
import type { Problem } from '../doors/errors.ts';
import { ApiError, UnreachableError } from './errors.ts';

/** One call each, over the daemon's unix socket. Rejects with ApiError (the daemon refused) or UnreachableError. */
export interface Client {
  get(path: string): Promise<unknown>;
  post(path: string, body: object): Promise<unknown>;
  /** Like `post`; `onPhase` hears what the daemon does meanwhile. */
  postWithProgress(path: string, body: object, onPhase: (phase: Phase) => void): Promise<unknown>;
}

const PROGRESS_TYPE = 'application/x-ndjson';
/** No answer of the daemon is larger; thousands of peers fit. */
const MAX_ANSWER = 64 << 20;

export function createClient(socketPath: string): Client {
  function open(
    method: string,
    path: string,
    body: object | undefined,
    accept: string,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const headers = {
        host: 'weft',
        accept,
        ...(text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      };
      const call = request({ socketPath, method, path, headers, agent: false }, resolve);
      call.on('error', (error: NodeJS.ErrnoException) => reject(unreachable(error, socketPath)));
      call.end(text);
    });
  }

  async function once(method: string, path: string, body?: object): Promise<unknown> {
    const response = await open(method, path, body, 'application/json');
    return unwrap(response, parse(await collect(response, socketPath), socketPath), socketPath);
  }

  return {
    get: (path) => once('GET', path),
    post: (path, body) => once('POST', path, body),
    async postWithProgress(path, body, onPhase) {
      const response = await open('POST', path, body, PROGRESS_TYPE);
      if (response.headers['content-type'] !== PROGRESS_TYPE) {
        return unwrap(response, parse(await collect(response, socketPath), socketPath), socketPath);
      }
      return followProgress(response, socketPath, onPhase);
    },
  };
}

function unwrap(response: IncomingMessage, value: unknown, socketPath: string): unknown {
  if (response.statusCode === 200) return value;
  const problem = value as Partial<Problem> | null;
  if (typeof problem?.code === 'string' && typeof problem.detail === 'string')
    throw new ApiError(value as Problem);
  throw notWeftd(socketPath);
}

function notWeftd(socketPath: string): UnreachableError {
  return new UnreachableError(
    `what listens on ${socketPath} is not weftd`,
    'give the right socket with --socket or WEFT_SOCKET',
  );
}

async function followProgress(
  response: IncomingMessage,
  socketPath: string,
  onPhase: (phase: Phase) => void,
): Promise<unknown> {
  let rest = '';
  response.setEncoding('utf8');
  try {
    for await (const chunk of response) {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const event = parse(line, socketPath) as { phase?: Phase; problem?: Problem; result?: unknown };
        if (event.phase !== undefined) onPhase(event.phase);
        else if (event.problem !== undefined) throw new ApiError(event.problem);
        else return event.result;
      }
    }
  } catch (error) {
    throw error instanceof ApiError ? error : unreachable(error as NodeJS.ErrnoException, socketPath);
  }
  throw new UnreachableError('the daemon ended before it had answered', `see its log, then run \`weft up\``);
}

async function collect(response: IncomingMessage, socketPath: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_ANSWER)
        throw new UnreachableError('the answer is too large', `see what listens on ${socketPath}`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof UnreachableError ? error : unreachable(error as NodeJS.ErrnoException, socketPath);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse(text: string, socketPath: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw notWeftd(socketPath);
  }
}

function unreachable(error: NodeJS.ErrnoException, socketPath: string): UnreachableError {
  switch (error.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new UnreachableError(
        `no daemon listens on ${socketPath}`,
        'start it with `weft up`, or give the right socket with --socket or WEFT_SOCKET',
        true,
      );
    case 'EACCES':
    case 'EPERM':
      return new UnreachableError(`you may not open ${socketPath}`, 'run weft as root: `sudo weft …`');
    case 'ENOTSOCK':
      return new UnreachableError(
        `${socketPath} is not a socket`,
        'give the right one with --socket or WEFT_SOCKET',
      );
    default:
      return new UnreachableError(
        `the daemon on ${socketPath} does not answer properly (${error.code ?? error.message})`,
        'look into its log, and restart it with `weft down` and `weft up`',
      );
  }
}
