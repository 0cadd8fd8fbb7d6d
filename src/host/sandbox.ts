import { constants } from 'node:fs';
import { type FileHandle, open, readFile, readlink, stat, statfs } from 'node:fs/promises';
import { quote } from '../core/address.ts';
import { HostError, type Sandbox } from '../ports/host.ts';

/** An opened sandbox: the descriptor keeps meaning the same namespace whatever happens to its path. */
export interface OpenSandbox extends Sandbox {
  readonly descriptor: number;
  close(): Promise<void>;
}

/**
 * Opens the namespace that `text` means: a name from `ip netns`, an absolute path, or the decimal id of a process. Rejects with
 * `sandbox-missing` when it is none, or when it is the host's own (`hostPath`).
 */
export async function openSandbox(text: string, hostPath = '/proc/self/ns/net'): Promise<OpenSandbox> {
  const path = pathOf(text);
  const handle = await openPath(text, path);
  try {
    await checkNamespace(text, handle);
    const { ino, dev, ctimeNs } = await handle.stat({ bigint: true });
    const own = await stat(hostPath, { bigint: true });
    if (ino === own.ino && dev === own.dev) {
      throw absent(
        text,
        "is the host's own network namespace: use `weft expose` to give the host an address",
      );
    }
    const birth = await birthOf(path, ctimeNs);
    return { path, namespace: `${dev}:${ino}`, birth, descriptor: handle.fd, close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

const NAME = /^[A-Za-z0-9_][\w.@+-]{0,63}$/;
/** PATH_MAX of the kernel. */
const LONGEST_PATH = 4_096;

function pathOf(text: string): string {
  if (/^[0-9]{1,10}$/.test(text)) return `/proc/${text}/ns/net`;
  if (text.startsWith('/') && text.length < LONGEST_PATH && !text.includes('\0')) return text;
  if (NAME.test(text)) return `/run/netns/${text}`;
  throw absent(text, 'is neither a name from `ip netns`, nor an absolute path, nor a process id');
}

async function openPath(text: string, path: string): Promise<FileHandle> {
  try {
    // Without O_NONBLOCK a path to a pipe would hold us until somebody writes.
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EPERM') {
      const needed = process.geteuid?.() === 0 ? 'weftd needs CAP_SYS_PTRACE for it' : 'run weftd as root';
      throw new HostError('not-root', `cannot open ${path}: ${needed}`);
    }
    throw absent(text, /^[0-9]+$/.test(text) ? 'is no running process' : `is not there (${path}: ${code})`);
  }
}

/** NSFS_MAGIC of linux/magic.h. */
const NAMESPACE_FILES = 0x6e736673;

async function checkNamespace(text: string, handle: FileHandle): Promise<void> {
  const opened = `/proc/self/fd/${handle.fd}`;
  const files = await statfs(opened);
  // A namespace that is mounted somewhere shows its path instead of its kind; entering it tells then.
  const kind = /^(\w+):\[/.exec(await readlink(opened))?.[1] ?? 'net';
  if (files.type !== NAMESPACE_FILES || kind !== 'net') throw absent(text, 'is not a network namespace');
}

/**
 * Numbers of namespaces and of processes are used again at once. The file of a mounted namespace is as old as its mount; a
 * process has its start time (proc(5), field 22, in clock ticks since boot).
 */
async function birthOf(path: string, created: bigint): Promise<string> {
  const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  const process = /^\/proc\/([0-9]+)\/(?:task\/[0-9]+\/)?ns\/net$/.exec(path)?.[1];
  if (process === undefined) return `${boot}/${created}`;
  const line = await readFile(`/proc/${process}/stat`, 'utf8').catch(() => '');
  const started = line.slice(line.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  return `${boot}/process/${started}`;
}

export function absent(text: string, why: string): HostError {
  return new HostError('sandbox-missing', `${quote(text)} ${why}`);
}
