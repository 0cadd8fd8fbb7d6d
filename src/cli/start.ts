import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { extname, join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Cleaned } from '../doors/control.ts';
import { CliError } from './errors.ts';

/** How to start a daemon. */
export interface DaemonParts {
  /** File that Node runs as `weftd`; undefined: ours. */
  readonly main: string | undefined;
  /** Options for it, `--name=value`. */
  readonly flags: readonly string[];
  /** Options that a unit's configuration would have to hold; names as the user typed them. */
  readonly configured: readonly string[];
  /** Whether a systemd unit may be used: state, socket and configuration are those of the system. */
  readonly system: boolean;
}

const UNIT = 'weftd.service';
const UNIT_FOLDERS = [
  '/etc/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
];

/** Next to this file in a checkout and in the built package alike. */
const DAEMON_MAIN = join(import.meta.dirname, '..', 'daemon', `main${extname(import.meta.filename)}`);

/** What `weftd --background` exits with when another start was faster. */
const ANOTHER_LISTENS = 10;

/**
 * Starts the daemon through its unit or in the background; resolves when its socket is up, to false when somebody else started it
 * at the same time. Rejects with CliError.
 */
export async function startDaemon(parts: DaemonParts): Promise<boolean> {
  if (parts.system && hasUnit()) {
    if (parts.configured.length > 0) {
      throw new CliError(
        `systemd runs the daemon here, so ${parts.configured.join(', ')} cannot be given to weft up`,
        {
          remedy: `put it into /etc/weft/weft.conf and run \`systemctl restart ${UNIT}\``,
        },
      );
    }
    await runToEnd('systemctl', ['start', UNIT], `see \`systemctl status ${UNIT}\``);
    return true;
  }
  const { code } = await runToEnd(
    process.execPath,
    [parts.main ?? DAEMON_MAIN, '--background', ...parts.flags],
    'see `weft up --help`',
  );
  return code === 0;
}

/** Runs `weftd --clean`. A unit that would start the daemon again is stopped first. */
export async function cleanMachine(parts: DaemonParts): Promise<Cleaned> {
  if (parts.system && hasUnit())
    await runToEnd('systemctl', ['stop', UNIT], `see \`systemctl status ${UNIT}\``);
  const main = parts.main ?? DAEMON_MAIN;
  const { said } = await runToEnd(
    process.execPath,
    [main, '--clean', ...parts.flags],
    'see `weft down --help`',
  );
  return JSON.parse(said) as Cleaned;
}

function hasUnit(): boolean {
  return existsSync('/run/systemd/system') && UNIT_FOLDERS.some((folder) => existsSync(join(folder, UNIT)));
}

interface Ended {
  readonly code: number;
  /** On standard output. */
  readonly said: string;
}

/** The program says what went wrong as weft does: a line, and a line with the remedy. */
async function runToEnd(program: string, args: readonly string[], remedy: string): Promise<Ended> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  let complained = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    said += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    complained += chunk;
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  if (code === 0 || code === ANOTHER_LISTENS) return { code, said };
  if (signal !== null) {
    throw new CliError(`the start of the daemon was ended by ${signal}`, {
      remedy: 'run the same command again: nothing is lost',
    });
  }
  const [what = '', then] = complained.trim().split('\n');
  throw new CliError(what.replace(/^weftd: /, '') || `${program} failed`, {
    remedy: then?.replace(/^\s*→ /, '') ?? remedy,
  });
}

export interface Foreground {
  /** Resolves when the socket is up; rejects when the daemon ended before. */
  readonly listening: Promise<void>;
  /** The daemon's exit code. */
  readonly ended: Promise<number>;
}

/** Runs the daemon as a child with this terminal. Signals of the terminal reach it by themselves, others are handed on. */
export function runInForeground(parts: DaemonParts): Foreground {
  const child = spawn(process.execPath, [parts.main ?? DAEMON_MAIN, ...parts.flags], {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    env: { ...process.env, WEFT_READY_FD: '3' },
  });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (signal !== 'SIGINT' || process.stdin.isTTY !== true) child.kill(signal);
    });
  }
  const ended = once(child, 'close').then(([code]) => (code as number | null) ?? 1);
  const report = child.stdio[3] as Readable;
  const listening = once(report, 'data').then(async ([line]) => {
    if (String(line).includes('"ok":true')) return;
    throw new CliError('the daemon did not start', { remedy: 'read what it says above' });
  });
  const gone = ended.then(() => {
    throw new CliError('the daemon did not start', { remedy: 'read what it says above' });
  });
  return { listening: Promise.race([listening, gone]), ended };
}
