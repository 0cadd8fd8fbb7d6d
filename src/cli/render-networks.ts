import type { NetworkStatus } from '../doors/networks.ts';
import { formatCount, formatTable } from './format.ts';

export function renderNetworks({ networks }: { networks: readonly NetworkStatus[] }): string {
  return formatTable(
    ['NAME', 'SUBNET', 'USED HERE', 'FREE HERE', 'ID', 'NOTE'],
    networks.map((one) => [
      one.name ?? '-',
      one.subnet,
      formatCount(one.used),
      formatCount(one.free),
      one.id,
      [one.internal ? 'internal' : '', one.clash === null ? '' : `${one.clash} is the name of an older one`]
        .filter((note) => note !== '')
        .join('; '),
    ]),
  );
}
