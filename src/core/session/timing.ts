/** A key is replaced after this long (WireGuard's REKEY_AFTER_TIME), give or take a tenth so that not all are at once. */
export const REKEY_AFTER = 120_000;
/** A key that has protected nothing yet has nothing to lose: it is kept, and looked at again so much later. */
export const UNUSED_LOOK = 10_000;

export function earliest(times: readonly (number | undefined)[]): number | undefined {
  const set = times.filter((at) => at !== undefined);
  return set.length === 0 ? undefined : Math.min(...set);
}

/** Who has just joined is not known to everybody yet, so its first message may be lost for that alone. */
const FIRST_RETRY = 250;
const SECOND_RETRY = 1_000;
const LONGEST_RETRY = 30_000;

/** Milliseconds until a message that was sent again `tries` times before is sent once more. */
export function retryDelay(tries: number): number {
  return tries === 0 ? FIRST_RETRY : Math.min(SECOND_RETRY * 2 ** (tries - 1), LONGEST_RETRY);
}
