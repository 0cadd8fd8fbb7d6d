import { equalBytes } from '../bytes.ts';
import type { PeerId } from '../ids.ts';
import { createInterned, type Interned } from '../interned.ts';
import type { SignedDelta, VerifiedDelta } from '../wire/delta.ts';
import { type Advanced, type Author, advance, copyOf, newAuthor, weightOf } from './author.ts';

/**
 * Where a replica keeps deltas and what is held of each author. Every daemon has one of its own; the simulated peers of one process share
 * one, so that what thousands of them hold exists once.
 */
export interface Pool {
  /** Small numbers for authors, from 0; undefined for who has none. */
  numberOf(author: PeerId): number | undefined;
  intern(state: Author): number;
  /** Numbers of all authors by (tag, id), as a vector needs them. */
  sorted(): readonly number[];
  /** Numbers of the authors with this tag: one, unless somebody tries tricks. */
  tagged(tag: number): readonly number[];
  /** What replicas hold at the moment. */
  readonly states: Interned<Author>;
  /** Of an author of whom nothing is held. */
  begin(delta: VerifiedDelta): Author;
  /** The state after the delta; in a pool of one's own that is the same object. */
  advance(state: Author, delta: VerifiedDelta): Advanced;
  /** A replica holds the delta from now on, or does not any more. */
  hold(delta: VerifiedDelta): void;
  drop(delta: VerifiedDelta): void;
  /** A delta with this signature that was checked here before. */
  known(signature: Uint8Array): VerifiedDelta | undefined;
}

const SIGNATURE = 64;

export function createPool(): Pool {
  const numbers = createNumbers();
  /** By weight. */
  const index = new Map<number, VerifiedDelta>();
  return {
    ...numbers,
    states: createInterned(),
    begin: newAuthor,
    advance,
    hold: (delta) => void index.set(weightOf(delta), delta),
    drop(delta) {
      if (index.get(weightOf(delta)) === delta) index.delete(weightOf(delta));
    },
    known: (signature) => find(index, signature),
  };
}

/** States that are kept for others to come to. */
const KEPT_STATES = 16;

/**
 * For simulations. A state is never changed: what follows from it by a delta is worked out once, and whoever holds the same deltas, in
 * whatever order they came, has the same object. Nothing is ever forgotten.
 */
export function createSharedPool(): Pool {
  const numbers = createNumbers();
  const index = new Map<number, VerifiedDelta>();
  const empty = new Map<PeerId, Author>();
  const following = new WeakMap<Author, Map<VerifiedDelta, Advanced>>();
  /** Of each author by sum, the newest last: equal sums say that the same deltas are held. */
  const states = new Map<PeerId, Map<number, Author>>();

  function canonical(state: Author): Author {
    const known = states.get(state.author) ?? new Map<number, Author>();
    states.set(state.author, known);
    const same = known.get(state.sum);
    if (same !== undefined) return same;
    known.set(state.sum, state);
    for (const oldest of known.keys()) {
      if (known.size <= KEPT_STATES) break;
      known.delete(oldest);
    }
    return state;
  }

  return {
    ...numbers,
    states: createInterned(),
    begin(delta) {
      const state = empty.get(delta.author) ?? newAuthor(delta);
      empty.set(delta.author, state);
      return state;
    },
    advance(state, delta) {
      const known = following.get(state) ?? new Map<VerifiedDelta, Advanced>();
      following.set(state, known);
      let advanced = known.get(delta);
      if (advanced === undefined) {
        const made = advance(copyOf(state), delta);
        advanced = { ...made, state: canonical(made.state) };
        known.set(delta, advanced);
      }
      return advanced;
    },
    hold: (delta) => void index.set(weightOf(delta), delta),
    drop() {},
    known: (signature) => find(index, signature),
  };
}

const NOBODY: readonly number[] = [];

function createNumbers(): Pick<Pool, 'numberOf' | 'intern' | 'sorted' | 'tagged'> {
  const numbers = new Map<PeerId, number>();
  const byTag = new Map<number, readonly number[]>();
  const tags: number[] = [];
  const names: PeerId[] = [];
  let order: number[] | undefined;
  return {
    numberOf: (author) => numbers.get(author),
    intern({ author, tag }) {
      const known = numbers.get(author);
      if (known !== undefined) return known;
      const number = names.push(author) - 1;
      tags.push(tag);
      byTag.set(tag, [...(byTag.get(tag) ?? NOBODY), number]);
      numbers.set(author, number);
      order = undefined;
      return number;
    },
    tagged: (tag) => byTag.get(tag) ?? NOBODY,
    sorted() {
      order ??= names
        .map((_, number) => number)
        .sort(
          (a, b) =>
            (tags[a] as number) - (tags[b] as number) ||
            ((names[a] as PeerId) < (names[b] as PeerId) ? -1 : 1),
        );
      return order;
    },
  };
}

function find(
  index: ReadonlyMap<number, VerifiedDelta>,
  signature: SignedDelta['signature'],
): VerifiedDelta | undefined {
  const found = signature.length === SIGNATURE ? index.get(weightOf({ signature })) : undefined;
  return found !== undefined && equalBytes(found.signature, signature) ? found : undefined;
}
