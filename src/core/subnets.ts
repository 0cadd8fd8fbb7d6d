import type { Range } from './address.ts';
import { overlaps, sizeOf } from './ranges.ts';

/** Finds room for a subnet among blocks of free addresses. */

/** The aligned run of `size` (a power of two) inside the smallest free range that has one, the highest there; undefined when none has. */
export function findRun(free: readonly Range[], size: number): Range | undefined {
  const fits = free.flatMap((range) => highestRun(range, size) ?? []);
  const [best] = fits.sort((a, b) => sizeOf(a.within) - sizeOf(b.within) || b.run.start - a.run.start);
  return best?.run;
}

function highestRun(within: Range, size: number): { within: Range; run: Range } | undefined {
  const end = Math.floor((within.last + 1) / size) * size;
  const start = end - size;
  return start >= within.start ? { within, run: { start, last: end - 1 } } : undefined;
}

/** Ranges that touch become one. Sorted input, sorted output. */
export function joined(ranges: readonly Range[]): readonly Range[] {
  const result: Range[] = [];
  for (const { start, last } of ranges) {
    const before = result.at(-1);
    if (before !== undefined && before.last + 1 === start) result[result.length - 1] = { ...before, last };
    else result.push({ start, last });
  }
  return result;
}

/** The parts of sorted `ranges` that lie in `within`. */
export function clip<T extends Range>(ranges: readonly T[], within: Range): readonly T[] {
  return ranges
    .filter((range) => overlaps(range, within))
    .map((range) => ({
      ...range,
      start: Math.max(range.start, within.start),
      last: Math.min(range.last, within.last),
    }));
}

/** A network for which nobody named a subnet has this many addresses: a /24, less where the whole mesh is not much larger. */
export function usualSize(range: Range): number {
  return Math.max(4, Math.min(256, sizeOf(range) / 16));
}

/** A range that has addresses in common with another one. */
export function overlapping<T extends Range>(ranges: readonly T[]): T | undefined {
  const sorted = ranges.toSorted((a, b) => a.start - b.start);
  return sorted.find((range, index) => range.last >= (sorted[index + 1]?.start ?? Number.POSITIVE_INFINITY));
}
