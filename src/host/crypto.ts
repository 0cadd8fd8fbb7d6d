import {
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hash,
  hkdfSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import type { Crypto } from '../core/crypto.ts';
import { keyOfPeerId, peerIdOfKey } from '../core/peer-id.ts';

/** DER around raw 32-byte keys: PKCS #8 for private and SubjectPublicKeyInfo for public ones (RFC 8410 §4, §7). */
const ED25519_PRIVATE = Buffer.from('302e020100300506032b657004220420', 'hex');
const ED25519_PUBLIC = Buffer.from('302a300506032b6570032100', 'hex');
const X25519_PRIVATE = Buffer.from('302e020100300506032b656e04220420', 'hex');
const X25519_PUBLIC = Buffer.from('302a300506032b656e032100', 'hex');

const KEY_LENGTH = 32;
const SIGNATURE_LENGTH = 64;
/** Importing a key costs about as much as half a verification; a mesh has a few thousand signers at most. */
const CACHED_KEYS = 4_096;

function privateKey(prefix: Buffer, secret: Uint8Array): KeyObject {
  if (secret.length !== KEY_LENGTH) {
    throw new RangeError(`a private key has ${KEY_LENGTH} bytes, not ${secret.length}`);
  }
  return createPrivateKey({ key: Buffer.concat([prefix, secret]), format: 'der', type: 'pkcs8' });
}

function publicKey(prefix: Buffer, raw: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([prefix, raw]), format: 'der', type: 'spki' });
}

function rawPublicKey(key: KeyObject): Uint8Array {
  return new Uint8Array(createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-KEY_LENGTH));
}

/** Remembers imported keys; the one that came first goes first. */
function cached(limit: number, load: (raw: Uint8Array) => KeyObject): (raw: Uint8Array) => KeyObject {
  const keys = new Map<string, KeyObject>();
  return (raw) => {
    const name = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('latin1');
    let key = keys.get(name);
    if (key === undefined) {
      key = load(raw);
      if (keys.size >= limit) keys.delete(keys.keys().next().value as string);
      keys.set(name, key);
    }
    return key;
  };
}

const signer = cached(8, (seed) => privateKey(ED25519_PRIVATE, seed));
const verifier = cached(CACHED_KEYS, (raw) => publicKey(ED25519_PUBLIC, raw));

/** The primitives of OpenSSL inside Node. */
export const nodeCrypto: Crypto = {
  hash: (data) => new Uint8Array(hash('sha256', data, 'buffer')),

  sign: (seed, data) => new Uint8Array(sign(null, data, signer(seed))),

  verify(key, data, signature) {
    if (key.length !== KEY_LENGTH || signature.length !== SIGNATURE_LENGTH) return false;
    try {
      return verify(null, data, verifier(key), signature);
    } catch {
      return false;
    }
  },

  publicKey: (seed) => rawPublicKey(signer(seed)),
  peerId: peerIdOfKey,
  publicKeyOf: keyOfPeerId,
  agreementPublicKey: (secret) => rawPublicKey(privateKey(X25519_PRIVATE, secret)),

  agree(secret, raw) {
    const own = privateKey(X25519_PRIVATE, secret);
    if (raw.length !== KEY_LENGTH) return undefined;
    try {
      // OpenSSL refuses a shared secret of all zeros by throwing (RFC 7748 §6.1).
      return new Uint8Array(diffieHellman({ privateKey: own, publicKey: publicKey(X25519_PUBLIC, raw) }));
    } catch {
      return undefined;
    }
  },

  derive: (secret, salt, info, length) => new Uint8Array(hkdfSync('sha256', secret, salt, info, length)),
};
