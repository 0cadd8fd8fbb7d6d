import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Given to `skip`: the reason, or false when the test can run. */
export const needsRoot: string | false =
  process.getuid?.() === 0 ? false : 'needs root: it makes network namespaces';

const execute = promisify(execFile);

/** A host and sandboxes as network namespaces of one test; all are gone after `close`. */
export interface Namespaces {
  /** Path of the namespace that stands for the host. */
  readonly hostPath: string;
  readonly stateDirectory: string;
  /** Makes one more namespace, with nothing in it but `lo`, which is down; resolves to its full name. */
  add(name: string): Promise<string>;
  remove(name: string): Promise<void>;
  /** Runs a program in a namespace, `host` for the host's. Rejects, with the command and what it said, when it fails. */
  run(namespace: string, ...command: string[]): Promise<string>;
  /** Starts a program that goes on until `close` or the returned function. */
  start(namespace: string, ...command: string[]): { readonly pid: number; stop(): void };
  close(): Promise<void>;
}

let created = 0;

export async function createNamespaces(): Promise<Namespaces> {
  const prefix = `wt${process.pid.toString(36)}${(created++).toString(36)}`;
  const names = new Set<string>();
  const running = new Set<{ stop(): void }>();
  const stateDirectory = await mkdtemp(join(tmpdir(), 'weft-host-'));

  async function add(name: string): Promise<string> {
    const full = `${prefix}-${name}`;
    await execute('ip', ['netns', 'add', full]);
    names.add(full);
    return full;
  }
  async function remove(full: string): Promise<void> {
    names.delete(full);
    await execute('ip', ['netns', 'del', full]);
  }

  const host = await add('host');
  const enter = (namespace: string) => {
    return ['netns', 'exec', namespace === 'host' ? host : namespace];
  };
  return {
    hostPath: `/run/netns/${host}`,
    stateDirectory,
    add,
    remove,
    async run(namespace, ...command) {
      try {
        return (await execute('ip', [...enter(namespace), ...command], { maxBuffer: 1 << 24 })).stdout;
      } catch (error) {
        const { stdout, stderr } = error as { stdout: string; stderr: string };
        throw new Error(`[${namespace}] ${command.join(' ')}: ${stdout}${stderr}`);
      }
    },
    start(namespace, ...command) {
      const child = spawn('ip', [...enter(namespace), ...command], { stdio: 'ignore' });
      const handle = { pid: child.pid as number, stop: () => void child.kill('SIGKILL') };
      running.add(handle);
      return handle;
    },
    async close() {
      for (const handle of running) handle.stop();
      for (const name of names) await remove(name);
      await rm(stateDirectory, { recursive: true });
    },
  };
}
