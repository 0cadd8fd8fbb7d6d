import { execFile } from 'node:child_process';
import type { Log } from '../ports/log.ts';

/**
 * Tells systemd that the daemon listens (sd_notify(3), READY=1). Node has no datagram sockets of the unix family, so the small
 * program of systemd speaks for us; the unit needs NotifyAccess=all for that. Does nothing without a service manager.
 */
export function notifyReady(log: Log): void {
  if (process.env.NOTIFY_SOCKET === undefined) return;
  execFile('systemd-notify', ['--ready', `--pid=${process.pid}`], (error) => {
    if (error !== null) log.warn('systemd was not told that the daemon is ready', { error: error.message });
  });
}

/** The first descriptor that systemd passes (sd_listen_fds(3)). */
const FIRST_SOCKET = 3;

/** Descriptor of the listening socket that a socket unit passes under this FileDescriptorName; undefined when there is none. */
export function inheritedSocket(
  name: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): number | undefined {
  if (env.LISTEN_PID !== String(process.pid)) return undefined;
  const count = Number(env.LISTEN_FDS);
  const at = (env.LISTEN_FDNAMES ?? '').split(':').indexOf(name);
  return at >= 0 && at < count ? FIRST_SOCKET + at : undefined;
}
