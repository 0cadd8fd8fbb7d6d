import { quote } from '../core/address.ts';
import { HostError } from '../ports/host.ts';
import type { Namespace } from './namespace.ts';

/** Runs the lines with one `ip -batch`; stops at the first that fails. No lines, no process. */
export async function batch(namespace: Namespace, lines: readonly (readonly string[])[]): Promise<void> {
  if (lines.length === 0) return;
  for (const word of lines.flat()) {
    if (!WORD.test(word)) throw new HostError('bad-request', `${quote(word)} cannot be a word for ip`);
  }
  await namespace.run(['ip', '-batch', '-'], `${lines.map((line) => line.join(' ')).join('\n')}\n`);
}

/** Batch files know quotes, comments and line ends; no name that this program uses needs any of them. */
const WORD = /^[\w./:@+-]+$/;
