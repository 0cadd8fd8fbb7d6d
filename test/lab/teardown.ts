import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { killBackground } from './command.ts';
import { firstProcesses, removeCgroups, thawContainers } from './teardown-docker.ts';

/**
 * Labs leave nothing behind, however they end. What a lab makes carries its id: namespaces `weft<id>-…` and one folder, which
 * also says whose lab it is.
 */
const FOLDER = '/tmp';
const PREFIX = 'weft-lab-';

export interface LabRecord {
  readonly id: string;
  /** The process that made the lab. */
  readonly owner: number;
  /** Left up on purpose. */
  readonly kept: boolean;
}

const open = new Set<string>();
let hooked = false;

export function labFolder(id: string): string {
  return join(FOLDER, PREFIX + id);
}

export function namespacePath(id: string, name: string): string {
  return `weft${id}-${name}`;
}

/** Makes the lab's folder; from here on the lab is taken down when this process ends, unless it is kept. */
export function register(id: string): string {
  const folder = labFolder(id);
  mkdirSync(folder, { mode: 0o700 });
  writeRecord({ id, owner: process.pid, kept: false });
  installHooks();
  open.add(id);
  return folder;
}

/** The lab outlives this process; `npm run lab -- --down` ends it. */
export function keep(id: string): void {
  writeRecord({ id, owner: process.pid, kept: true });
  open.delete(id);
}

function writeRecord(record: LabRecord): void {
  writeFileSync(join(labFolder(record.id), 'lab.json'), JSON.stringify(record));
}

/** Labs that were kept, or whose process ended without taking them down. */
export function leftovers(): LabRecord[] {
  const records = readdirSync(FOLDER)
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => readRecord(name.slice(PREFIX.length)));
  return records.filter((record) => record.kept || !existsSync(`/proc/${record.owner}`));
}

function readRecord(id: string): LabRecord {
  try {
    return JSON.parse(readFileSync(join(labFolder(id), 'lab.json'), 'utf8')) as LabRecord;
  } catch {
    return { id, owner: 0, kept: false };
  }
}

/** Ends the lab's processes, then its namespaces and with them every link, route and rule; then its folder. Never throws. */
export function tearDown(id: string): void {
  const namespaces = namespacesOf(id);
  const alive = () => namespaces.flatMap(processesIn);
  thawContainers(id);
  signal(firstProcesses(labFolder(id)), 'SIGKILL');
  signal(alive(), 'SIGTERM');
  for (let waited = 0; waited < 2_000 && alive().length > 0; waited += 50) pause(50);
  signal(alive(), 'SIGKILL');
  for (const namespace of namespaces) spawnSync('ip', ['netns', 'delete', namespace]);
  removeCgroups(id);
  rmSync(labFolder(id), { recursive: true, force: true, maxRetries: 3 });
  open.delete(id);
}

export function namespacesOf(id: string): string[] {
  const { stdout } = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' });
  const names = stdout.split('\n').map((line) => line.split(' ')[0] ?? '');
  return names.filter((name) => name.startsWith(namespacePath(id, '')));
}

function processesIn(namespace: string): number[] {
  const { stdout } = spawnSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' });
  return (stdout ?? '').split('\n').filter(Boolean).map(Number);
}

function signal(processes: readonly number[], name: NodeJS.Signals): void {
  for (const pid of processes) {
    try {
      process.kill(pid, name);
    } catch {
      // It ended by itself in between.
    }
  }
}

function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** Once for all labs that this process makes, one after the other. */
function installHooks(): void {
  if (hooked) return;
  hooked = true;
  process.on('exit', () => {
    killBackground();
    for (const id of [...open]) tearDown(id);
  });
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => process.exit(130));
}
