import { formatIpv4 } from '../../core/address.ts';
import type { PeerId } from '../../core/ids.ts';
import type { Dispute, IpamStatus, OwnerShare, OwnRange } from '../../doors/control.ts';
import { KEY, readPeerRecord } from '../../mesh/records.ts';
import { describePeer } from '../../mesh/space/names.ts';
import type { Network } from '../network.ts';
import { nameOf } from './networks.ts';

export function ipamStatus({ mesh, range }: Network, nickname: string): IpamStatus {
  const { space, membership } = mesh;
  const { start, last } = membership.genesis.range;
  return {
    range,
    total: last - start + 1,
    own: ownRanges(mesh),
    allocated: space.allocations().length,
    free: space.free(),
    owners: owners(mesh, nickname),
    disputes: space.quarantine().map(
      (entry): Dispute => ({
        start: entry.range === undefined ? '' : formatIpv4(entry.range.start),
        last: entry.range === undefined ? '' : formatIpv4(entry.range.last),
        text: `${entry.reason}, written by ${describePeer(mesh.records, entry.author)}`,
      }),
    ),
    waiting: [...donations(mesh), ...takeovers(mesh)],
  };
}

function donations({ space, records }: Network['mesh']): readonly string[] {
  return space.pendingDonations().map(({ start, last, owner }) => {
    const part = start === last ? formatIpv4(start) : `${formatIpv4(start)} to ${formatIpv4(last)}`;
    return `the witness of the donation of ${part} to ${describePeer(records, owner)}`;
  });
}

/** Of a mesh of thousands not all are listed. */
const MOST_MISSING = 20;

function takeovers({ space, records }: Network['mesh']): readonly string[] {
  const named = (peer: PeerId) => describePeer(records, peer);
  return space.inheritance.waiting().map(({ peer, taker, missing, unheard }) => {
    const more = missing.length > MOST_MISSING ? ` and ${missing.length - MOST_MISSING} more` : '';
    const whom =
      taker === undefined
        ? 'the root key (`weft recover`)'
        : missing.length > 0
          ? `the promise of ${missing.slice(0, MOST_MISSING).map(named).join(', ')}${more}`
          : unheard > 0
            ? `${unheard} records on their way`
            : `${named(taker)}, which takes over`;
    return `${whom}, for the addresses of ${named(peer)}, which was removed`;
  });
}

function ownRanges(mesh: Network['mesh']): readonly OwnRange[] {
  return mesh.space
    .ring()
    .filter(({ owner }) => owner === mesh.membership.self)
    .map(({ start, last, network }) => ({
      start: formatIpv4(start),
      last: formatIpv4(last),
      network: nameOf(mesh, network),
      size: last - start + 1,
    }));
}

function owners({ space, membership, liveness, records }: Network['mesh'], nickname: string): OwnerShare[] {
  const shares = new Map<PeerId, number>();
  for (const { start, last, owner } of space.ring()) {
    if (owner !== undefined) shares.set(owner, (shares.get(owner) ?? 0) + last - start + 1);
  }
  const list = [...shares].map(([peer, addresses]): OwnerShare => {
    const record = readPeerRecord(records.get(peer, KEY.peer));
    if (peer === membership.self) {
      return { peer, nickname, state: 'self', addresses, free: space.free() };
    }
    const state = liveness.isUp(peer) ? 'up' : 'down';
    // Told with the peer's record, which may be older than the ring.
    const free = record === undefined ? null : Math.min(record.free, addresses);
    return { peer, nickname: record?.nickname ?? peer, state, addresses, free };
  });
  return list.sort((left, right) => right.addresses - left.addresses || (left.peer < right.peer ? -1 : 1));
}
