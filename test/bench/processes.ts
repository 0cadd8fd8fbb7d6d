import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** CPU and memory of processes, read from /proc. */
export interface Usage {
  /** Seconds of CPU since each of them started, user and system, all threads. */
  readonly cpu: number;
  /** Resident bytes. */
  readonly resident: number;
}

const TICKS = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** Sum over the processes. Fields 14 and 15 of /proc/PID/stat, VmRSS of /proc/PID/status (proc(5)). */
export function usageOf(pids: readonly number[]): Usage {
  let cpu = 0;
  let resident = 0;
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the name in parentheses, which may hold blanks.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    cpu += (Number(fields[11]) + Number(fields[12])) / TICKS;
    resident += 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  }
  return { cpu, resident };
}

/** Seconds that all cores together were not idle. */
export function machineBusy(): number {
  const [user, nice, system, , , irq, softirq] = (readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '')
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return ((user ?? 0) + (nice ?? 0) + (system ?? 0) + (irq ?? 0) + (softirq ?? 0)) / TICKS;
}
