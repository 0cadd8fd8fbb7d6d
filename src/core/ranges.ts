import type { Range } from './address.ts';

/** Arithmetic on blocks of addresses. Lists are sorted by `start` and do not overlap. */

export function sizeOf(range: Range): number {
  return range.last - range.start + 1;
}

export function includes(range: Range, address: number): boolean {
  return range.start <= address && address <= range.last;
}

export function overlaps(a: Range, b: Range): boolean {
  return a.start <= b.last && b.start <= a.last;
}

/** Index of the first item that ends at or after `address`; the length of the list when there is none. */
export function indexAt(list: readonly Range[], address: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = list[middle];
    if (item !== undefined && item.last < address) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The item that contains `address`. */
export function itemAt<T extends Range>(list: readonly T[], address: number): T | undefined {
  const item = list[indexAt(list, address)];
  return item !== undefined && item.start <= address ? item : undefined;
}

/** What is left of `from` without any of `holes`, which may overlap each other and come in any order. */
export function subtract(from: Range, holes: readonly Range[]): Range[] {
  let left: Range[] = [{ start: from.start, last: from.last }];
  for (const hole of holes) {
    if (!overlaps(from, hole)) continue;
    left = left.flatMap((piece) => without(piece, hole));
  }
  return left;
}

function without(piece: Range, hole: Range): Range[] {
  if (!overlaps(piece, hole)) return [piece];
  const rest: Range[] = [];
  if (piece.start < hole.start) rest.push({ start: piece.start, last: hole.start - 1 });
  if (hole.last < piece.last) rest.push({ start: hole.last + 1, last: piece.last });
  return rest;
}
