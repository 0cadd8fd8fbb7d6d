/** Finds the links that are flooded with packets, from counts of what has come by each. Pure: time and counts are handed in. */
export interface Floods {
  /** Whether a link was flooded at the last look. */
  readonly any: boolean;
  /** `now`: milliseconds. `counts`: packets so far, by link; one that is missing is gone. Returns whose state has changed. */
  look(now: number, counts: ReadonlyMap<string, number>): readonly FloodChange[];
}

export interface FloodChange {
  readonly link: string;
  readonly flooded: boolean;
}

/** Packets a second with which a flood begins, and below which it ends. */
export const FLOODED_FROM = 100_000;
export const FLOODED_TO = 30_000;
/** A flood that pauses for less, in milliseconds, goes on. */
export const CALM_TIME = 2_000;

interface Known {
  readonly packets: number;
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
      links = new Map([...counts].map(([link, packets]) => [link, next(before.get(link), packets, now)]));
      return [...links].flatMap(([link, known]) => {
        const old = before.get(link);
        const was = old !== undefined && isFlooded(old);
        return was === isFlooded(known) ? [] : [{ link, flooded: !was }];
      });
    },
  };
}

function next(known: Known | undefined, packets: number, now: number): Known {
  // Fewer than before: another link has taken the name.
  if (known === undefined || packets < known.packets) return { packets, at: now, floodedAt: undefined };
  const rate = ((packets - known.packets) * 1_000) / Math.max(1, now - known.at);
  return { packets, at: now, floodedAt: floodedAt(known.floodedAt, rate, now) };
}

function floodedAt(since: number | undefined, rate: number, now: number): number | undefined {
  if (since === undefined) return rate >= FLOODED_FROM ? now : undefined;
  if (rate >= FLOODED_TO) return now;
  return now - since < CALM_TIME ? since : undefined;
}
