import { deleteEntry, setEntry } from './bpf.ts';
import type { Entry } from './shortcut-places.ts';

/** A map whose content is known here: nobody else writes to it. */
export interface KnownMap {
  holds(wanted: readonly Entry[]): boolean;
  fill(wanted: readonly Entry[]): void;
  forget(hostLink: string): void;
}

export function createKnownMap(map: number): KnownMap {
  const there = new Map<string, Entry>();
  const nameOf = ({ key }: Entry) => Buffer.from(key).toString('hex');
  const isThere = (entry: Entry) => {
    const known = there.get(nameOf(entry));
    return known !== undefined && Buffer.compare(known.value, entry.value) === 0;
  };
  function remove(name: string, { key }: Entry): void {
    deleteEntry(map, key);
    there.delete(name);
  }
  return {
    holds: (wanted) => wanted.length === there.size && wanted.every(isThere),
    fill(wanted) {
      const names = new Set(wanted.map(nameOf));
      // What comes is there before what goes, so that nothing that stays is away meanwhile.
      for (const entry of wanted) {
        if (!isThere(entry)) setEntry(map, entry.key, entry.value);
        there.set(nameOf(entry), entry);
      }
      for (const [name, entry] of there) if (!names.has(name)) remove(name, entry);
    },
    forget(hostLink) {
      for (const [name, entry] of there) if (entry.hostLink === hostLink) remove(name, entry);
    },
  };
}
