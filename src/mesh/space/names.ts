import type { PeerId } from '../../core/ids.ts';
import { KEY, type Records } from '../records.ts';

/** What a peer says of itself, as far as it concerns space. Records are unchecked: what is malformed counts as absent. */
function peerRecord(records: Records, peer: PeerId): { nickname?: unknown; free?: unknown } {
  const value = records.get(peer, KEY.peer);
  return typeof value === 'object' && value !== null ? value : {};
}

/** For messages: nickname and enough of the id to tell two of the same name apart. */
export function describePeer(records: Records, peer: PeerId): string {
  const { nickname } = peerRecord(records, peer);
  const tail = peer.slice(-8);
  if (typeof nickname !== 'string' || nickname === '') return `peer …${tail}`;
  return `${nickname.slice(0, 63).replace(/[^\x20-\x7e]/g, '?')} (…${tail})`;
}

/** Free addresses that the peer last told of; undefined when it has told nothing yet. */
export function knownFree(records: Records, peer: PeerId): number | undefined {
  const { free } = peerRecord(records, peer);
  return typeof free === 'number' && free >= 0 ? free : undefined;
}
