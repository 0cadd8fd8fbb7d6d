import { frame, toHex, u64, utf8 } from '../core/bytes.ts';
import type { Crypto, Identity } from '../core/crypto.ts';
import type { MeshId, PeerId } from '../core/ids.ts';
import { isSignedBy } from '../core/ring-entry.ts';
import type { Admission, Door } from '../ports/transport.ts';
import type { Epoch } from './membership-state.ts';

/**
 * The secrets that open links. Each removal makes a new one, which the removed peer never hears of; those before it still open links for
 * peers that have slept meanwhile, and lead a removed peer to being told that it is one, and to nothing else.
 *
 * Two parts of a divided mesh may make an epoch of the same number: so doors carry a tag of the secret, and both are kept.
 */
export const MAX_EPOCHS = 16;
/** Peers that one epoch names as removed. */
export const MAX_EXCLUDED = 4_096;

/** For the name of a door: says which secret, and nothing about it. */
export function epochTag({ secret }: Pick<Epoch, 'secret'>, crypto: Crypto): string {
  return toHex(crypto.hash(frame('weft epoch tag', secret)).slice(0, 4));
}

export function epochDoor(epoch: Epoch, mesh: MeshId, crypto: Crypto): Door {
  const { number, secret } = epoch;
  const name = `epoch/${mesh.slice(0, 16)}/${number}-${epochTag(epoch, crypto)}`;
  return { name, secret: crypto.derive(secret, utf8(mesh), frame('weft epoch door', String(number)), 32) };
}

/** For the Doorkeeper. */
export function acceptEpochDoor(
  doorName: string,
  epochs: readonly Epoch[],
  mesh: MeshId,
  crypto: Crypto,
): Admission {
  const parts = /^epoch\/([0-9a-f]{16})\/[1-9][0-9]{0,15}-[0-9a-f]{8}$/.exec(doorName);
  if (parts === null || parts[1] !== mesh.slice(0, 16)) return { admit: false, reason: 'wrong-mesh' };
  const door = epochs.map((epoch) => epochDoor(epoch, mesh, crypto)).find(({ name }) => name === doorName);
  return door === undefined ? { admit: false, reason: 'old-epoch' } : { admit: true, secret: door.secret };
}

/** With one more; newest first, and the same on all peers whatever the order. The oldest go. */
export function withEpoch(epochs: readonly Epoch[], epoch: Epoch, crypto: Crypto): readonly Epoch[] {
  const tag = epochTag(epoch, crypto);
  if (epochs.some((known) => epochTag(known, crypto) === tag)) return epochs;
  const byAge = (a: Epoch, b: Epoch) =>
    b.number - a.number || (epochTag(a, crypto) < epochTag(b, crypto) ? 1 : -1);
  return [...epochs, epoch].sort(byAge).slice(0, MAX_EPOCHS);
}

/** The next epoch, without `excluded`. `secret`: 32 random bytes. */
export function signEpoch(parts: {
  readonly crypto: Crypto;
  readonly identity: Identity;
  readonly mesh: MeshId;
  readonly number: number;
  readonly secret: Uint8Array;
  readonly excluded: readonly PeerId[];
}): Epoch {
  const { crypto, identity, mesh, number, secret, excluded } = parts;
  const body = { number, secret, author: identity.peer, excluded };
  return {
    number,
    secret,
    rotation: {
      author: identity.peer,
      excluded,
      signature: crypto.sign(identity.seed, epochBytes(mesh, body)),
    },
  };
}

/** That its author made it, and could have: each epoch is made because of a removal, so there are no more of them than of those. */
export function isGenuineEpoch({ number, secret, rotation }: Epoch, mesh: MeshId, crypto: Crypto): boolean {
  if (rotation === null || number > 1 + rotation.excluded.length) return false;
  const { author, excluded, signature } = rotation;
  return isSignedBy(crypto, author, epochBytes(mesh, { number, secret, author, excluded }), signature);
}

function epochBytes(
  mesh: MeshId,
  body: { number: number; secret: Uint8Array; author: PeerId; excluded: readonly PeerId[] },
): Uint8Array {
  return frame('weft epoch 1', mesh, u64(body.number), body.secret, body.author, ...body.excluded);
}
