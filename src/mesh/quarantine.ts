import type { PeerId } from '../core/ids.ts';

/** What was not taken of an author, for status. It costs neither a link nor anything else of that author. */
export interface Quarantined {
  /** Undefined: it could not be read far enough to tell. */
  readonly author: PeerId | undefined;
  readonly count: number;
  /** What was wrong with the last one. */
  readonly problem: string;
}

export interface Quarantine {
  add(author: PeerId | undefined, problem: string): void;
  /** Most first. */
  list(): readonly Quarantined[];
}

/** Forgers can make any number of authors; those that come after this many are counted together. */
const MAX_AUTHORS = 256;

export function createQuarantine(): Quarantine {
  const counts = new Map<PeerId | undefined, { count: number; problem: string }>();
  return {
    add(author, problem) {
      const name = counts.has(author) || counts.size < MAX_AUTHORS ? author : undefined;
      const { count } = counts.get(name) ?? { count: 0 };
      counts.set(name, { count: count + 1, problem });
    },
    list() {
      return [...counts]
        .map(([author, { count, problem }]) => ({ author, count, problem }))
        .sort((a, b) => b.count - a.count);
    },
  };
}
