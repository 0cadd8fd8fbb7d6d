import { buildRing, EMPTY_RING, extendRing, type RingRules, type RingSource, type RingView } from './ring.ts';
import { changeText } from './ring-entry.ts';

/** A growing set of entries and the ring that they make. Entries are never taken out: history stays needed to check what follows. */
export interface RingBook {
  view(): RingView;
  /** Adds sources in any order, known ones again at no cost. True when the ring or the list of the refused may have changed. */
  add(sources: readonly RingSource[]): boolean;
  sources(): Iterable<RingSource>;
}

export function createRingBook(rules: RingRules): RingBook {
  const known = new Map<string, RingSource>();
  let view: RingView = EMPTY_RING;
  return {
    view: () => view,
    sources: () => known.values(),
    add(sources) {
      const fresh: RingSource[] = [];
      for (const source of sources) {
        const { entry, trusted } = source;
        // Two copies of one change may name different witnesses; the smaller name is taken everywhere.
        const key = `${changeText(entry)} ${entry.witness ?? ''} ${trusted}`;
        if (known.has(key)) continue;
        known.set(key, source);
        fresh.push(source);
      }
      const [first] = fresh;
      if (first === undefined) return false;
      const extended = fresh.length === 1 ? extendRing(rules, view, first) : undefined;
      view = extended ?? buildRing(rules, known.values());
      return true;
    },
  };
}
