import { buildRing, EMPTY_RING, extendRing, type RingRules, type RingSource, type RingView } from './ring.ts';
import { changeText } from './ring-entry.ts';

/**
 * A growing set of entries and the ring that they make. Nothing old is ever taken out: history stays needed to check what follows. What
 * is void (core/takeover.ts) never was part of it: then the whole set is given anew.
 */
export interface RingBook {
  /** `segments` is the same array as before as long as the ring is the same. */
  view(): RingView;
  /** Adds sources in any order; known ones again cost nothing. */
  add(sources: readonly RingSource[]): void;
  /** Only these from now on. */
  reset(sources: readonly RingSource[]): void;
}

export function createRingBook(rules: RingRules): RingBook {
  const known = new Map<string, RingSource>();
  let view: RingView = EMPTY_RING;

  function note(sources: readonly RingSource[]): readonly RingSource[] {
    const fresh: RingSource[] = [];
    for (const source of sources) {
      const { entry, trusted } = source;
      const key = `${changeText(entry)} ${entry.witness ?? ''} ${trusted}`;
      if (known.has(key)) continue;
      known.set(key, source);
      fresh.push(source);
    }
    return fresh;
  }

  function show({ segments, refused }: RingView): void {
    view = { segments: sameSegments(view, { segments }) ? view.segments : segments, refused };
  }

  return {
    view: () => view,
    add(sources) {
      const fresh = note(sources);
      const [first] = fresh;
      if (first === undefined) return;
      const extended = fresh.length === 1 ? extendRing(rules, view, first) : undefined;
      show(extended ?? buildRing(rules, known.values()));
    },
    reset(sources) {
      known.clear();
      note(sources);
      show(buildRing(rules, known.values()));
    },
  };
}

function sameSegments(a: Pick<RingView, 'segments'>, b: Pick<RingView, 'segments'>): boolean {
  return (
    a.segments.length === b.segments.length &&
    a.segments.every((segment, index) => {
      const other = b.segments[index];
      return (
        other !== undefined &&
        segment.start === other.start &&
        segment.last === other.last &&
        segment.epoch === other.epoch &&
        segment.version === other.version &&
        segment.entry === other.entry
      );
    })
  );
}
