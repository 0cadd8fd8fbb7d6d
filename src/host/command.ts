import { spawn } from 'node:child_process';
import { HostError } from '../ports/host.ts';

export interface CommandOptions {
  /** Text for the standard input. */
  readonly input?: string;
  /** An open descriptor that the program finds as `INHERITED`. */
  readonly descriptor?: number;
}

/** Path by which a program opens the descriptor that it was given: what it means cannot change between our check and its use. */
export const INHERITED = '/proc/self/fd/3';

/** Runs a program without a shell; resolves to its standard output. Rejects with HostError: `tool-missing`, `not-root`, `command-failed`. */
export function run(command: readonly string[], options: CommandOptions = {}): Promise<string> {
  const [program = '', ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe', ...(options.descriptor === undefined ? [] : [options.descriptor])],
      env: { PATH: searchPath(), LC_ALL: 'C' },
      // Not the option `timeout`: its timer outlives a program that could not be started.
      signal: AbortSignal.timeout(TIMEOUT),
      killSignal: 'SIGKILL',
    });
    const output: Buffer[] = [];
    const complaints: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => complaints.push(chunk));
    child.on('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'ENOENT' ? missing(program) : failed(command, because(error))),
    );
    child.on('close', (code, signal) => {
      if (code === 0) resolve(Buffer.concat(output).toString());
      else reject(explain(command, Buffer.concat(complaints).toString().trim(), signal, options.input));
    });
    // A program that ends without reading its input breaks the pipe; its exit code tells more.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
  });
}

/** Debian keeps administrators' commands out of other users' search path. */
export function searchPath(): string {
  return `${process.env.PATH ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin`;
}

/** Debian's names of the packages that hold the programs used here. */
export const PACKAGES: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  iptables: 'iptables',
  tc: 'iproute2',
  nft: 'nftables',
  nsenter: 'util-linux',
  tee: 'coreutils',
};

export function missing(program: string): HostError {
  return new HostError(
    'tool-missing',
    `the program ${program} is missing: apt-get install ${PACKAGES[program] ?? program}`,
  );
}

/** No command used here takes a tenth of this, even on a machine under load. */
const TIMEOUT = 30_000;

function because(error: Error): string {
  return error.name === 'AbortError' ? `no end after ${TIMEOUT / 1_000} s` : error.message;
}

function explain(
  command: readonly string[],
  text: string,
  signal: NodeJS.Signals | null,
  input: string | undefined,
): HostError {
  const absent = /^nsenter: failed to execute ([\w-]+): No such file/m.exec(text)?.[1];
  if (absent !== undefined) return missing(absent);
  if (/Operation not permitted|Permission denied/.test(text)) {
    return new HostError(
      'not-root',
      `the kernel refused \`${command.join(' ')}\`: run weftd as root (${text})`,
    );
  }
  // `ip -batch` names the line that failed by its number only.
  const line = Number(/^Command failed -:(\d+)/m.exec(text)?.[1] ?? 0);
  const culprit = line > 0 ? `ip ${input?.split('\n')[line - 1] ?? ''}` : command.join(' ');
  return failed([culprit], signal === null ? text : `ended by ${signal}`);
}

function failed(command: readonly string[], text: string): HostError {
  return new HostError('command-failed', `\`${command.join(' ')}\` failed: ${text.replaceAll('\n', '; ')}`);
}
