import type { SignedDelta, VerifiedDelta } from '../core/wire/delta.ts';
import type { Neighbour } from './links.ts';

/**
 * What one neighbour is still to be sent. It waits here, not in the transport, while the neighbour is slow: so a delta that is superseded
 * meanwhile is never sent, and what the neighbour turns out to have is taken out again.
 */
export interface Outbox {
  add(delta: VerifiedDelta): void;
  /** The neighbour has it. */
  remove(delta: VerifiedDelta): void;
  /** Sends as much as the neighbour has room for. */
  flush(): void;
}

export interface OutboxParts {
  readonly neighbour: Pick<Neighbour, 'send' | 'room'>;
  /** False when later deltas have overwritten all of it. */
  readonly isLive: (delta: VerifiedDelta) => boolean;
  readonly onSent: (deltas: number) => void;
}

/** Bytes of deltas in one message, unless a single one has more. */
const CHUNK = 64 << 10;
const MAX_CHUNK = 1_024;

export function createOutbox({ neighbour, isLive, onSent }: OutboxParts): Outbox {
  const waiting = new Set<VerifiedDelta>();

  function nextChunk(): readonly SignedDelta[] {
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

  return {
    add(delta) {
      waiting.add(delta);
    },
    remove(delta) {
      waiting.delete(delta);
    },
    flush() {
      while (waiting.size > 0 && neighbour.room() > 0) {
        const deltas = nextChunk();
        if (deltas.length === 0) return;
        if (!neighbour.send({ type: 'deltas', deltas })) return;
        onSent(deltas.length);
      }
    },
  };
}
