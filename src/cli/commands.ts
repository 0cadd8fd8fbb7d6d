import type {
  EndpointStatus,
  Invitation,
  PeerStatus,
  Phase,
  Started,
  Status,
  Stopped,
} from '../doors/control.ts';
import { type Client, createClient } from './client.ts';
import { ApiError, CliError, EXIT, type ExitCode, UnreachableError } from './errors.ts';
import { clean } from './format.ts';
import type { Io } from './io.ts';
import * as render from './render.ts';
import { type DaemonParts, runInForeground, startDaemon } from './start.ts';
import { readToken } from './token.ts';
import { readVersion } from './version.ts';

/** What a command ends with: data that `--json` prints, and how the same data reads. */
export interface Answer {
  readonly data: object;
  readonly text: () => string;
  readonly exit?: ExitCode;
  /** Waited for once the answer is printed: the exit code of a daemon in the foreground. */
  readonly untilEnd?: Promise<number>;
}

/** Binds the data to its renderer, which sees nothing else. */
export function answer<T extends object>(data: T, render: (data: T) => string): Answer {
  return { data, text: () => render(data) };
}

export interface Context {
  readonly io: Io;
  readonly socket: string;
  readonly daemon: DaemonParts;
  readonly foreground: boolean;
}

/** `weft up` and `weft join`: a daemon, then the mesh. What this call started, it stops again when it fails. */
interface Begun extends Started {
  readonly started: boolean;
  readonly untilEnd?: Promise<number>;
}

async function begin(context: Context, path: string, body: object): Promise<Begun> {
  const client = createClient(context.socket);
  const running = await isRunning(client);
  if (running && context.foreground) {
    throw new CliError(`a daemon listens on ${context.socket} already`, {
      remedy: 'stop it with `weft down` first',
    });
  }
  if (running) noteIgnored(context);
  const launched = running ? {} : await launch(context);
  const progress = createProgress(context.io);
  try {
    const result = (await client.postWithProgress(path, body, progress.show)) as Started;
    return { ...result, started: !running, ...launched };
  } catch (error) {
    if (!running) await client.post('/v1/down', {}).catch(() => undefined);
    throw error;
  } finally {
    progress.clear();
  }
}

async function isRunning(client: Client): Promise<boolean> {
  try {
    await client.get('/v1/version');
    return true;
  } catch (error) {
    if (error instanceof UnreachableError && error.absent) return false;
    throw error;
  }
}

/** In the foreground, the daemon's end is still to be waited for. */
async function launch(context: Context): Promise<{ readonly untilEnd?: Promise<number> }> {
  if (!context.foreground) {
    await startDaemon(context.daemon);
    return {};
  }
  const { listening, ended } = runInForeground(context.daemon);
  await listening;
  return { untilEnd: ended };
}

function noteIgnored({ io, daemon }: Context): void {
  if (daemon.configured.length === 0) return;
  io.err(
    `weft: the daemon runs already; ${daemon.configured.join(', ')} will count after \`weft down\` and \`weft up\`\n`,
  );
}

/** One line on a terminal that is drawn over; nothing elsewhere. */
function createProgress(io: Io): { show(phase: Phase): void; clear(): void } {
  if (!io.terminal) return { show: () => {}, clear: () => {} };
  return {
    show: (phase) => io.err(`\r\x1b[K${clean(phase.text)} …`),
    clear: () => io.err('\r\x1b[K'),
  };
}

export async function up(context: Context, options: { range?: string }): Promise<Answer> {
  const { untilEnd, ...begun } = await begin(
    context,
    '/v1/up',
    options.range === undefined ? {} : { range: options.range },
  );
  const client = createClient(context.socket);
  const invitation = begun.created ? ((await client.post('/v1/invite', {})) as Invitation) : null;
  return { ...answer({ ...begun, invitation }, render.renderUp), ...kept(untilEnd) };
}

export async function join(
  context: Context,
  token: string | undefined,
  options: { tokenFile?: string },
): Promise<Answer> {
  const { untilEnd, ...data } = await begin(context, '/v1/join', {
    token: await readToken(token, options.tokenFile, context.io),
  });
  return { ...answer(data, render.renderJoin), ...kept(untilEnd) };
}

function kept(untilEnd: Promise<number> | undefined): Pick<Answer, 'untilEnd'> {
  return untilEnd === undefined ? {} : { untilEnd };
}

export async function invite({ socket }: Context, options: { ttl?: number; uses?: number }): Promise<Answer> {
  const data = (await createClient(socket).post('/v1/invite', options)) as Invitation;
  return answer(data, render.renderInvitation);
}

export async function down({ socket }: Context): Promise<Answer> {
  const data = (await createClient(socket).post('/v1/down', {})) as Stopped;
  return answer(data, render.renderDown);
}

export const SECTIONS = ['peers', 'connections', 'ipam', 'endpoints'] as const;
export type Section = (typeof SECTIONS)[number];

export async function status({ socket }: Context, section: Section | undefined): Promise<Answer> {
  const whole = (await createClient(socket).get('/v1/status')) as Status;
  return { ...pick(whole, section), exit: whole.degraded ? EXIT.degraded : EXIT.ok };
}

function pick(whole: Status, section: Section | undefined): Answer {
  switch (section) {
    case undefined:
      return answer(whole, render.renderStatus);
    case 'peers':
      return answer({ peers: whole.peers }, render.renderPeers);
    case 'connections':
      return answer({ connections: whole.peers.map(toConnection) }, render.renderConnections);
    case 'ipam':
      return answer({ ipam: whole.ipam }, render.renderIpam);
    case 'endpoints':
      return answer({ endpoints: whole.endpoints }, render.renderEndpoints);
  }
}

function toConnection({ nickname, id, lastError, control }: PeerStatus): render.Connection {
  return { nickname, id, ...control, lastError };
}

export async function peers({ socket }: Context): Promise<Answer> {
  const data = (await createClient(socket).get('/v1/peers')) as { peers: readonly PeerStatus[] };
  return answer(data, render.renderPeers);
}

export async function ps({ socket }: Context): Promise<Answer> {
  const data = (await createClient(socket).get('/v1/endpoints')) as { endpoints: readonly EndpointStatus[] };
  return answer(data, render.renderEndpoints);
}

export async function attach(
  { socket }: Context,
  sandbox: string,
  options: { ip?: string; interface?: string; name?: string; network?: string },
): Promise<Answer> {
  const data = (await createClient(socket).post('/v1/attach', { sandbox, ...options })) as EndpointStatus;
  return answer(data, render.renderAttached);
}

export async function detach({ socket }: Context, endpoint: string): Promise<Answer> {
  const data = (await createClient(socket).post('/v1/detach', { endpoint })) as EndpointStatus;
  return answer(data, render.renderDetached);
}

export async function expose({ socket }: Context, ip: string | undefined): Promise<Answer> {
  const data = (await createClient(socket).post(
    '/v1/expose',
    ip === undefined ? {} : { ip },
  )) as EndpointStatus;
  return answer(data, render.renderAttached);
}

export async function hide({ socket }: Context): Promise<Answer> {
  const data = (await createClient(socket).post('/v1/hide', {})) as { endpoints: readonly EndpointStatus[] };
  return answer(data, render.renderHidden);
}

export async function version({ socket }: Context): Promise<Answer> {
  const weftd = await createClient(socket)
    .get('/v1/version')
    .then((found) => (found as { version: string }).version)
    .catch((error: unknown) => {
      if (error instanceof UnreachableError || error instanceof ApiError) return null;
      throw error;
    });
  return answer({ weft: readVersion(), weftd }, render.renderVersion);
}
