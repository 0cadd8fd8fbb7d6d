import { request } from 'node:http';
import { type JsonObject, parseObject } from '../../core/json.ts';

export interface PluginAnswer {
  readonly status: number;
  readonly body: JsonObject;
}

/** An answer of the plugin protocol is small. */
const MAX_ANSWER = 1 << 20;

/** Calls a method of the plugin protocol on a unix socket, as Docker does. Rejects with the error of the connection, or JsonError. */
export function callPluginSocket(parts: {
  readonly socket: string;
  readonly method: string;
  readonly body: string;
  readonly signal?: AbortSignal;
}): Promise<PluginAnswer> {
  const { socket, method, body, signal } = parts;
  const headers = { 'content-length': Buffer.byteLength(body) };
  const options = { socketPath: socket, path: `/${method}`, method: 'POST', headers, agent: false };
  return new Promise((resolve, reject) => {
    const asked = request({ ...options, ...(signal === undefined ? {} : { signal }) }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
        if (text.length > MAX_ANSWER) asked.destroy(new Error('the answer is too large'));
      });
      response.once('error', reject);
      response.once('end', () => {
        try {
          resolve({ status: response.statusCode ?? 0, body: parseObject(text) });
        } catch (error) {
          reject(error);
        }
      });
    });
    asked.once('error', reject);
    asked.end(body);
  });
}
