import type { Digest } from '../core/replica.ts';
import type { VectorPart } from '../core/wire/vector.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Neighbour } from './links.ts';

/**
 * With whom this peer compares what it holds. Three numbers tell whether there is anything to compare; only then the whole vector follows,
 * which is 90 KB in a mesh of five thousand. Many links that come up at once, as after a partition, wait for one another: what the first
 * comparison brings need not be asked of the next.
 */
export interface Comparisons {
  /** Tells a neighbour the whole state in three numbers; who holds something else answers. */
  begin(neighbour: Neighbour | undefined): void;
  /** A neighbour has told its own: whether they differ. */
  answer(neighbour: Neighbour, theirs: Digest): boolean;
  gone(neighbour: Neighbour): void;
  close(): void;
}

export interface ComparisonsParts {
  readonly clock: Clock;
  readonly digest: () => Digest;
  readonly vector: () => readonly VectorPart[];
}

/** Time for one comparison: there and back between continents, and what was asked for is on its way. */
export const ONE_EVERY = 250;

export function createComparisons({ clock, digest, vector }: ComparisonsParts): Comparisons {
  /** Whose state differed while another comparison was under way. */
  const waiting = new Set<Neighbour>();
  let pause: Timer | undefined;

  /** One that still has to read a lot would differ anyway. */
  function begin(neighbour: Neighbour | undefined): void {
    if (neighbour !== undefined && neighbour.room() > 0) neighbour.send({ type: 'summary', ...digest() });
  }

  function sendVector(to: Neighbour): void {
    pause = clock.setTimer(ONE_EVERY, proceed);
    for (const part of vector()) to.send({ type: 'vector', ...part });
  }

  function proceed(): void {
    pause = undefined;
    const [next] = waiting;
    if (next === undefined) return;
    waiting.delete(next);
    // What it holds now is not what it held then: it is asked once more.
    begin(next);
    if (waiting.size > 0) pause = clock.setTimer(ONE_EVERY, proceed);
  }

  return {
    begin,
    answer(neighbour, { authors, deltas, sum }) {
      const own = digest();
      if (own.authors === authors && own.deltas === deltas && own.sum === sum) return false;
      if (neighbour.room() <= 0) return true;
      if (pause === undefined) sendVector(neighbour);
      else waiting.add(neighbour);
      return true;
    },
    gone(neighbour) {
      waiting.delete(neighbour);
    },
    close() {
      pause?.cancel();
      waiting.clear();
    },
  };
}
