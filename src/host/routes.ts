import { type Cidr, formatCidr, formatIpv4 } from '../core/address.ts';
import { includes } from '../core/ranges.ts';
import { apply, type Change } from './changes.ts';
import { readDestination } from './ipv4.ts';
import { isHostLink, ROUTE_PROTOCOL, ROUTE_TABLE } from './names.ts';
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

/** Changes that bring the routes of the mesh's device to what is wanted; `current` is read from the kernel. */
export function rangeRoutes(
  device: string,
  range: Cidr,
  exposed: readonly Cidr[],
  current: readonly RouteState[],
): readonly Change[] {
  const wanted = new Map([[format(range), sourceFor(range.start, exposed)]]);
  for (const network of exposed) {
    if (network.prefix < 32 && format(network) !== format(range)) {
      wanted.set(format(network), formatIpv4(network.address));
    }
  }
  const ours = current.filter(isMeshRoute);
  const changes: Change[] = [];
  for (const [destination, source] of wanted) {
    const same = (route: RouteState) =>
      route.device === device && route.destination === destination && route.source === source;
    if (!ours.some(same)) changes.push({ do: 'put route', destination, link: device, source });
  }
  // Without it, what is meant for the mesh would leave in clear by the default route when the device is gone.
  const guarded = (route: RouteState) => route.type === 'unreachable' && route.destination === format(range);
  if (!ours.some(guarded)) changes.push({ do: 'put guard', destination: format(range) });
  for (const route of ours) {
    if (route.type === 'unreachable' && !guarded(route)) {
      changes.push({ do: 'remove route', destination: route.destination, type: route.type });
    } else if (route.device === device && !wanted.has(route.destination)) {
      changes.push({ do: 'remove route', destination: route.destination, type: route.type, link: device });
    }
  }
  return changes;
}

export function isMeshRoute({ protocol, table }: RouteState): boolean {
  return protocol === ROUTE_PROTOCOL && table === ROUTE_TABLE;
}

/** Changes that bring the rule for the table of the mesh's routes to what is wanted; the new one comes before the old one goes. */
export function meshRule(range: Cidr | undefined, current: readonly RuleState[]): readonly Change[] {
  const ours = current.filter(({ table, protocol }) => table === ROUTE_TABLE && protocol === ROUTE_PROTOCOL);
  const wanted = range === undefined ? undefined : format(range);
  const there = ours.some(({ destination }) => destination === wanted);
  const gone = ours.filter(({ destination }) => destination !== wanted);
  return [
    ...(wanted === undefined || there ? [] : [{ do: 'add rule', destination: wanted } as const]),
    ...gone.map(({ destination }) => ({ do: 'remove rule', destination }) as const),
  ];
}

/** Changes that give the routes of plugged endpoints the host's present address as source. */
export function endpointSources(exposed: readonly Cidr[], current: readonly RouteState[]): readonly Change[] {
  return current.flatMap((route): readonly Change[] => {
    const { destination, device } = route;
    if (!isMeshRoute(route) || device === undefined || !isHostLink(device)) return [];
    const source = sourceFor(readDestination(destination).address, exposed);
    return source === route.source ? [] : [{ do: 'put route', destination, link: device, source }];
  });
}

/** Takes away what is left of our routes once our links are gone, and the rule. */
export async function removeRoutes(host: Namespace, current: readonly RouteState[]): Promise<void> {
  const ours = current.filter((route) => route.protocol === ROUTE_PROTOCOL);
  await apply(host, [
    ...meshRule(undefined, await readRules(host)),
    ...ours.map(({ destination, type, table }) => {
      return { do: 'remove route', destination, type, table } as const;
    }),
  ]);
}

function format(network: Cidr): string {
  return formatCidr(network.start, network.prefix);
}
