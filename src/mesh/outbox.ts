import type { SignedDelta, VerifiedDelta } from '../core/wire/delta.ts';
import type { Neighbour } from './links.ts';

/**
 * What one neighbour is still to be sent. It waits here, not in the transport, while the neighbour is slow: so a delta that is superseded
 * meanwhile is never sent, and what the neighbour turns out to have is taken out again.
 *
 * A few news are sent. Many at once, as after a partition, are only offered: others bring the same, and each peer shall get them from one.
 */
export interface Outbox {
  add(delta: VerifiedDelta): void;
  /** The neighbour has asked for it. */
  give(delta: VerifiedDelta): void;
  /** The neighbour has it. */
  remove(delta: VerifiedDelta): void;
  /** Sends as much as the neighbour has room for. */
  flush(): void;
}

export interface OutboxParts {
  readonly neighbour: Pick<Neighbour, 'send' | 'room'>;
  /** False when later deltas have overwritten all of it. */
  readonly isLive: (delta: VerifiedDelta) => boolean;
  /** What is held of the authors of these deltas, for an offer. */
  readonly offer: (deltas: Iterable<VerifiedDelta>) => Uint8Array;
  readonly onSent: (deltas: number) => void;
}

/** Bytes of deltas in one message, unless a single one has more. */
const CHUNK = 64 << 10;
const MAX_CHUNK = 1_024;
/** Bytes of news that are sent without asking. An offer takes a tenth of what it offers, and a way there and back. */
export const MOST_UNASKED = 4 << 10;

export function createOutbox({ neighbour, isLive, offer, onSent }: OutboxParts): Outbox {
  const news = new Set<VerifiedDelta>();
  const asked = new Set<VerifiedDelta>();

  function isMuch(): boolean {
    let bytes = 0;
    for (const { body } of news) {
      bytes += body.length;
      if (bytes > MOST_UNASKED) return news.size > 1;
    }
    return false;
  }

  function nextChunk(waiting: Set<VerifiedDelta>): readonly SignedDelta[] {
    const chunk: SignedDelta[] = [];
    let bytes = 0;
    for (const delta of waiting) {
      const { body, signature } = delta;
      if (chunk.length > 0 && (bytes + body.length > CHUNK || chunk.length >= MAX_CHUNK)) break;
      waiting.delete(delta);
      if (!isLive(delta)) continue;
      chunk.push({ body, signature });
      bytes += body.length;
    }
    return chunk;
  }

  function sendAll(waiting: Set<VerifiedDelta>): void {
    while (waiting.size > 0 && neighbour.room() > 0) {
      const deltas = nextChunk(waiting);
      if (deltas.length === 0) return;
      if (!neighbour.send({ type: 'deltas', deltas })) return;
      onSent(deltas.length);
    }
  }

  return {
    add(delta) {
      news.add(delta);
    },
    give(delta) {
      news.delete(delta);
      asked.add(delta);
    },
    remove(delta) {
      news.delete(delta);
    },
    flush() {
      sendAll(asked);
      if (news.size === 0 || neighbour.room() <= 0) return;
      if (!isMuch()) return sendAll(news);
      const entries = offer(news);
      news.clear();
      neighbour.send({ type: 'offer', entries });
    },
  };
}
