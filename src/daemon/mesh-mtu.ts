import type { RelayPathStatus } from '../core/relay.ts';
import type { Mesh } from '../mesh/mesh.ts';
import type { PathReport } from '../mesh/paths/report.ts';
import type { Paths } from '../mesh/paths.ts';
import { KEY, readPeerRecord } from '../mesh/records.ts';
import type { Relays } from '../mesh/relays.ts';
import { RELAY_BYTES } from '../ports/datapath.ts';

/** What a wire of 1,280 bytes, the least that IPv6 allows, leaves for an inner packet that is carried by another host. */
export const LEAST = 1_188;

export interface MeshMtuParts {
  /** Of this host's device. */
  readonly own: number;
  readonly mesh: Pick<Mesh, 'membership' | 'records'>;
  readonly paths: Pick<Paths, 'report'>;
  readonly relays: Pick<Relays, 'status'>;
}

/** Bytes of an inner packet on the way to a peer, as `weft status paths` shows it. */
export function pathMtu(
  { kind, mtu }: Pick<PathReport, 'kind' | 'mtu'>,
  relay: Pick<RelayPathStatus, 'direct' | 'by'> | undefined,
): number {
  const isRelayed = kind !== 'vxlan' && relay?.direct === 'blocked' && relay.by !== undefined;
  return isRelayed ? mtu - RELAY_BYTES : mtu;
}

/**
 * Bytes of an inner packet that fits everywhere as things are now: on the way to each member, and through its device. A member's word makes
 * it no smaller than `LEAST`, unless this host's own device is.
 */
export function meshMtu({ own, mesh, paths, relays }: MeshMtuParts): number {
  const { membership, records } = mesh;
  let smallest = own;
  for (const peer of membership.members()) {
    if (peer === membership.self) continue;
    const told = readPeerRecord(records.get(peer, KEY.peer))?.mtu ?? own;
    smallest = Math.min(smallest, told, pathMtu(paths.report(peer), relays.status(peer)));
  }
  return Math.min(own, Math.max(LEAST, smallest));
}
