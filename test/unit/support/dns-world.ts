import assert from 'node:assert/strict';
import { decode, encode } from 'dns-packet';
import { formatIpv4, parseIpv4 } from '../../../src/core/address.ts';
import { createNameTable, type NamedNetwork, type NameEntry } from '../../../src/core/names.ts';
import { createDns, type Dns } from '../../../src/doors/dns/dns.ts';
import { createVirtualClock } from '../../../src/ports/memory/clock.ts';
import { createMemoryNames } from '../../../src/ports/memory/name-sockets.ts';
import { createSeededRandom } from '../../../src/ports/memory/random.ts';
import type { Answer, Over } from '../../../src/ports/name-sockets.ts';
import { silentLog } from '../../hosts/log.ts';

export function ip(text: string): number {
  const parsed = parseIpv4(text);
  assert.ok(parsed.ok);
  return parsed.value;
}

export function query(name: string, type = 'A', id = 7): Buffer {
  return encode({ type: 'query', id, flags: 0x100, questions: [{ name, type, class: 'IN' }] });
}

/** `networks`: by id; internal ones do not lead out. */
export function createDnsWorld(entries: readonly NameEntry[], internal: readonly string[] = []) {
  const clock = createVirtualClock();
  const sockets = createMemoryNames();
  const networks: readonly NamedNetwork[] = [
    { id: 'weft', name: 'weft' },
    { id: 'f1', name: 'front' },
    { id: 'b2', name: 'back' },
  ];
  const range = { start: ip('10.32.0.0'), last: ip('10.47.255.255') };
  const table = createNameTable({ entries, networks, range });
  const gone: string[] = [];
  /** Names that were asked for outside. */
  const leaked: string[] = [];
  const outside: Answer = async (message) => {
    const { id, questions } = decode(Buffer.from(message));
    leaked.push(...questions.map(({ name }) => name));
    const answers = questions.map(
      ({ name }) => ({ type: 'A', class: 'IN', name, ttl: 60, data: '192.0.2.53' }) as const,
    );
    return encode({ type: 'response', id, flags: 0x180, questions, answers });
  };
  sockets.setResolver(undefined, outside);
  const dns: Dns = createDns({
    sockets,
    clock,
    random: createSeededRandom(1),
    log: silentLog,
    resolve: table.resolve,
    leadsOut: (network) => !internal.includes(network),
    onGone: (endpoints) => gone.push(...endpoints),
  });
  return {
    clock,
    sockets,
    dns,
    gone,
    leaked,
    async ask(sandbox: string, name: string, type = 'A', over: Over = 'udp'): Promise<string> {
      const reply = await sockets.query(sandbox, query(name, type), over);
      if (reply === undefined) return 'none';
      const { rcode, answers } = decode(Buffer.from(reply));
      if (rcode !== 'NOERROR') return rcode;
      return answers.map(({ data }) => String(data)).join() || 'no data';
    },
  };
}

export type DnsWorld = ReturnType<typeof createDnsWorld>;

export const entry = (network: string, address: string, ...names: string[]): NameEntry => ({
  network,
  address: ip(address),
  names,
  reachable: true,
});

/** `count` endpoints with one name, from 10.33.0.1 on. */
export function many(count: number, name: string): readonly NameEntry[] {
  return Array.from({ length: count }, (_, at) => entry('f1', formatIpv4(ip('10.33.0.1') + at), name));
}
