import type { NetworkStatus } from '../doors/networks.ts';
import { type Answer, answer, type Context } from './answer.ts';
import { createClient } from './client.ts';
import { CliError } from './errors.ts';
import { clean, formatCount } from './format.ts';
import { renderNetworks } from './render-networks.ts';

export interface CreateOptions {
  readonly subnet?: string;
  readonly internal?: boolean;
  readonly gateway?: string;
  readonly reserve?: readonly string[];
  readonly ipRange?: string;
}

export async function create({ socket }: Context, name: string, options: CreateOptions): Promise<Answer> {
  const { reserve: reserved, ...others } = options;
  const body = { name, ...others, ...(reserved === undefined ? {} : { reserved }) };
  const data = (await createClient(socket).post('/v1/networks/create', body)) as NetworkStatus;
  return answer(data, (network) => `${nameOf(network)} has ${network.subnet}, id ${network.id}\n`);
}

export async function list({ socket }: Context): Promise<Answer> {
  return answer({ networks: await all(socket) }, renderNetworks);
}

export async function inspect({ socket }: Context, network: string): Promise<Answer> {
  const networks = await all(socket);
  const found = networks.find(({ id }) => id === network) ?? networks.find(({ name }) => name === network);
  if (found !== undefined) return answer(found, renderNetwork);
  throw new CliError(`there is no network ${network}`, { remedy: 'see `weft network ls`' });
}

export async function remove({ socket }: Context, network: string): Promise<Answer> {
  const data = (await createClient(socket).post('/v1/networks/remove', { network })) as NetworkStatus;
  return answer(data, (gone) => `${nameOf(gone)} is removed, ${gone.subnet} is free again\n`);
}

export async function rename({ socket }: Context, network: string, name: string): Promise<Answer> {
  const data = (await createClient(socket).post('/v1/networks/rename', { network, name })) as NetworkStatus;
  return answer(data, (renamed) => `${renamed.id} is called ${nameOf(renamed)} now\n`);
}

async function all(socket: string): Promise<readonly NetworkStatus[]> {
  return ((await createClient(socket).get('/v1/networks')) as { networks: readonly NetworkStatus[] })
    .networks;
}

function renderNetwork(network: NetworkStatus): string {
  const { id, subnet, internal, gateway, ipRange, reserved, used, free, options, clash } = network;
  const rows: (readonly [string, string])[] = [
    ['name', network.name ?? '-'],
    ['id', id],
    ['subnet', subnet],
    ['internal', internal ? 'yes' : 'no'],
    ['gateway', gateway ?? '-'],
    ['ip range', ipRange ?? subnet],
    ['reserved', reserved.join(' ') || '-'],
    ['here', `${formatCount(used)} in use, ${formatCount(free)} free without asking another host`],
    ...Object.entries(options).map(([key, value]) => ['option', `${key}=${value}`] as const),
  ];
  if (clash !== null)
    rows.push(['note', `an older network is called ${clash}: \`weft network rename ${id} NAME\``]);
  return rows.map(([name, value]) => `${name.padStart(10)}  ${clean(value)}\n`).join('');
}

function nameOf({ name, id }: NetworkStatus): string {
  return clean(name ?? id);
}
