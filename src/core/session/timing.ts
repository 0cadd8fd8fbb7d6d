/** A key is replaced after this long (WireGuard's REKEY_AFTER_TIME), give or take a tenth so that not all are at once. */
export const REKEY_AFTER = 120_000;

export function earliest(times: readonly (number | undefined)[]): number | undefined {
  const set = times.filter((at) => at !== undefined);
  return set.length === 0 ? undefined : Math.min(...set);
}
