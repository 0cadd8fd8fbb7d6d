import type { Clock } from '../../src/ports/clock.ts';

/**
 * Differences that looks at two sides have found. While a container is started or stopped one side knows of it before the other, so only
 * what each look of the last SETTLES_IN has found counts.
 */
export interface Doubt {
  /** What this look has found; the answer is what has been so for long enough. */
  confirm(found: Iterable<string>): ReadonlySet<string>;
  /** Whether anything waits to be confirmed or was found at the last look. */
  isOpen(): boolean;
}

/** Between the driver's answer and Docker's own record of it are tenths of a second. */
export const SETTLES_IN = 5_000;

export function createDoubt({ clock }: { readonly clock: Clock }): Doubt {
  let since: ReadonlyMap<string, number> = new Map();
  return {
    confirm(found) {
      const now = clock.now();
      since = new Map([...found].map((id) => [id, since.get(id) ?? now]));
      return new Set([...since].flatMap(([id, from]) => (now - from >= SETTLES_IN ? [id] : [])));
    },
    isOpen: () => since.size > 0,
  };
}
