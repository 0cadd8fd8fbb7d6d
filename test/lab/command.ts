import { type ChildProcess, spawn } from 'node:child_process';

export interface CommandOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** Text for the command's standard input. */
  readonly input?: string;
  /** False: any exit code is an answer, not an error. */
  readonly check?: boolean;
  /** How errors name the command; default: its words. */
  readonly label?: string;
  /** Milliseconds until the command is killed; default 30,000. */
  readonly timeout?: number;
}

export interface CommandResult {
  /** Exit code; 128 + signal number does not occur: a signal gives null. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Milliseconds. */
  readonly elapsed: number;
}

export class CommandError extends Error {
  readonly result: CommandResult;
  constructor(label: string, result: CommandResult) {
    super(`${label}: exit code ${result.status}\n${result.stdout}${result.stderr}`.trimEnd());
    this.name = 'CommandError';
    this.result = result;
  }
}

/** Runs a command to its end. Rejects with CommandError unless it exits with 0 or `check` is false. */
export async function execute(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const started = performance.now();
  const child = start(argv, options);
  const output = collect(child);
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeout ?? 30_000);
  child.stdin?.on('error', () => {});
  child.stdin?.end(options.input ?? '');
  const status = await finished(child).finally(() => clearTimeout(timer));
  const result = { status, ...output, elapsed: performance.now() - started };
  if (status !== 0 && options.check !== false)
    throw new CommandError(options.label ?? argv.join(' '), result);
  return result;
}

/** A command that runs beside the test, in a process group of its own. */
export interface Background {
  readonly pid: number;
  /** All that it has written so far, both streams. */
  output(): string;
  /** Resolves to the exit code, null after a signal. */
  readonly exited: Promise<number | null>;
  running(): boolean;
  /** Signals it (default SIGTERM), and with SIGKILL after 3 s; resolves when it is gone. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** A line for its standard input. */
  write(text: string): void;
}

const running = new Set<ChildProcess>();

export function background(argv: readonly string[], options: CommandOptions = {}): Background {
  const child = start(argv, options);
  running.add(child);
  const output = collect(child);
  const exited = finished(child)
    .catch(() => null)
    .finally(() => running.delete(child));
  child.stdin?.on('error', () => {});
  return {
    pid: child.pid ?? 0,
    output: () => output.stdout + output.stderr,
    exited,
    running: () => running.has(child),
    write: (text) => child.stdin?.write(text),
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), 3_000);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** For the moment when this process must end at once. */
export function killBackground(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** What this process may have been preloaded with (native/test/sanitize.sh) is for Node alone: shells do not survive that of TSan. */
const { LD_PRELOAD: preload, ...ENVIRONMENT } = process.env;

function preloaded(argv: readonly string[]): readonly string[] {
  const node = preload === undefined ? -1 : argv.indexOf(process.execPath);
  return node < 0 ? argv : [...argv.slice(0, node), 'env', `LD_PRELOAD=${preload}`, ...argv.slice(node)];
}

function start(argv: readonly string[], options: CommandOptions): ChildProcess {
  const [file = '', ...rest] = preloaded(argv);
  return spawn(file, rest, {
    env: { ...ENVIRONMENT, ...options.environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

function collect(child: ChildProcess): { stdout: string; stderr: string } {
  const output = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text;
  });
  return output;
}

/**
 * `exit` and not `close` decides, with a moment for the pipes to drain: a daemon that the command leaves behind may hold them open.
 */
function finished(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve(status));
    child.once('exit', (status) => setTimeout(() => resolve(status), 200));
  });
}
