import type { Identity } from '../../../src/core/crypto.ts';
import type { MeshId } from '../../../src/core/ids.ts';
import type { Replica } from '../../../src/core/replica.ts';
import { signDelta, type VerifiedDelta } from '../../../src/core/wire/delta.ts';
import { createWant } from '../../../src/core/wire/vector.ts';
import { createMemoryCrypto } from '../../../src/ports/memory/crypto.ts';

/** What the tests of replicas share: cheap crypto, numbered authors, text as values. */
export const crypto = createMemoryCrypto();
export const MESH = 'ab'.repeat(32) as MeshId;

export function identity(number: number): Identity {
  const seed = new Uint8Array(32).fill(number + 1);
  const publicKey = crypto.publicKey(seed);
  return { seed, publicKey, peer: crypto.peerId(publicKey) };
}

/** `null` removes a key. */
export function delta(
  author: Identity,
  seq: number,
  changes: Readonly<Record<string, string | null>>,
): VerifiedDelta {
  const values = Object.entries(changes).map(
    ([key, value]) => [key, value === null ? undefined : new TextEncoder().encode(value)] as const,
  );
  return signDelta({ crypto, identity: author, mesh: MESH, seq, changes: new Map(values) });
}

/** Everything a replica says, for comparing. */
export function contents(replica: Replica): readonly string[] {
  return [...replica.entries('')]
    .map(({ author, key, value, seq }) => `${author} ${key}@${seq}=${new TextDecoder().decode(value)}`)
    .sort();
}

/** Lets two replicas tell each other what they have, as neighbours do, until neither has anything to say. */
export function exchange(a: Replica, b: Replica, size?: number): number {
  let sent = 0;
  for (let round = 0; ; round++) {
    const before = sent;
    sent += tell(a, b, size) + tell(b, a, size);
    if (sent === before) return sent;
    if (round > 4) throw new Error('two replicas do not come to an end');
  }
}

function tell(from: Replica, to: Replica, size: number | undefined): number {
  if (JSON.stringify(from.digest()) === JSON.stringify(to.digest())) return 0;
  const parts = to.vector(size).map((part) => from.compare(part));
  const deltas = parts.flatMap(({ send }) => send);
  const wanted = parts.flatMap(({ lacking }) => to.wanted(createWant(lacking)));
  for (const one of deltas) to.merge(one);
  for (const one of wanted) from.merge(one);
  return deltas.length + wanted.length;
}
