import type { Background, CommandOptions, CommandResult } from './command.ts';
import { background, execute } from './command.ts';
import type { Echo } from './echo.ts';
import { shown } from './echo.ts';

/** A named network namespace, with a host name of its own for whatever runs in it. */
export interface Namespace {
  /** What people call it: `h1`, `c1`. Also the host name inside. */
  readonly name: string;
  /** The name that `ip netns` knows. */
  readonly path: string;
  /** Runs a command inside and echoes it; `say` is shown instead of the words, `null` shows nothing. */
  run(argv: readonly string[], options?: NamespaceOptions): Promise<CommandResult>;
  start(argv: readonly string[], options?: NamespaceOptions): Background;
  /** Processes inside. */
  processes(): Promise<number[]>;
  /** Signals one of them; its id as the machine sees it. */
  signal(pid: number, name: NodeJS.Signals): void;
}

export interface NamespaceOptions extends CommandOptions {
  readonly say?: string | null;
}

/** Makes the namespace; removing it is the teardown's part. */
export async function createNamespace(name: string, path: string, echo: Echo): Promise<Namespace> {
  await execute(['ip', 'netns', 'add', path]);
  await execute(['ip', '-n', path, 'link', 'set', 'lo', 'up']);
  await useCubic(path);
  return existingNamespace(name, path, echo);
}

/** `enter` turns a command into the one that runs it inside; default: `ip netns exec`. */
export function existingNamespace(
  name: string,
  path: string,
  echo: Echo,
  enter: (argv: readonly string[]) => string[] = (argv) => inside(name, path, argv),
): Namespace {
  const announce = (argv: readonly string[], say?: string | null) => {
    if (say !== null) echo.command(name, say ?? shown(argv));
  };
  return {
    name,
    path,
    run(argv, { say, ...options } = {}) {
      announce(argv, say);
      return execute(enter(argv), { label: `${name}# ${say ?? shown(argv)}`, ...options });
    },
    start(argv, { say, ...options } = {}) {
      announce(argv, say);
      return background(enter(argv), options);
    },
    async processes() {
      const { stdout } = await execute(['ip', 'netns', 'pids', path]);
      return stdout.split('\n').filter(Boolean).map(Number);
    },
    signal(pid, signal) {
      echo.command(name, `kill -${signal.slice(3)} ${pid}`);
      process.kill(pid, signal);
    },
  };
}

function inside(name: string, path: string, argv: readonly string[]): string[] {
  const named = ['unshare', '--uts', 'sh', '-c', 'hostname "$0" && exec "$@"', name];
  return ['ip', 'netns', 'exec', path, ...named, ...argv];
}

/**
 * A namespace inherits the machine's congestion control; where that is bbr, its pacing spoils measurements. A namespace may only
 * choose what the machine allows, so the list is widened for the blink of an eye. Where cubic is missing all stays as it is.
 */
async function useCubic(path: string): Promise<void> {
  const script = `
    allowed=net.ipv4.tcp_allowed_congestion_control
    before=$(sysctl -n $allowed)
    case " $before " in *" cubic "*) ;; *)
    trap 'sysctl -qw $allowed="$before"' EXIT
    trap 'exit 1' HUP INT TERM
    sysctl -qw $allowed="$(sysctl -n net.ipv4.tcp_available_congestion_control)" ;; esac
    ip netns exec "$0" sysctl -qw net.ipv4.tcp_congestion_control=cubic`;
  await execute(['flock', '/run/lock/weft-lab-congestion', 'sh', '-c', script, path], { check: false });
}
