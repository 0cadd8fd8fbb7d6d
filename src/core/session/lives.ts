/**
 * The lives of a peer. Each start of a daemon is a life, named by its random boot id, in which the epochs of its offers only grow. So an
 * old message is known by its epoch within a life, and otherwise by the life, once a later one has proven itself. No clock is needed.
 */
export interface Lives {
  /** The present one, as far as known. */
  readonly present: string | undefined;
  /** What the peer's own record says, which is never older than what it said before. */
  announced(boot: string): void;
  /** An authentic message came from this life; it may be an old one. */
  heard(boot: string): void;
  /** Something came that only this life can have sent, and only now: all others that were heard of are over. */
  proven(boot: string): void;
  isOver(boot: string): boolean;
  /** The highest epoch that was noted for the life; 0 when none was. */
  epochOf(boot: string): number;
  noteEpoch(boot: string, epoch: number): void;
}

const REMEMBERED = 64;

export function createLives(): Lives {
  const over = new Set<string>();
  const heard = new Set<string>();
  const epochs = new Map<string, number>();
  let record: string | undefined;
  let present: string | undefined;

  function end(boot: string): void {
    heard.delete(boot);
    if (boot === record) return;
    epochs.delete(boot);
    over.add(boot);
    forgetOldest(over);
  }

  return {
    get present() {
      return present;
    },
    announced(boot) {
      const before = record;
      record = boot;
      present = boot;
      over.delete(boot);
      if (before !== undefined && before !== boot) end(before);
    },
    heard(boot) {
      heard.add(boot);
      forgetOldest(heard);
      present = boot;
    },
    proven(boot) {
      present = boot;
      over.delete(boot);
      for (const other of heard) if (other !== boot) end(other);
    },
    isOver: (boot) => over.has(boot),
    epochOf: (boot) => epochs.get(boot) ?? 0,
    noteEpoch(boot, epoch) {
      epochs.set(boot, epoch);
      forgetOldest(epochs);
    },
  };
}

function forgetOldest(names: Set<string> | Map<string, unknown>): void {
  const [oldest] = names.keys();
  if (names.size > REMEMBERED && oldest !== undefined) names.delete(oldest);
}
