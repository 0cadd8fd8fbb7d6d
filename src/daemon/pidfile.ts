import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { ControlError } from '../doors/errors.ts';

export interface PidFile {
  release(): void;
}

/**
 * Makes this process the only one with the file; throws ControlError `already-running` while another lives. The file holds the
 * process id, its start time and the boot it belongs to, so an id that was used again, or a reboot, is not taken for the holder.
 */
export function acquirePidFile(path: string): PidFile {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const own = describeProcess(process.pid);
  if (own === undefined) throw new ControlError('internal', '/proc is not mounted');
  const aside = `${path}.${process.pid}`;
  writeFileSync(aside, `${own}\n`, { mode: 0o600 });
  try {
    if (!linkUnlessThere(aside, path)) {
      removeStale(path, aside);
      if (!linkUnlessThere(aside, path)) throw running(path, readText(path));
    }
  } finally {
    rmSync(aside, { force: true });
  }
  return {
    release() {
      if (readText(path) === own) rmSync(path, { force: true });
    },
  };
}

/** Whether it was made; link(2) either makes the name or finds it taken. */
function linkUnlessThere(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Takes a dead holder's file away. Of several that start at once only the one that gets the claim may, so none removes a living one's. */
function removeStale(path: string, aside: string): void {
  const found = readText(path);
  if (found === undefined) return;
  if (isAlive(found)) throw running(path, found);
  const claim = `${path}.takeover`;
  if (!linkUnlessThere(aside, claim)) {
    const claimant = readText(claim);
    if (claimant !== undefined && isAlive(claimant)) throw running(path, claimant);
    // Its holder was killed within these few lines.
    rmSync(claim, { force: true });
    if (!linkUnlessThere(aside, claim)) throw running(path, readText(claim));
  }
  try {
    if (readText(path) === found) rmSync(path);
  } finally {
    rmSync(claim, { force: true });
  }
}

function isAlive(holder: string): boolean {
  const pid = Number(holder.split(' ')[0]);
  return Number.isInteger(pid) && pid > 0 && describeProcess(pid) === holder;
}

/** `<pid> <start time> <boot id>`; undefined when there is no such process. Start time: field 22 of /proc/PID/stat (proc(5)). */
function describeProcess(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  const boot = readText('/proc/sys/kernel/random/boot_id');
  if (stat === undefined || boot === undefined) return undefined;
  // The second field is the name in parentheses, which may hold blanks and parentheses.
  const afterName = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const started = afterName[19];
  return afterName[0] === 'Z' ? undefined : `${pid} ${started} ${boot}`;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function running(path: string, holder: string | undefined): ControlError {
  const pid = holder?.split(' ')[0] ?? '?';
  return new ControlError('already-running', `Another weftd (process ${pid}) uses ${dirname(path)}`);
}
