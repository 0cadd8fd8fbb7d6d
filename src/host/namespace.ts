import { access } from 'node:fs/promises';
import { INHERITED, run } from './command.ts';

/** A network namespace in which programs can be run and sysctls be set. */
export interface Namespace {
  run(command: readonly string[], input?: string): Promise<string>;
  /** Sets what exists of these, per value in one go. Keys are paths below /proc/sys/net; dots in names of links mean nothing there. */
  setSysctls(values: ReadonlyMap<string, string>): Promise<void>;
}

/**
 * The namespace of this process, or the one at `path`. `descriptor` is handed on to each program, so that `ip … netns` can
 * name a second namespace by it.
 */
export function hostNamespace(path?: string, descriptor?: number): Namespace {
  return createNamespace(path === undefined ? [] : ['nsenter', `--net=${path}`, '--'], descriptor);
}

/** The namespace behind an open descriptor. */
export function openedNamespace(descriptor: number): Namespace {
  return createNamespace(['nsenter', `--net=${INHERITED}`, '--'], descriptor);
}

function createNamespace(prefix: readonly string[], descriptor: number | undefined): Namespace {
  const runHere = (command: readonly string[], input?: string) =>
    run([...prefix, ...command], {
      ...(input === undefined ? {} : { input }),
      ...(descriptor === undefined ? {} : { descriptor }),
    });
  return {
    run: runHere,
    async setSysctls(values) {
      const hasIpv6 = await exists('/proc/sys/net/ipv6');
      const byValue = new Map<string, string[]>();
      for (const [key, value] of values) {
        // A kernel started with ipv6.disable=1 has none of them, and nothing to protect.
        if (key.startsWith('ipv6/') && !hasIpv6) continue;
        byValue.set(value, [...(byValue.get(value) ?? []), `/proc/sys/net/${key}`]);
      }
      // /proc/sys/net shows the namespace of the process that looks; tee is the one program of a bare system that
      // writes one value to many files.
      await Promise.all([...byValue].map(([value, paths]) => runHere(['tee', '--', ...paths], `${value}\n`)));
    },
  };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
