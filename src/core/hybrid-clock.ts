/**
 * A moment of a hybrid logical clock: wall time where that is ahead of everything seen, one step more than what was seen where it is
 * not. It orders the writes of one object and decides nothing else: whoever has seen a write can always write a later one, whatever
 * its own clock says, and nothing is refused for being of the past or of the future.
 */
export interface Stamp {
  /** Milliseconds since 1970, of the wall clock that was furthest ahead. */
  readonly time: number;
  /** Tells writes of one `time` apart. */
  readonly count: number;
}

/** Before every other. */
export const NO_STAMP: Stamp = { time: 0, count: 0 };

/** Of each part. Ten thousand years: a limit of the format, not a judgement of anybody's clock. */
const MAX_TIME = 2 ** 48 - 1;
const MAX_COUNT = 2 ** 32 - 1;

/** The year 2200: from here on a stamp comes of somebody who wants the last word, or of an answer to that. */
const FAR = 7_258_118_400_000;

export function isFar({ time }: Stamp): boolean {
  return time >= FAR;
}

/** Whether there is a later one. */
export function hasRoom({ time, count }: Stamp): boolean {
  return time < MAX_TIME || count < MAX_COUNT;
}

export function compareStamps(a: Stamp, b: Stamp): number {
  return a.time - b.time || a.count - b.count;
}

/** The stamp of a write by somebody whose wall clock says `wall` and who has seen `seen`, which has room: always later than that. */
export function nextStamp(wall: number, seen: Stamp): Stamp {
  const time = Number.isFinite(wall) ? Math.min(Math.max(0, Math.floor(wall)), FAR - 1) : 0;
  if (time > seen.time) return { time, count: 0 };
  if (seen.count < MAX_COUNT) return { time: seen.time, count: seen.count + 1 };
  return { time: seen.time + 1, count: 0 };
}

/** Unchecked data as a stamp; undefined for what is none. */
export function readStamp(data: unknown): Stamp | undefined {
  if (typeof data !== 'object' || data === null) return undefined;
  const { time, count } = data as { readonly time?: unknown; readonly count?: unknown };
  return isWhole(time, MAX_TIME) && isWhole(count, MAX_COUNT) ? { time, count } : undefined;
}

function isWhole(data: unknown, most: number): data is number {
  return Number.isInteger(data) && (data as number) >= 0 && (data as number) <= most;
}
