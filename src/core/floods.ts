/**
 * Finds the links that are flooded with single packets, from counts of what has come by each. Pure: time and counts are handed in. What a kernel hands
 * over as one, up to 64 KiB of a stream, counts as one packet, and is no flood however many there are.
 */
export interface Floods {
  /** Whether a link was flooded at the last look. */
  readonly any: boolean;
  /** `now`: milliseconds. `counts`: what has come so far, by link; one that is missing is gone. Returns whose state has changed. */
  look(now: number, counts: ReadonlyMap<string, Received>): readonly FloodChange[];
}

export interface Received {
  readonly packets: number;
  readonly bytes: number;
}

export interface FloodChange {
  readonly link: string;
  readonly flooded: boolean;
}

/** Packets a second with which a flood begins, and below which it ends. */
export const FLOODED_FROM = 100_000;
export const FLOODED_TO = 50_000;
/** A flood that pauses for less, in milliseconds, goes on. */
export const CALM_TIME = 1_000;
/** Bytes of more than that, on average, have been joined before. */
export const LONGEST_SINGLE = 2_000;

interface Known extends Received {
  readonly at: number;
  /** When there was last more than FLOODED_TO; undefined: not flooded. */
  readonly floodedAt: number | undefined;
}

export function createFloods(): Floods {
  let links: ReadonlyMap<string, Known> = new Map();
  const isFlooded = ({ floodedAt }: Known) => floodedAt !== undefined;
  return {
    get any() {
      return [...links.values()].some(isFlooded);
    },
    look(now, counts) {
      const before = links;
      links = new Map([...counts].map(([link, received]) => [link, next(before.get(link), received, now)]));
      return [...links].flatMap(([link, known]) => {
        const old = before.get(link);
        const was = old !== undefined && isFlooded(old);
        return was === isFlooded(known) ? [] : [{ link, flooded: !was }];
      });
    },
  };
}

function next(known: Known | undefined, received: Received, now: number): Known {
  const since = known?.floodedAt;
  return { ...received, at: now, floodedAt: floodedAt(since, rateOf(known, received, now), now) };
}

/** Single packets a second; undefined: not known. */
function rateOf(known: Known | undefined, { packets, bytes }: Received, now: number): number | undefined {
  // Fewer than before: another link has taken the name.
  if (known === undefined || packets < known.packets) return undefined;
  const came = packets - known.packets;
  if (bytes - known.bytes > came * LONGEST_SINGLE) return 0;
  return (came * 1_000) / Math.max(1, now - known.at);
}

function floodedAt(since: number | undefined, rate: number | undefined, now: number): number | undefined {
  if (rate === undefined) return undefined;
  if (since === undefined) return rate >= FLOODED_FROM ? now : undefined;
  if (rate >= FLOODED_TO) return now;
  return now - since < CALM_TIME ? since : undefined;
}
