import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';

const MARK = 'WEFT_BENCH_SESSION';
const NICE = -15;
/** Two measurements at once would both be wrong. */
const LOCK = '/run/lock/weft-bench';

/**
 * Runs this program again ahead of whatever else the machine does: with autogroups a nice value counts only inside a session, so it
 * needs a session of its own and that group's value, too (sched(7)). True in the process that shall do the work; the other one only
 * hands signals on and waits.
 */
export async function inOwnSession(): Promise<boolean> {
  if (process.env[MARK] === '1') {
    setPriority(NICE);
    prioritise('self');
    return true;
  }
  const child = spawn('flock', ['--close', LOCK, process.execPath, ...process.argv.slice(1)], {
    detached: true,
    stdio: 'inherit',
    env: { ...process.env, [MARK]: '1' },
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => process.kill(-(child.pid ?? 0), signal));
  process.exitCode = await new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
  return false;
}

/** Puts the session of a process ahead, too; a daemon has one of its own. */
export function prioritise(pid: number | 'self'): void {
  try {
    writeFileSync(`/proc/${pid}/autogroup`, `${NICE}\n`);
  } catch {
    // This kernel has no autogroups, so the nice value is enough.
  }
}
