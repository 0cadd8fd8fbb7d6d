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
