/**
 * What the data path of one host takes when it knows many peers: resident memory, and the time to find whom a packet is for.
 *
 *   node test/bench/memory.ts 10 1000
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execute } from '../lab/command.ts';
import { createNamespace } from '../lab/namespace.ts';
import { namespacePath, register, tearDown } from '../lab/teardown.ts';
import type { MemoryHost } from './memory-host.ts';

export interface DatapathMemory {
  readonly peers: number;
  /** What the process grew by, in units of 10^6 bytes: everything that the path holds with all of its peers' keys in use. */
  readonly megabytes: number;
  /** Nanoseconds for all look-ups of one packet: owner of its destination, owner of its source, peer, session. */
  readonly lookupNs: number;
}

const NATIVE = join(import.meta.dirname, '../../native');
const CHILD = join(import.meta.dirname, 'memory-host.ts');

/** Needs root and a built addon; 1 to 16,383 peers. */
export async function datapathMemory(peers: number): Promise<DatapathMemory> {
  return { peers, megabytes: await growth(peers), lookupNs: await lookup(peers) };
}

async function growth(peers: number): Promise<number> {
  const id = randomBytes(2).toString('hex');
  register(id);
  try {
    const silent = { command: () => {}, note: () => {} };
    const host = await createNamespace('h1', namespacePath(id, 'h1'), silent);
    const { stdout } = await host.run([process.execPath, CHILD, `${peers}`]);
    const { before, after } = JSON.parse(stdout) as MemoryHost;
    return (after - before) / 1e6;
  } finally {
    tearDown(id);
  }
}

/** Built for this run, because it is seldom asked for. */
async function lookup(peers: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-lookup-'));
  try {
    const program = join(folder, 'lookup');
    const headers = (await execute(['sh', join(NATIVE, 'build.sh'), 'headers'])).stdout.trim();
    const sources = [join(NATIVE, 'test/lookup.cc'), join(NATIVE, 'src/tables.cc')];
    await execute(['g++', '-std=c++20', '-O3', '-isystem', headers, '-o', program, ...sources]);
    return Number((await execute([program, `${peers}`])).stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (import.meta.main)
  for (const peers of process.argv.slice(2).map(Number)) {
    const { megabytes, lookupNs } = await datapathMemory(peers);
    console.log(`${peers} peers: ${megabytes.toFixed(1)} MB, ${lookupNs.toFixed(1)} ns to look up a packet`);
  }
