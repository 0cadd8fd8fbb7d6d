import type { RingSource, Segment } from '../../src/core/ring.ts';

/** Indices into a table of the run, ascending. */
export type Numbers = readonly number[];

/** For each address the newest entry, whoever wrote it. */
export function newestOf(
  sources: readonly RingSource[],
  range: { start: number; last: number },
): readonly Segment[] {
  const segments: Segment[] = [];
  for (let at = range.start; at <= range.last; at += 1) {
    const here = sources.map(({ entry }) => entry).filter(({ start, last }) => start <= at && at <= last);
    const newest = here.sort((a, b) => b.epoch - a.epoch || b.version - a.version)[0];
    if (newest === undefined) continue;
    const { epoch, version, donor } = newest;
    segments.push({ start: at, last: at, epoch, version, donor, entry: newest });
  }
  return segments;
}

/** Each thing once, by number. */
export function createTable<T>(nameOf: (item: T) => string) {
  const items: T[] = [];
  const numbers = new Map<string, number>();
  return {
    number(item: T): number {
      const name = nameOf(item);
      const known = numbers.get(name);
      if (known !== undefined) return known;
      numbers.set(name, items.push(item) - 1);
      return items.length - 1;
    },
    get: (number: number) => items[number] as T,
    all: (list: Numbers) => list.map((number) => items[number] as T),
  };
}

export function sorted(list: Numbers): Numbers {
  return [...new Set(list)].sort((a, b) => a - b);
}

export function union(...lists: readonly Numbers[]): Numbers {
  if (lists.length === 2 && lists[1]?.length === 0) return lists[0] as Numbers;
  return sorted(lists.flat());
}

/** `known` with `more`, but for what is in `own`. */
export function unionless(known: Numbers, more: Numbers, own: Numbers): Numbers {
  return union(
    known,
    more.filter((number) => !own.includes(number)),
  );
}
