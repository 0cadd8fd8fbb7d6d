import type { PeerId } from './ids.ts';
import { createInterned, type Interned } from './interned.ts';

/**
 * Small numbers for peers, from 0: a search over thousands of peers is made of look-ups, and those of long texts are slow. The simulated
 * peers of one process share them.
 */
export interface PeerNumbers {
  of(peer: PeerId): number;
  /** Undefined for who has none yet. */
  known(peer: PeerId): number | undefined;
  peer(number: number): PeerId;
  size(): number;
  /** Numbers in the order of ids, each once. Worked out once for each list, which must not be changed. */
  list(peers: readonly PeerId[]): Int32Array;
  /** Small numbers for such lists. */
  readonly lists: Interned<Int32Array>;
}

export function createPeerNumbers(): PeerNumbers {
  const numbers = new Map<PeerId, number>();
  const names: PeerId[] = [];
  const lists = new WeakMap<readonly PeerId[], Int32Array>();

  function of(peer: PeerId): number {
    let number = numbers.get(peer);
    if (number === undefined) {
      number = names.push(peer) - 1;
      numbers.set(peer, number);
    }
    return number;
  }

  return {
    of,
    known: (peer) => numbers.get(peer),
    peer: (number) => names[number] as PeerId,
    size: () => names.length,
    list(peers) {
      let list = lists.get(peers);
      if (list === undefined) {
        list = Int32Array.from([...new Set(peers)].sort(), of);
        lists.set(peers, list);
      }
      return list;
    },
    lists: createInterned(),
  };
}
