import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import type { Status } from '../../src/doors/control.ts';
import type { CommandResult } from './command.ts';
import type { Namespace, NamespaceOptions } from './namespace.ts';
import { until } from './wait.ts';

/** What users run is what is tested: test/setup.sh builds it. */
const BUILT = join(import.meta.dirname, '..', '..', 'dist');
export const WEFT = [process.execPath, join(BUILT, 'cli', 'main.js')];
export const WEFTD = [process.execPath, join(BUILT, 'daemon', 'main.js')];

/** A host of the lab: a network namespace with an address on the wire, its own state folder and its own daemon. */
export interface LabHost extends Namespace {
  /** On the wire. */
  readonly address: string;
  readonly address6: string;
  readonly stateFolder: string;
  readonly socket: string;
  /** `weft …` on this host. */
  weft(args: readonly string[], options?: NamespaceOptions): Promise<CommandResult>;
  /** `weftd …` on this host. */
  weftd(args: readonly string[], options?: NamespaceOptions): Promise<CommandResult>;
  /** What the daemon's API says, which `weft status --json` prints; not echoed. */
  status(): Promise<Status>;
  /** Process id of the daemon, undefined when none runs. */
  daemon(): Promise<number | undefined>;
  /** kill -9, and wait until it is gone. */
  kill(): Promise<void>;
}

export function createHost(
  namespace: Namespace,
  place: {
    readonly address: string;
    readonly address6: string;
    readonly folder: string;
    /** It has a Docker and a /run of its own. */
    readonly docker?: boolean;
  },
): LabHost {
  const stateFolder = join(place.folder, namespace.name, 'state');
  const socket = join(place.folder, namespace.name, 'weft.sock');
  const environment = {
    WEFT_STATE: stateFolder,
    WEFT_SOCKET: socket,
    WEFT_DOCKER: place.docker === true ? 'on' : 'off',
  };
  const program =
    (name: string, words: readonly string[]) =>
    (args: readonly string[], options: NamespaceOptions = {}) =>
      namespace.run([...words, ...args], {
        say: [name, ...args].join(' '),
        ...options,
        environment: { ...environment, ...options.environment },
      });
  const daemon = async () => {
    for (const pid of await namespace.processes()) {
      const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      if (words.includes(WEFTD[1] ?? '')) return pid;
    }
    return undefined;
  };
  return {
    ...namespace,
    ...place,
    stateFolder,
    socket,
    weft: program('weft', WEFT),
    weftd: program('weftd', WEFTD),
    daemon,
    status: async () => JSON.parse(await get(socket, '/v1/status')) as Status,
    async kill() {
      const pid = await daemon();
      if (pid === undefined) throw new Error(`no daemon runs on ${namespace.name}`);
      namespace.signal(pid, 'SIGKILL');
      await until(`weftd on ${namespace.name} to be gone`, () => hasEnded(pid));
    },
  };
}

/** Gone, or a zombie: its memory goes first, its sockets later. State: third field of /proc/PID/stat (proc(5)). */
export async function hasEnded(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return stat === undefined || /^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
}

/** The body of an answer over a unix socket; sockets do not care for network namespaces. */
export function get(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, timeout: 5_000 }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => {
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`GET ${path}: ${response.statusCode} ${text}`));
      });
    });
    asked.on('error', reject).on('timeout', () => asked.destroy(new Error(`GET ${path}: no answer in 5 s`)));
    asked.end();
  });
}
