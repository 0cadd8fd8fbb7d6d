/** Which counters of one lane were seen. The size is that of native/src/replay_window.h. */
export interface ReplayWindow {
  stale(counter: bigint): boolean;
  /** For a counter that is not stale: remembers it. True when it is the newest so far. */
  mark(counter: bigint): boolean;
}

export const REPLAY_WINDOW = 255n * 64n;

export function createReplayWindow(): ReplayWindow {
  const seen = new Set<bigint>();
  let next = 0n;
  const forget = (): void => {
    // Rarely: a pass over the whole set for every window's worth of packets.
    if (seen.size <= 2 * Number(REPLAY_WINDOW)) return;
    for (const counter of seen) if (next - counter > REPLAY_WINDOW) seen.delete(counter);
  };
  return {
    stale: (counter) => next - counter > REPLAY_WINDOW || seen.has(counter),
    mark(counter) {
      const newest = counter >= next;
      if (newest) next = counter + 1n;
      seen.add(counter);
      forget();
      return newest;
    },
  };
}
