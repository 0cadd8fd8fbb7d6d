import { type Cidr, formatCidr, formatIpv4 } from '../core/address.ts';
import { includes } from '../core/ranges.ts';
import { batch } from './iproute.ts';
import { readDestination } from './ipv4.ts';
import { isHostLink, ROUTE_PROTOCOL, ROUTE_TABLE, RULE_PRIORITY } from './names.ts';
import type { Namespace } from './namespace.ts';
import { type RouteState, type RuleState, readRules } from './tables.ts';

/**
 * The source that the host uses towards `destination`: without one the kernel takes an address that the mesh does not know.
 * `exposed` are the host's addresses in the mesh, each with its network.
 */
export function sourceFor(destination: number, exposed: readonly Cidr[]): string | undefined {
  const own = exposed
    .filter((network) => includes(network, destination))
    .sort((a, b) => b.prefix - a.prefix)
    .at(0);
  return own === undefined ? undefined : formatIpv4(own.address);
}

/** Lines that bring the routes of the mesh's device to what is wanted; `current` is read from the kernel. */
export function rangeRoutes(
  device: string,
  range: Cidr,
  exposed: readonly Cidr[],
  current: readonly RouteState[],
): readonly (readonly string[])[] {
  const wanted = new Map([[format(range), sourceFor(range.start, exposed)]]);
  for (const network of exposed) {
    if (network.prefix < 32 && format(network) !== format(range)) {
      wanted.set(format(network), formatIpv4(network.address));
    }
  }
  const ours = current.filter(isMeshRoute);
  const lines: (readonly string[])[] = [];
  for (const [destination, source] of wanted) {
    const same = (route: RouteState) =>
      route.device === device && route.destination === destination && route.source === source;
    if (!ours.some(same)) lines.push(addRoute(destination, device, source));
  }
  // Without it, what is meant for the mesh would leave in clear by the default route when the device is gone.
  const guarded = (route: RouteState) => route.type === 'unreachable' && route.destination === format(range);
  if (!ours.some(guarded)) lines.push(['route', 'replace', 'unreachable', format(range), ...GUARD]);
  for (const route of ours) {
    if (route.type === 'unreachable' && !guarded(route)) {
      lines.push(['route', 'del', 'unreachable', route.destination, ...GUARD]);
    } else if (route.device === device && !wanted.has(route.destination)) {
      lines.push(['route', 'del', route.destination, 'dev', device, ...OURS]);
    }
  }
  return lines;
}

const OURS = ['proto', String(ROUTE_PROTOCOL), 'table', String(ROUTE_TABLE)];
/** The last metric that a person can still read; any other route to the same network wins. */
const GUARD = [...OURS, 'metric', '4294967294'];

export function isMeshRoute({ protocol, table }: RouteState): boolean {
  return protocol === ROUTE_PROTOCOL && table === ROUTE_TABLE;
}

/** Lines that bring the rule for the table of the mesh's routes to what is wanted; the new one comes before the old one goes. */
export function meshRule(
  range: Cidr | undefined,
  current: readonly RuleState[],
): readonly (readonly string[])[] {
  const ours = current.filter(({ table, protocol }) => table === ROUTE_TABLE && protocol === ROUTE_PROTOCOL);
  const line = (verb: 'add' | 'del', destination: string) => {
    const where = ['to', destination, 'lookup', String(ROUTE_TABLE)];
    return ['rule', verb, 'priority', String(RULE_PRIORITY), ...where, ...BY_US];
  };
  const wanted = range === undefined ? undefined : format(range);
  const there = ours.some(({ destination }) => destination === wanted);
  return [
    ...(wanted === undefined || there ? [] : [line('add', wanted)]),
    ...ours
      .filter(({ destination }) => destination !== wanted)
      .map(({ destination }) => line('del', destination)),
  ];
}

const BY_US = ['protocol', String(ROUTE_PROTOCOL)];

/** Lines that give the routes of plugged endpoints the host's present address as source. */
export function endpointSources(
  exposed: readonly Cidr[],
  current: readonly RouteState[],
): readonly (readonly string[])[] {
  return current.flatMap((route) => {
    if (!isMeshRoute(route) || route.device === undefined || !isHostLink(route.device)) return [];
    const source = sourceFor(readDestination(route.destination).address, exposed);
    return source === route.source ? [] : [addRoute(route.destination, route.device, source)];
  });
}

export function addRoute(destination: string, device: string, source: string | undefined): readonly string[] {
  const preferred = source === undefined ? [] : ['src', source];
  return ['route', 'replace', destination, 'dev', device, ...OURS, 'scope', 'link', ...preferred];
}

/** Takes away what is left of our routes once our links are gone, and the rule. */
export async function removeRoutes(host: Namespace, current: readonly RouteState[]): Promise<void> {
  await batch(host, meshRule(undefined, await readRules(host)));
  const ours = current.filter((route) => route.protocol === ROUTE_PROTOCOL);
  await batch(
    host,
    ours.map((route) => {
      const kind = route.type === 'unicast' ? [] : [route.type];
      return ['route', 'del', ...kind, route.destination, ...OURS.slice(0, 3), String(route.table)];
    }),
  );
}

function format(network: Cidr): string {
  return formatCidr(network.start, network.prefix);
}
