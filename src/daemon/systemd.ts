import { execFile } from 'node:child_process';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Tells systemd that the daemon listens (sd_notify(3), READY=1). Node has no datagram sockets of the unix family, so the small
 * program of systemd speaks for us; the unit needs NotifyAccess=all for that. Does nothing without a service manager.
 */
export function notifyReady(log: Log): void {
  if (process.env.NOTIFY_SOCKET === undefined) return;
  tell(['--ready', `--pid=${process.pid}`], log);
}

/**
 * Says three times in each WatchdogSec= that the daemon lives (sd_watchdog_enabled(3)): one that hangs is killed and started anew. Docker
 * has no patience limit for a driver that takes its calls and does not answer, also not while it starts. Returns the way to stop.
 */
export function feedWatchdog(parts: {
  readonly clock: Clock;
  readonly log: Log;
  readonly env?: Environment;
  readonly say?: (words: readonly string[]) => void;
}): () => void {
  const { clock, log, env = process.env, say = (words) => tell(words, log) } = parts;
  const microseconds = Number(env.WATCHDOG_USEC);
  const isForUs = env.WATCHDOG_PID === undefined || env.WATCHDOG_PID === String(process.pid);
  if (env.NOTIFY_SOCKET === undefined || !isForUs || !(microseconds > 0)) return () => {};
  let timer: Timer | undefined;
  const next = () => {
    timer = clock.setTimer(microseconds / 1_000 / 3, () => {
      say(['WATCHDOG=1']);
      next();
    });
  };
  next();
  return () => timer?.cancel();
}

function tell(words: readonly string[], log: Log): void {
  execFile('systemd-notify', words, (error) => {
    if (error !== null) log.warn('systemd-notify failed', { words: words.join(' '), error: error.message });
  });
}

/** The first descriptor that systemd passes (sd_listen_fds(3)). */
const FIRST_SOCKET = 3;

/** Descriptor of the listening socket that a socket unit passes under this FileDescriptorName; undefined when there is none. */
export function inheritedSocket(name: string, env: Environment = process.env): number | undefined {
  if (env.LISTEN_PID !== String(process.pid)) return undefined;
  const count = Number(env.LISTEN_FDS);
  const at = (env.LISTEN_FDNAMES ?? '').split(':').indexOf(name);
  return at >= 0 && at < count ? FIRST_SOCKET + at : undefined;
}
