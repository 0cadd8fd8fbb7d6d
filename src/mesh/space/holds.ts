import type { Range } from '../../core/address.ts';
import { subtract } from '../../core/ranges.ts';
import type { Clock } from '../../ports/clock.ts';

/**
 * Ranges that are neither handed out nor given away for a while, because somebody asks all owners of a subnet at once. In memory only: a
 * hold is no promise, and what was not taken in time is free again by itself.
 */
export interface Holds {
  /** In force for `ms`, or until `release(by)`. */
  hold(range: Range, by: string, ms: number): void;
  /** True when somebody else holds a part of it. */
  conflicts(range: Range, by: string): boolean;
  isHeld(by: string): boolean;
  release(by: string): void;
  /** What is left of the blocks. */
  without<T extends Range>(blocks: readonly T[]): readonly T[];
}

/** Members that keep asking must not fill the memory. */
const MOST_HOLDS = 256;

export function createHolds(clock: Clock): Holds {
  let held: readonly { readonly range: Range; readonly by: string; readonly until: number }[] = [];

  function current() {
    if (held.length > 0) held = held.filter(({ until }) => until > clock.now());
    return held;
  }

  return {
    hold(range, by, ms) {
      if (current().length < MOST_HOLDS) held = [...held, { range, by, until: clock.now() + ms }];
    },
    conflicts: (range, by) =>
      current().some(
        (hold) => hold.by !== by && hold.range.start <= range.last && range.start <= hold.range.last,
      ),
    isHeld: (by) => current().some((hold) => hold.by === by),
    release(by) {
      held = held.filter((hold) => hold.by !== by);
    },
    without(blocks) {
      const ranges = current().map(({ range }) => range);
      if (ranges.length === 0) return blocks;
      return blocks.flatMap((block) =>
        subtract(block, ranges).map(({ start, last }) => ({ ...block, start, last })),
      );
    },
  };
}
