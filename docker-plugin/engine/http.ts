import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import type { Clock } from '../../src/ports/clock.ts';
import { DockerError } from './api.ts';

/** HTTP with the engine over its unix socket. Rejects with DockerError `unreachable`, `timeout` or `bad-answer`. */
export interface DockerHttp {
  ask(question: Question): Promise<Answer>;
  /** Calls `onLine` for each line of an answer that does not end, as events come. Rejects when it ends; resolves on `signal`. */
  stream(path: string, handlers: LineHandlers, signal: AbortSignal): Promise<void>;
  /** Breaks off all that is under way. */
  close(): void;
}

export interface Question {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

export interface LineHandlers {
  readonly onOpen: () => void;
  readonly onLine: (line: string) => void;
}

/** A list of ten thousand containers is about this large. */
const LARGEST_ANSWER = 32 * 1024 * 1024;
/** An event with all labels of its container. */
const LONGEST_LINE = 1024 * 1024;
/** Longer than any of the driver's calls should take, as some answers wait for one. */
const PATIENCE = 20_000;

export function createDockerHttp({ socket, clock }: { socket: string; clock: Clock }): DockerHttp {
  const open = new Set<ClientRequest>();

  function send({ method, path, body }: Question): ClientRequest {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = text === undefined ? {} : { 'content-type': 'application/json' };
    // One connection for each request: none of them can be one that the engine closed when it was started anew.
    const asked = request({ socketPath: socket, method, path, headers, agent: false });
    open.add(asked);
    asked.on('close', () => open.delete(asked));
    asked.end(text);
    return asked;
  }

  return {
    ask: (question) =>
      new Promise((resolve, reject) => {
        const asked = send(question);
        const about = `${question.method} ${question.path.split('?')[0]}`;
        const fail = (error: Error) => {
          timer.cancel();
          asked.destroy();
          reject(error);
        };
        const timer = clock.setTimer(PATIENCE, () =>
          fail(new DockerError('timeout', `Docker has not answered ${about} within ${PATIENCE / 1_000} s`)),
        );
        asked.on('error', (error) => fail(unreachable(socket, error)));
        asked.on('response', (response) => {
          collect(response).then((text) => {
            timer.cancel();
            resolve({ status: response.statusCode ?? 0, text });
          }, fail);
        });
      }),

    stream: (path, handlers, signal) =>
      new Promise((resolve, reject) => {
        const asked = send({ method: 'GET', path });
        const end = () => {
          asked.destroy();
          resolve();
        };
        const fail = (error: Error) => {
          signal.removeEventListener('abort', end);
          asked.destroy();
          reject(error);
        };
        if (signal.aborted) end();
        signal.addEventListener('abort', end, { once: true });
        asked.on('error', (error) => fail(unreachable(socket, error)));
        asked.on('response', (response) => {
          if (response.statusCode !== 200) {
            fail(new DockerError('bad-answer', `Docker answered ${response.statusCode} to GET ${path}`));
            return;
          }
          splitLines(response, handlers.onLine, fail);
          response.on('close', () =>
            fail(new DockerError('unreachable', 'Docker closed its stream of events')),
          );
          handlers.onOpen();
        });
      }),

    close() {
      for (const asked of open) asked.destroy(new Error('the daemon ends'));
    },
  };
}

function unreachable(socket: string, error: Error): DockerError {
  return new DockerError('unreachable', `Docker does not answer on ${socket}: ${error.message}`);
}

function collect(response: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let length = 0;
    response.on('data', (part: Buffer) => {
      length += part.length;
      if (length > LARGEST_ANSWER) reject(new DockerError('bad-answer', 'an answer of Docker is too large'));
      else parts.push(part);
    });
    response.on('end', () => resolve(Buffer.concat(parts).toString('utf8')));
    response.on('error', (error) => reject(new DockerError('unreachable', error.message)));
    response.on('aborted', () => reject(new DockerError('unreachable', 'Docker broke off in its answer')));
  });
}

function splitLines(
  response: IncomingMessage,
  onLine: (line: string) => void,
  fail: (error: Error) => void,
): void {
  let rest = '';
  response.setEncoding('utf8').on('data', (part: string) => {
    const lines = (rest + part).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LONGEST_LINE) fail(new DockerError('bad-answer', 'an event of Docker is too long'));
    else for (const line of lines) if (line !== '') onLine(line);
  });
}
