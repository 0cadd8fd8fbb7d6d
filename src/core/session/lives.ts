/**
 * The lives of a peer that are over. Each start of a daemon is a life, named by its random boot id, in which the epochs of its offers only
 * grow; so an old message is known by its epoch within a life, and by the life otherwise. No clock is needed for either.
 */
export interface Lives {
  /** The present one, as far as known. */
  readonly present: string | undefined;
  /** What the peer's own record says, which is never older than what it said before. */
  announced(boot: string): void;
  /** An authentic message came from this life. */
  heard(boot: string): void;
  /** A packet came under a key that was agreed with this life, now: all others that were heard of are over. */
  proven(boot: string): void;
  isOver(boot: string): boolean;
}

const REMEMBERED = 64;

export function createLives(): Lives {
  const over = new Set<string>();
  const heard = new Set<string>();
  let record: string | undefined;
  let present: string | undefined;

  function end(boot: string): void {
    over.add(boot);
    heard.delete(boot);
    const [oldest] = over;
    if (over.size > REMEMBERED && oldest !== undefined) over.delete(oldest);
  }

  return {
    get present() {
      return present;
    },
    announced(boot) {
      if (record !== undefined && record !== boot) end(record);
      over.delete(boot);
      record = boot;
      present = boot;
    },
    heard(boot) {
      heard.add(boot);
      present = boot;
    },
    proven(boot) {
      present = boot;
      for (const other of heard) if (other !== boot) end(other);
    },
    isOver: (boot) => over.has(boot),
  };
}
