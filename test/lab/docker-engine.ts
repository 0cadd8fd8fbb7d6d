import { readFile, rm } from 'node:fs/promises';
import { get, hasEnded } from './host.ts';
import type { Namespace } from './namespace.ts';
import { until } from './wait.ts';

/** The dockerd of one host. */
export interface Engine {
  /** Starts it and resolves when its API answers. Rejects, with the end of its log, when it does not within `patience` ms. */
  start(options?: EngineOptions): Promise<void>;
  /** SIGTERM, and wait for its end. */
  stop(): Promise<void>;
  /** kill -9, and wait until the containerd that dies with it is gone, too: another one refuses to start before. */
  kill(): Promise<void>;
  /** SIGSTOP and SIGCONT. */
  suspend(): Promise<void>;
  resume(): Promise<void>;
  /** Process id on this machine; undefined when none runs. */
  process(): Promise<number | undefined>;
  /** What the API answers to a GET, parsed. */
  get<T>(path: string): Promise<T>;
  log(): Promise<string>;
}

export interface EngineOptions {
  /** Containers live on while the engine is down. Default false. */
  readonly liveRestore?: boolean;
  /** False: it finds forwarding switched off, and so closes the FORWARD chain when it switches it on. Default true. */
  readonly forwarding?: boolean;
  /** Milliseconds. Default 30,000. */
  readonly patience?: number;
}

const SOCKET = '/run/docker.sock';
const PID_FILE = '/run/docker.pid';

export function createEngine(
  namespace: Namespace,
  place: { file(path: string): string; readonly log: string; readonly cgroup: string },
): Engine {
  const log = () => readFile(place.log, 'utf8').catch(() => '');
  const find = async (name: string) => {
    for (const pid of await namespace.processes()) {
      const found = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
      if (found.trim() === name && !(await hasEnded(pid))) return pid;
    }
    return undefined;
  };
  const signal = async (name: NodeJS.Signals) => {
    const pid = await find('dockerd');
    if (pid === undefined) throw new Error(`no dockerd runs on ${namespace.name}`);
    namespace.signal(pid, name);
    return pid;
  };
  const gone = (...processes: (number | undefined)[]) =>
    until(
      `dockerd on ${namespace.name} to be gone`,
      async () => {
        const ended = await Promise.all(processes.map((pid) => pid === undefined || hasEnded(pid)));
        return ended.every(Boolean);
      },
      60_000,
    );

  return {
    async start({ liveRestore = false, forwarding = true, patience = 30_000 } = {}) {
      await namespace.run(['sysctl', '-qw', `net.ipv4.ip_forward=${forwarding ? 1 : 0}`], { say: null });
      const flags = ['--cgroup-parent', place.cgroup, ...(liveRestore ? ['--live-restore'] : [])];
      const dockerd = namespace.start(
        [
          'setsid',
          'sh',
          '-c',
          'log=$1; shift; exec dockerd "$@" >>"$log" 2>&1',
          'dockerd',
          place.log,
          ...flags,
        ],
        { say: ['dockerd', ...flags].join(' ') },
      );
      const answers = async () => {
        if (!dockerd.running()) throw new Error(`dockerd ended:\n${(await log()).slice(-1_500)}`);
        return (await get(place.file(SOCKET), '/_ping')) === 'OK';
      };
      await until(`dockerd on ${namespace.name}`, answers, patience, 20);
    },
    async stop() {
      const containerd = await find('containerd');
      await gone(await signal('SIGTERM'), containerd);
    },
    async kill() {
      const containerd = await find('containerd');
      await gone(await signal('SIGKILL'), containerd);
      await rm(place.file(PID_FILE), { force: true });
    },
    suspend: async () => void (await signal('SIGSTOP')),
    resume: async () => void (await signal('SIGCONT')),
    process: () => find('dockerd'),
    get: async <T>(path: string) => JSON.parse(await get(place.file(SOCKET), path)) as T,
    log,
  };
}
