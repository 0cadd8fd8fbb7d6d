import type {
  Cleaned,
  EndpointStatus,
  Invitation,
  PathsStatus,
  PeerStatus,
  Status,
  Stopped,
  TrustStatus,
} from '../doors/control.ts';
import { type Answer, answer, type Context } from './answer.ts';
import { createClient } from './client.ts';
import { ApiError, CliError, EXIT, UnreachableError } from './errors.ts';
import type { Section, TrustAction } from './program.ts';
import * as render from './render.ts';
import { readVersion } from './version.ts';

export async function invite({ socket }: Context, options: { ttl?: number; uses?: number }): Promise<Answer> {
  const data = (await createClient(socket).post('/v1/invite', options)) as Invitation;
  return answer(data, render.renderInvitation);
}

/** Where no daemon lives, what a killed one has left is taken away: the machine is as it was either way. */
export async function down({ socket, daemon }: Context): Promise<Answer> {
  try {
    const data = (await createClient(socket).post('/v1/down', {})) as Stopped;
    return answer(data, render.renderDown);
  } catch (error) {
    if (!(error instanceof UnreachableError && error.absent)) throw error;
  }
  const { cleanMachine } = await import('./start.ts');
  const cleaned: Cleaned = await cleanMachine(daemon);
  return answer(cleaned, render.renderCleaned);
}

export async function status({ socket }: Context, section: Section | undefined): Promise<Answer> {
  if (section === 'paths') return paths(socket);
  const whole = (await createClient(socket).get('/v1/status')) as Status;
  return { ...pick(whole, section), exit: whole.degraded ? EXIT.degraded : EXIT.ok };
}

async function paths(socket: string): Promise<Answer> {
  const data = (await createClient(socket).get('/v1/paths')) as PathsStatus;
  return answer(data, render.renderPaths);
}

/** `trust ls` may leave the block out; the others need one. */
export async function trust(
  { socket }: Context,
  action: TrustAction,
  subnet: string | undefined,
): Promise<Answer> {
  const client = createClient(socket);
  if (action === 'ls') return answer((await client.get('/v1/trust')) as TrustStatus, render.renderTrust);
  if (subnet === undefined) {
    throw new CliError(`weft trust ${action} needs a block of addresses`, {
      remedy: `write e.g. \`weft trust ${action} 192.168.1.0/24\``,
    });
  }
  const data = (await client.post(`/v1/trust/${action}`, { subnet })) as TrustStatus;
  return answer(data, render.renderTrust);
}

function pick(whole: Status, section: Exclude<Section, 'paths'> | undefined): Answer {
  switch (section) {
    case undefined:
      return answer(whole, render.renderStatus);
    case 'peers':
      return answer({ peers: whole.peers }, render.renderPeers);
    case 'connections':
      return answer({ connections: whole.peers.map(toConnection) }, render.renderConnections);
    case 'ipam':
      return answer({ ipam: whole.ipam, networks: whole.networks }, render.renderIpam);
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

export async function expose(
  { socket }: Context,
  options: { ip?: string; network?: string },
): Promise<Answer> {
  const data = (await createClient(socket).post('/v1/expose', options)) as EndpointStatus;
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
