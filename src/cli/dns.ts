import type { DnsName, DnsNames, Lookup } from '../doors/dns-control.ts';
import { type Answer, answer, type Context } from './answer.ts';
import { createClient } from './client.ts';
import { clean, formatTable } from './format.ts';

export interface InNetwork {
  readonly network?: string;
}

export async function list({ socket }: Context): Promise<Answer> {
  return answer((await createClient(socket).get('/v1/dns')) as DnsNames, renderNames);
}

export async function lookup({ socket }: Context, name: string, options: InNetwork): Promise<Answer> {
  const data = (await createClient(socket).post('/v1/dns/lookup', { name, ...options })) as Lookup;
  return answer(data, renderLookup);
}

export async function add(
  { socket }: Context,
  name: string,
  address: string,
  options: InNetwork,
): Promise<Answer> {
  const data = (await createClient(socket).post('/v1/dns/add', { name, address, ...options })) as DnsName;
  return answer(data, renderAdded);
}

export async function remove(
  { socket }: Context,
  name: string,
  address: string | undefined,
  options: InNetwork,
): Promise<Answer> {
  const body = { name, ...(address === undefined ? {} : { address }), ...options };
  const data = (await createClient(socket).post('/v1/dns/remove', body)) as DnsNames;
  return answer(data, renderRemoved);
}

export function renderNames({ names }: DnsNames): string {
  if (names.length === 0)
    return 'No names. `weft attach NETNS --name NAME` or `weft dns add NAME ADDRESS` makes one.\n';
  return formatTable(
    ['NAME', 'NETWORK', 'ADDRESS', 'HOST', 'ENDPOINT'],
    names.map((one) => [
      one.name,
      one.network,
      one.address,
      one.kind === 'static' ? '(static)' : `${one.host}${one.reachable ? '' : ' (down)'}`,
      one.endpoint?.slice(0, 12) ?? '-',
    ]),
  );
}

export function renderLookup({ addresses, names }: Lookup): string {
  return [...addresses, ...names].map((found) => `${clean(found)}\n`).join('');
}

export function renderAdded({ name, network, address }: DnsName): string {
  return `${name} in ${clean(network)} leads to ${address}\n`;
}

export function renderRemoved({ names }: DnsNames): string {
  return names
    .map(({ name, network, address }) => `${name} in ${clean(network)} leads to ${address} no more\n`)
    .join('');
}
