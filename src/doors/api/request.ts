import type { IncomingMessage } from 'node:http';
import type { JsonObject } from '../../core/json.ts';
import { ControlError } from '../errors.ts';
import { parseObject } from './json.ts';

export const MAX_BODY = 65_536;

/** What `weft` and `curl --unix-socket` send. A page that has a name rebound to this listener sends its own. */
const HOSTS: readonly string[] = ['weft', 'localhost'];
/** Set by browsers and by nothing else (Fetch standard, forbidden request headers). */
const BROWSER_HEADERS = ['origin', 'referer', 'sec-fetch-site', 'sec-fetch-mode', 'cookie'];

/** Throws ControlError `forbidden-origin`. */
export function refuseBrowsers(request: IncomingMessage): void {
  if (!HOSTS.includes(request.headers.host ?? '')) {
    throw new ControlError('forbidden-origin', 'The Host header must be weft or localhost');
  }
  const found = BROWSER_HEADERS.find((header) => request.headers[header] !== undefined);
  if (found !== undefined)
    throw new ControlError('forbidden-origin', `A request with a ${found} header is refused`);
}

/** The body as one object; a request without one has an empty object. Throws ControlError. */
export async function readBody(request: IncomingMessage): Promise<JsonObject> {
  if (request.method === 'GET') {
    if (hasBody(request)) throw new ControlError('bad-request', 'A GET request takes no body');
    return {};
  }
  const [type] = (request.headers['content-type'] ?? '').split(';');
  if (type?.trim().toLowerCase() !== 'application/json') throw new ControlError('not-json');
  return parseObject(decode(await collect(request)));
}

function hasBody(request: IncomingMessage): boolean {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  return encoding !== undefined || (length !== undefined && length !== '0');
}

function collect(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_BODY) {
        request.removeAllListeners('data');
        request.resume();
        reject(new ControlError('body-too-large'));
      } else {
        chunks.push(chunk);
      }
    });
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('error', () => reject(new ControlError('request-timeout')));
    request.once('close', () => reject(new ControlError('request-timeout')));
  });
}

function decode(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new ControlError('bad-json', 'The body is not UTF-8');
  }
}
