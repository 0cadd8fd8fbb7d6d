import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { ErrorCode } from '../doors/errors.ts';
import type { Config } from './options.ts';

/** Descriptor and variable by which a starting daemon tells who started it how that went. */
const READY_FD = 3;
const READY_VARIABLE = 'WEFT_READY_FD';
/** The daemon makes little garbage at a time; V8's default lets it grow by tens of megabytes before it looks. MiB. */
const YOUNG_SPACE = '--max-semi-space-size=4';
/** A log of this size is put aside at the next start. */
const MAX_LOG = 10 << 20;

/** What the daemon says on the descriptor: one JSON line. */
export type StartReport =
  | { readonly ok: true }
  | { readonly ok: false; readonly lines: readonly string[]; readonly code?: ErrorCode };

export function logFileOf(config: Config): string {
  return join(config.state, 'weftd.log');
}

/**
 * Starts `main` again in a session of its own, its output going to the log, and resolves as soon as it listens or has failed.
 * The socket is up then; the network need not be.
 */
export function startInBackground(
  main: string,
  argv: readonly string[],
  config: Config,
): Promise<StartReport> {
  const path = logFileOf(config);
  let log: number;
  try {
    log = openLog(config.state, path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const remedy = 'make room and the folder writable for root, or name another one with --state';
    return Promise.resolve({ ok: false, lines: [`the state folder cannot be written to: ${why}`, remedy] });
  }
  const child = spawn(process.execPath, [YOUNG_SPACE, main, ...argv], {
    detached: true,
    env: { ...process.env, [READY_VARIABLE]: String(READY_FD) },
    stdio: ['ignore', log, log, 'pipe'],
  });
  closeSync(log);
  child.unref();
  return new Promise((resolve) => {
    let said = '';
    const report = child.stdio[READY_FD] as Readable;
    report.setEncoding('utf8');
    report.on('data', (chunk: string) => {
      said += chunk;
    });
    report.once('close', () => resolve(parseReport(said, path)));
    child.once('error', (error) =>
      resolve({ ok: false, lines: [`the daemon cannot be started: ${error.message}`] }),
    );
  });
}

function openLog(folder: string, path: string): number {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  putAside(path);
  return openSync(path, 'a', 0o600);
}

function putAside(path: string): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size > MAX_LOG) renameSync(path, `${path}.1`);
}

/** A descriptor that closes without a word means that the daemon died. */
function parseReport(said: string, log: string): StartReport {
  try {
    return JSON.parse(said) as StartReport;
  } catch {
    return { ok: false, lines: ['the daemon ended while it started', `see ${log}`] };
  }
}

/** For the daemon: to whoever started it in the background; nothing happens otherwise. Only the first report counts. */
export function reportStart(report: StartReport): void {
  if (process.env[READY_VARIABLE] !== String(READY_FD)) return;
  delete process.env[READY_VARIABLE];
  try {
    writeSync(READY_FD, `${JSON.stringify(report)}\n`);
    closeSync(READY_FD);
  } catch {
    // Who started us has gone meanwhile, and needs no report.
  }
}
