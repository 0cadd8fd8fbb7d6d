import { createHash, hkdfSync, hash as nodeHash } from 'node:crypto';
import type { Crypto } from '../../core/crypto.ts';
import { keyOfPeerId, peerIdOfKey } from '../../core/peer-id.ts';

const LENGTH = 32;
/** 2^255 - 19: any large prime would do. */
const PRIME = 2n ** 255n - 19n;
const BASE = 9n;

/**
 * Stand-ins that cost a microsecond, for simulations: one instance is shared by all simulated peers.
 * A signature is a keyed hash, checked by looking up the seed of the public key; so inside one simulation only who holds a seed can
 * sign, exactly as with the real one. Agreement is multiplication: commutative like X25519, and no secret to who divides.
 */
export function createMemoryCrypto(): Crypto {
  /** Seeds by public key (latin1). */
  const seeds = new Map<string, Uint8Array>();

  function publicKey(seed: Uint8Array): Uint8Array {
    if (seed.length !== LENGTH) throw new RangeError(`a private key has ${LENGTH} bytes, not ${seed.length}`);
    const key = tagged('sha256', 'public', seed);
    const name = latin1(key);
    if (!seeds.has(name)) seeds.set(name, seed.slice());
    return key;
  }

  function sign(seed: Uint8Array, data: Uint8Array): Uint8Array {
    publicKey(seed);
    return tagged('sha512', 'sign', seed, data);
  }

  return {
    hash: (data) => new Uint8Array(nodeHash('sha256', data, 'buffer')),
    sign,
    verify(key, data, signature) {
      const seed = seeds.get(latin1(key));
      if (seed === undefined || signature.length !== 64) return false;
      return Buffer.compare(tagged('sha512', 'sign', seed, data), signature) === 0;
    },
    publicKey,
    peerId: peerIdOfKey,
    publicKeyOf: keyOfPeerId,
    agreementPublicKey: (secret) => toBytes((toScalar(secret) * BASE) % PRIME),
    agree(secret, key) {
      const scalar = toScalar(secret);
      const point = key.length === LENGTH ? toNumber(key) % PRIME : 0n;
      return point === 0n ? undefined : toBytes((scalar * point) % PRIME);
    },
    derive: (secret, salt, info, length) => new Uint8Array(hkdfSync('sha256', secret, salt, info, length)),
  };
}

function tagged(algorithm: string, tag: string, ...parts: Uint8Array[]): Uint8Array {
  const state = createHash(algorithm).update(tag);
  for (const part of parts) state.update(part);
  return new Uint8Array(state.digest());
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

function toScalar(secret: Uint8Array): bigint {
  if (secret.length !== LENGTH)
    throw new RangeError(`a private key has ${LENGTH} bytes, not ${secret.length}`);
  return (toNumber(secret) % (PRIME - 1n)) + 1n;
}

function toNumber(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}

function toBytes(value: bigint): Uint8Array {
  return new Uint8Array(Buffer.from(value.toString(16).padStart(2 * LENGTH, '0'), 'hex'));
}
