import { access, open, writeFile } from 'node:fs/promises';
import { HostError } from '../ports/host.ts';
import { INHERITED, run } from './command.ts';

/** A network namespace in which programs can be run and sysctls be set, and which the native addon can visit. */
export interface Namespace {
  /** `use` gets an open descriptor of the namespace, or a number below 0 for that of this process. */
  visit<T>(use: (network: number) => Promise<T>): Promise<T>;
  run(command: readonly string[], input?: string): Promise<string>;
  /** Keys are paths below /proc/sys/net: dots in names of links mean nothing there. */
  setSysctls(values: ReadonlyMap<string, string>): Promise<void>;
}

/** The namespace of this process, or the one at `path`. */
export function hostNamespace(path?: string): Namespace {
  if (path !== undefined) return entered(path);
  return {
    visit: (use) => use(-1),
    run: (command, input = '') => run(command, { input }),
    async setSysctls(values) {
      await Promise.all((await available(values)).map(([key, value]) => writeSysctl(key, value)));
    },
  };
}

/** The namespace behind an open descriptor. */
export function openedNamespace(descriptor: number): Namespace {
  return entered(INHERITED, descriptor);
}

/** A namespace that each program enters by itself: threads of Node cannot change theirs. */
function entered(path: string, descriptor?: number): Namespace {
  const options = descriptor === undefined ? {} : { descriptor };
  const enter = (command: readonly string[], input = '') =>
    run(['nsenter', `--net=${path}`, '--', ...command], { ...options, input });
  return {
    visit: async (use) => {
      if (descriptor !== undefined) return use(descriptor);
      const opened = await open(path);
      try {
        return await use(opened.fd);
      } finally {
        await opened.close();
      }
    },
    run: enter,
    async setSysctls(values) {
      const byValue = new Map<string, string[]>();
      for (const [key, value] of await available(values)) {
        byValue.set(value, [...(byValue.get(value) ?? []), pathOf(key)]);
      }
      // /proc/sys/net shows the namespace of the process that looks. tee is the one program of a bare system that writes
      // one value to many files.
      await Promise.all([...byValue].map(([value, paths]) => enter(['tee', '--', ...paths], `${value}\n`)));
    },
  };
}

function pathOf(key: string): string {
  return `/proc/sys/net/${key}`;
}

async function writeSysctl(key: string, value: string): Promise<void> {
  try {
    await writeFile(pathOf(key), `${value}\n`);
  } catch (error) {
    throw new HostError(
      'command-failed',
      `cannot set ${pathOf(key)} to ${value}: ${(error as Error).message}`,
    );
  }
}

/** Without those of IPv6 on a kernel started with ipv6.disable=1: it has none of them, and nothing to protect. */
async function available(
  values: ReadonlyMap<string, string>,
): Promise<readonly (readonly [string, string])[]> {
  const hasIpv6 = await access(pathOf('ipv6')).then(
    () => true,
    () => false,
  );
  return [...values].filter(([key]) => hasIpv6 || !key.startsWith('ipv6/'));
}
