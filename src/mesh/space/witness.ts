import type { Crypto, Identity } from '../../core/crypto.ts';
import { judgeWitness } from '../../core/donation.ts';
import type { PeerId } from '../../core/ids.ts';
import { decodeEntry, isDonorsWord, sameChange, witnessBytes } from '../../core/ring-entry.ts';
import type { Membership } from '../membership.ts';
import type { Messenger } from '../messenger.ts';
import type { Closings } from './closings.ts';
import type { Ledger } from './ledger.ts';
import { WITNESS, type WitnessReply } from './protocol.ts';
import type { SpaceState } from './state.ts';

interface WitnessParts {
  readonly self: PeerId;
  readonly ledger: Ledger;
  readonly closings: Closings;
  readonly state: SpaceState;
  readonly membership: Membership;
  readonly messenger: Messenger;
  readonly crypto: Crypto;
  readonly identity: Identity;
}

/** Serves the peers whose heir this one is: stores their donations and signs that it has. */
export function serveWitness(parts: WitnessParts): void {
  const { self, ledger, closings, state, membership, messenger, crypto, identity } = parts;

  async function witness(from: PeerId, body: unknown): Promise<WitnessReply> {
    const { entry: data } = (body ?? {}) as { readonly entry?: unknown };
    if (data === undefined || data === null) {
      return membership.witnessOf(from) === self ? { ready: true } : { refused: 'not-heir' };
    }
    const decoded = decodeEntry(data);
    if (!decoded.ok) return { refused: 'malformed' };
    const entry = decoded.value;
    if (!isDonorsWord(crypto, membership.mesh, entry)) return { refused: 'malformed' };
    // The promise binds also while, after a restart, the removal itself is not known again.
    const removed = membership.isRemoved(entry.donor) || closings.ownPromise(entry.donor) !== undefined;
    if (removed || membership.witnessOf(entry.donor) !== self) return { refused: 'not-heir' };

    const promises = state.promises.get();
    const verdict = judgeWitness(ledger.segments(), promises, entry);
    if (verdict !== 'sign') return { refused: verdict };
    const known = promises.some((promise) => sameChange(promise, entry));
    await state.promises.set(known ? promises : [...promises, entry]);
    return { signature: crypto.sign(identity.seed, witnessBytes(membership.mesh, entry, self)) };
  }

  messenger.handle(WITNESS, witness);
}
