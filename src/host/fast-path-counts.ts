import type { FastPathCounters } from '../ports/host.ts';

/**
 * What peers have sent and were sent by the fast path, by their underlay addresses, without outer headers. It is counted in one of two places: by
 * programs at the device where the kernel has them (shortcut.ts), else, and over IPv6, by the table that admits packets (firewall-vxlan.ts), for which
 * that is dear. Each tells what it has counted itself.
 */
export type FastPathCounts = ReadonlyMap<string, PeerCounts>;

export interface PeerCounts {
  readonly sent: FastPathCounters;
  readonly received: FastPathCounters;
}

export function countedFor(underlay: string, places: readonly FastPathCounts[]): PeerCounts {
  const found = places.flatMap((counts) => counts.get(underlay) ?? []);
  return {
    sent: sumOf(found.map(({ sent }) => sent)),
    received: sumOf(found.map(({ received }) => received)),
  };
}

function sumOf(counts: readonly FastPathCounters[]): FastPathCounters {
  const sum = (name: keyof FastPathCounters) => counts.reduce((total, count) => total + count[name], 0);
  return { packets: sum('packets'), bytes: sum('bytes') };
}
