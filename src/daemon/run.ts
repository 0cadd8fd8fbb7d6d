import { existsSync, readFileSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type Api, createApi } from '../doors/api/server.ts';
import type { Cleaned, Control } from '../doors/control.ts';
import { type ErrorCode, toProblem } from '../doors/errors.ts';
import { createSystemClock } from '../host/clock.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import { reportStart, startInBackground } from './background.ts';
import { ConfigError, helpText, type Invocation, readConfig } from './config.ts';
import { createLogger } from './logger.ts';
import type { Config } from './options.ts';
import { listensSoon } from './other-start.ts';
import { acquirePidFile, type PidFile } from './pidfile.ts';
import { feedWatchdog, notifyReady } from './systemd.ts';
import { readVersion } from './version.ts';

/** What runs behind the API. Nothing of it has touched the machine's network when it is made. */
export interface Daemon {
  readonly control: Control;
  /** Opens the doors besides the API, before anybody is told that the daemon listens. */
  serve(): Promise<void>;
  /** Takes up a mesh that the state knows; does nothing on a host without one. A failure is also the phase. */
  resume(): Promise<void>;
  /** Closes everything and leaves devices, routes and the state for the next start. Also after `control.down()`. */
  stop(): Promise<void>;
}

export type OpenDaemon = (parts: {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
}) => Promise<Daemon>;

/** Exit code of `weftd --background` when this start was not needed. */
export const ANOTHER_LISTENS = 10;
/** Exit code after an error that nobody caught: EX_SOFTWARE of sysexits(3). */
export const FAILED = 70;

export interface RunParts {
  /** Path of the file that was started, to start it again in the background. */
  readonly main: string;
  readonly argv: readonly string[];
  readonly open: OpenDaemon;
  /** For `weftd --clean`. */
  readonly clean: (parts: { readonly config: Config; readonly log: Log }) => Promise<Cleaned>;
}

/**
 * A `weftd` from its arguments to its end; resolves to the exit code: 0, or 1 when it could not start. An error that nobody caught ends the
 * process with FAILED.
 * configuration → pid file → parts → socket → resume … signal or `down` → parts → pid file → socket.
 */
export async function runDaemon(parts: RunParts): Promise<number> {
  let invocation: Invocation;
  try {
    invocation = readConfig({ argv: parts.argv, env: process.env, readFile, hostname: hostname() });
  } catch (error) {
    if (error instanceof ConfigError) return refuse([error.message, error.remedy]);
    throw error;
  }
  if (invocation.kind === 'help') process.stdout.write(helpText());
  if (invocation.kind === 'version') process.stdout.write(`weftd ${readVersion()}\n`);
  if (invocation.kind !== 'run') return 0;
  if (invocation.mode === 'clean') return clean(parts.clean, invocation.config);
  if (invocation.mode === 'background') {
    const argv = parts.argv.filter((argument) => argument !== '--background');
    const report = await startInBackground(parts.main, argv, invocation.config);
    if (report.ok) return 0;
    // Of two starts at once one wins; for whoever asked, the other is as good.
    const lost = report.code === 'already-running';
    if (lost && (await listensSoon(invocation.config.socket, createSystemClock()))) return ANOTHER_LISTENS;
    return refuse(report.lines);
  }
  return serve(parts.open, invocation.config, invocation.notes);
}

/** Says what it did as one JSON line, for weft. */
async function clean(run: RunParts['clean'], config: Config): Promise<number> {
  const write = (line: string) => process.stderr.write(line);
  const log = createLogger({ clock: createSystemClock(), level: 'error', write });
  let pidFile: PidFile | undefined;
  try {
    // Where there is no folder there is no daemon, and none is made.
    if (existsSync(config.state)) pidFile = acquirePidFile(join(config.state, 'weftd.pid'));
    const cleaned = await run({ config, log });
    rmSync(config.socket, { force: true });
    process.stdout.write(`${JSON.stringify(cleaned)}\n`);
    return 0;
  } catch (error) {
    const { code, detail, remedy } = toProblem(error);
    if (code !== 'already-running') return refuse([code === 'internal' ? String(error) : detail, remedy]);
    const then = 'give its socket with --socket, or end that process with `kill` and run `weft down` again';
    return refuse([`${detail}, and does not listen on ${config.socket}`, then]);
  } finally {
    pidFile?.release();
  }
}

async function serve(open: OpenDaemon, config: Config, notes: readonly string[]): Promise<number> {
  // No folder is kept from being unmounted. Names relative to it have been read by now.
  process.chdir('/');
  const clock = createSystemClock();
  const log = createLogger({ clock, level: config.logLevel, write: (line) => process.stderr.write(line) });
  // The log may be on the disk that is full: a line that cannot be written is no reason to end.
  process.stderr.on('error', () => {});
  const undo: (() => Promise<void> | void)[] = [];
  const end = endOf(log);
  endOnSurprise(log);
  try {
    const pidFile = acquirePidFile(join(config.state, 'weftd.pid'));
    undo.unshift(() => pidFile.release());
    const daemon = await open({ config, clock, log });
    // Callers of `down` wait for the end of the API, so it comes last, when the pid file is free for the next start.
    undo.unshift(() => daemon.stop());
    const api: Api = createApi({
      control: daemon.control,
      socketPath: config.socket,
      log,
      clock,
      onDown: end.come,
    });
    await api.listen();
    undo.push(() => api.close());
    await daemon.serve();
    for (const note of notes) log.warn(note);
    log.info('weftd listens', {
      version: readVersion(),
      socket: config.socket,
      state: config.state,
      pid: process.pid,
    });
    reportStart({ ok: true });
    notifyReady(log);
    undo.unshift(feedWatchdog({ clock, log }));
    daemon
      .resume()
      .catch((error: unknown) => log.error('the mesh cannot be resumed', { error: toProblem(error).detail }));
    await end.reached;
  } catch (error) {
    const problem = toProblem(error);
    log.error('weftd cannot start', { code: problem.code, error: describe(error, problem.code) });
    await undoAll(undo, log);
    reportStart({ ok: false, code: problem.code, lines: [problem.detail, problem.remedy] });
    return refuse([problem.detail, problem.remedy]);
  }
  await undoAll(undo, log);
  log.info('weftd ended');
  return 0;
}

/** The first signal, or `come`, ends the daemon in order; a second signal ends it at once. */
function endOf(log: Log): { readonly come: () => void; readonly reached: Promise<void> } {
  let come = () => {};
  const reached = new Promise<void>((resolve) => {
    come = resolve;
  });
  let signals = 0;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      signals += 1;
      if (signals > 1) process.exit(1);
      log.info('weftd ends', { signal });
      come();
    });
  }
  // A terminal that closes is no reason to stop.
  process.on('SIGHUP', () => log.info('signal ignored', { signal: 'SIGHUP' }));
  return { come, reached };
}

/**
 * An error that nobody has caught, in a promise or out of one. What the daemon does from there nobody has thought of, so it ends, and says so by
 * its exit code: systemd starts it again (Restart=on-failure). What was promised to anybody is on disk.
 */
function endOnSurprise(log: Log): void {
  process.on('uncaughtException', (error, origin) => {
    log.error('weftd has failed and ends', { origin, error: describe(error, 'internal') });
    process.exit(FAILED);
  });
}

async function undoAll(undo: readonly (() => Promise<void> | void)[], log: Log): Promise<void> {
  for (const step of undo) {
    try {
      await step();
    } catch (error) {
      log.error('a step of the end failed', { error: describe(error, 'internal') });
    }
  }
}

/** Where the code says what went wrong, a stack says nothing more. */
function describe(error: unknown, code: ErrorCode): string {
  if (!(error instanceof Error)) return String(error);
  return code === 'internal' ? (error.stack ?? error.message) : error.message;
}

/** One line for what happened, one for what to do; both, like every error of Weft, on stderr. */
function refuse(lines: readonly string[]): number {
  const [what, ...remedies] = lines;
  process.stderr.write(`weftd: ${what}\n${remedies.map((remedy) => `  → ${remedy}\n`).join('')}`);
  return 1;
}

function readFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
