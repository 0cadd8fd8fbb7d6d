import { type ChildProcess, spawn } from 'node:child_process';
import type { Server } from 'node:net';
import { extname, join } from 'node:path';
import type { Scope } from '../../../docker-plugin/parts.ts';
import type { Clock, Timer } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import { BEAT } from './stand-in.ts';

/** Keeps a stand-in beside this daemon: gives it signs of life, and starts the next when it has done its work, died or hangs. */
export interface StandInKeeper {
  /** Once `server` listens. */
  start(): void;
  /** Resolves when no stand-in is left. */
  stop(): Promise<void>;
}

export interface StandInPlace {
  readonly socket: string;
  /** systemd holds the socket. */
  readonly lent: boolean;
  readonly scope: Scope;
}

/** Descriptor of the listening socket in the stand-in. */
export const SOCKET_FD = 3;
/** The next one after one that died, ms. */
const START_AGAIN = 1_000;
/** So many signs of life without an echo, by this daemon's own time: it hangs. */
const MOST_MISSED = 10;
const END_PATIENCE = 2_000;

/** In dist/ this module may be in a chunk: from there, too, it is two folders up. */
const MAIN = join(import.meta.dirname, '..', '..', mainFrom(import.meta.filename));

function mainFrom(file: string): string {
  const extension = extname(file);
  return extension === '.ts' ? 'daemon/stand-in/main.ts' : 'dist/daemon/stand-in/main.js';
}

export function keepStandIn(parts: {
  readonly server: Server;
  readonly place: StandInPlace;
  readonly clock: Clock;
  readonly log: Log;
}): StandInKeeper {
  const { server, place, clock, log } = parts;
  let child: ChildProcess | undefined;
  let stopped = false;
  let missed = 0;
  let timer: Timer | undefined;
  let again: Timer | undefined;

  function launch(): void {
    const shared = descriptorOf(server);
    const words = [MAIN, place.socket, place.lent ? 'lent' : 'own', place.scope];
    const next = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit', shared], env: {} });
    child = next;
    missed = 0;
    next.stdin?.on('error', () => {});
    next.stdout?.on('data', () => {
      missed = 0;
    });
    next.once('error', (error) => {
      log.warn('nobody stands in for weftd', { error: error.message });
      ended(START_AGAIN);
    });
    next.once('exit', (code, signal) => {
      if (code !== 0) log.warn('the stand-in has ended', { code, signal });
      ended(code === 0 ? 0 : START_AGAIN);
    });
  }

  function ended(delay: number): void {
    child = undefined;
    again?.cancel();
    if (!stopped) again = clock.setTimer(delay, launch);
  }

  function beat(): void {
    if (child !== undefined) {
      missed += 1;
      if (missed > MOST_MISSED) child.kill('SIGKILL');
      else child.stdin?.write('.');
    }
    timer = clock.setTimer(BEAT, beat);
  }

  return {
    start() {
      launch();
      beat();
    },
    async stop() {
      stopped = true;
      timer?.cancel();
      again?.cancel();
      const last = child;
      if (last === undefined) return;
      const gone = new Promise<void>((resolve) => last.once('exit', () => resolve()));
      last.kill('SIGTERM');
      const deadline = clock.setTimer(END_PATIENCE, () => last.kill('SIGKILL'));
      await gone;
      deadline.cancel();
    },
  };
}

/** Node has no public name for it; what it is called has not changed since its first release. */
function descriptorOf(server: Server): number {
  const { fd } = (server as unknown as { readonly _handle: { readonly fd: number } })._handle;
  if (!(fd >= 0)) throw new Error('the server does not listen');
  return fd;
}

/** What `keepStandIn` starts it with. */
export function readStandInArguments([socket = '', kind, scope]: readonly string[]): StandInPlace {
  return { socket, lent: kind === 'lent', scope: scope === 'global' ? 'global' : 'local' };
}
