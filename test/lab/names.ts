import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { decode, encode } from 'dns-packet';
import { askOverTcp, askOverUdp } from '../../src/host/name-client.ts';
import { type Over, RESOLVER } from '../../src/ports/name-sockets.ts';
import type { Namespace } from './namespace.ts';

export interface LookedUp {
  /** `NOERROR`, `NXDOMAIN`, …; `none` when nobody answered. */
  readonly rcode: string;
  /** Addresses or names, as text. */
  readonly answers: readonly string[];
}

export interface LookUpOptions {
  readonly type?: string;
  readonly over?: Over;
  readonly timeout?: number;
}

/** What a program in a container is told by 127.0.0.11. */
export async function lookUp(
  { path }: Pick<Namespace, 'path'>,
  name: string,
  { type = 'A', over = 'udp', timeout = 5_000 }: LookUpOptions = {},
): Promise<LookedUp> {
  const network = openSync(join('/run/netns', path), 'r');
  try {
    const query = encode({ type: 'query', id: 7, flags: 0x100, questions: [{ type, name, class: 'IN' }] });
    const ask = over === 'udp' ? askOverUdp : askOverTcp;
    const reply = await ask({ ...RESOLVER, network }, query, () => true, timeout);
    if (reply === undefined) return { rcode: 'none', answers: [] };
    const { rcode, answers } = decode(Buffer.from(reply));
    return { rcode, answers: answers.map(({ data }) => String(data)) };
  } finally {
    closeSync(network);
  }
}

/** The same as one word: the answers, sorted, else the code. */
export async function told(
  namespace: Pick<Namespace, 'path'>,
  name: string,
  options: LookUpOptions = {},
): Promise<string> {
  const { rcode, answers } = await lookUp(namespace, name, options);
  if (rcode !== 'NOERROR') return rcode;
  return answers.length === 0 ? 'no data' : [...answers].sort().join();
}
