import type { Invitation, Phase, Started } from '../doors/control.ts';
import { type Answer, answer, type Context } from './answer.ts';
import { type Client, createClient } from './client.ts';
import { ApiError, CliError, UnreachableError } from './errors.ts';
import { clean } from './format.ts';
import type { Io } from './io.ts';
import * as render from './render.ts';
import { runInForeground, startDaemon } from './start.ts';
import { readToken } from './token.ts';

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
  const launched: Launched = running ? { started: false } : await launch(context);
  const progress = createProgress(context.io);
  try {
    const result = (await client.postWithProgress(path, body, progress.show)) as Started;
    return { ...result, ...launched };
  } catch (error) {
    if (launched.started) await client.post('/v1/down', {}).catch(() => undefined);
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

type Launched = Pick<Begun, 'started' | 'untilEnd'>;

/** In the foreground, the daemon's end is still to be waited for. */
async function launch(context: Context): Promise<Launched> {
  if (!context.foreground) return { started: await startDaemon(context.daemon) };
  const { listening, ended } = runInForeground(context.daemon);
  await listening;
  return { started: true, untilEnd: ended };
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

export async function up(
  context: Context,
  options: { range?: string; encryption?: boolean },
): Promise<Answer> {
  const { untilEnd, ...begun } = await begin(context, '/v1/up', options);
  const invitation = begun.created ? await firstInvitation(context) : null;
  return { ...answer({ ...begun, invitation }, render.renderUp), ...kept(untilEnd) };
}

/** A mesh is made all the same where nobody can be invited yet, for example on a host without a network. */
async function firstInvitation({ io, socket }: Context): Promise<Invitation | null> {
  try {
    return (await createClient(socket).post('/v1/invite', {})) as Invitation;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    io.err(`weft: no other host can be invited yet: ${clean(error.message)}\n`);
    return null;
  }
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
