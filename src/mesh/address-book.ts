import type { PeerId } from '../core/ids.ts';
import type { Keeper } from './keeper.ts';
import { KEY, type PeerRecord, type Records, readPeerRecord } from './records.ts';

/**
 * Where members can be dialled: what led to a link before, the last one first, then what they say of themselves. The transport's own
 * memory is of no use for this: it forgets after an hour, and hosts are switched off for longer.
 */
export interface AddressBook {
  /** Best first, without repetition, at most MAX_ADDRESSES. */
  addresses(peer: PeerId): readonly string[];
  /** Whether there is any. Cheap: asked for every member each second. */
  isKnown(peer: PeerId): boolean;
  /** A link was made by it. */
  succeeded(peer: PeerId, address: string): void;
  /** Heard of elsewhere, e.g. from the peer that issued our certificate; tried after those that worked. */
  learn(peer: PeerId, addresses: readonly string[]): void;
  /** It is our own, or somebody else's. */
  forget(peer: PeerId, address: string): void;
  /** Drops everybody else. */
  retain(peers: ReadonlySet<PeerId>): void;
}

export const MAX_ADDRESSES = 8;
const MAX_TEXT = 255;

type Book = Readonly<Record<string, readonly string[]>>;

export function createAddressBook({ keeper, records }: { keeper: Keeper; records: Records }): AddressBook {
  const section = keeper.section<Book>('addresses', checkBook, {});
  const known = new Map(Object.entries(section.get()) as [PeerId, readonly string[]][]);

  function set(peer: PeerId, addresses: readonly string[]): void {
    const before = known.get(peer) ?? [];
    if (before.length === addresses.length && before.every((address, at) => address === addresses[at]))
      return;
    if (addresses.length === 0) known.delete(peer);
    else known.set(peer, addresses);
    save();
  }

  function save(): void {
    // Nobody is promised anything by it: a lost write costs one slower dial.
    section.set(Object.fromEntries(known)).catch(() => {});
  }

  return {
    addresses(peer) {
      const published = readPeerRecord(records.get(peer, KEY.peer))?.control ?? [];
      return [...new Set([...(known.get(peer) ?? []), ...published])].slice(0, MAX_ADDRESSES);
    },
    isKnown(peer) {
      if (known.has(peer)) return true;
      const record = records.get(peer, KEY.peer) as Partial<PeerRecord> | undefined;
      return Array.isArray(record?.control) && record.control.length > 0;
    },
    succeeded(peer, address) {
      const others = (known.get(peer) ?? []).filter((other) => other !== address);
      set(peer, [address, ...others].slice(0, MAX_ADDRESSES));
    },
    learn(peer, addresses) {
      const before = known.get(peer) ?? [];
      const usable = addresses.filter((address) => address.length <= MAX_TEXT);
      set(peer, [...new Set([...before, ...usable])].slice(0, MAX_ADDRESSES));
    },
    forget(peer, address) {
      const before = known.get(peer) ?? [];
      set(
        peer,
        before.filter((other) => other !== address),
      );
    },
    retain(peers) {
      const gone = [...known.keys()].filter((peer) => !peers.has(peer));
      for (const peer of gone) known.delete(peer);
      if (gone.length > 0) save();
    },
  };
}

function checkBook(data: unknown): Book {
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    throw new TypeError('addresses are no map');
  for (const [peer, addresses] of Object.entries(data)) {
    const fine = Array.isArray(addresses) && addresses.every((address) => typeof address === 'string');
    if (!fine) throw new TypeError(`addresses of ${peer} are not a list of texts`);
  }
  return data as Book;
}
