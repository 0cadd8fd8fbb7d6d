import type { PeerId } from './ids.ts';

/**
 * The primitives that the core and the mesh are handed. All are pure functions of their arguments.
 * The real ones are in host/crypto.ts (OpenSSL inside Node); the simulator has cheap ones in ports/memory/crypto.ts.
 */
export interface Crypto {
  /** SHA-256, 32 bytes. */
  hash(data: Uint8Array): Uint8Array;
  /** Ed25519 (RFC 8032). `seed` is the 32-byte private seed; the signature has 64 bytes. */
  sign(seed: Uint8Array, data: Uint8Array): Uint8Array;
  /** False for any malformed key or signature; never throws. */
  verify(publicKey: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean;
  /** The 32-byte Ed25519 public key of a seed. */
  publicKey(seed: Uint8Array): Uint8Array;
  /** The libp2p peer id of an Ed25519 public key. */
  peerId(publicKey: Uint8Array): PeerId;
  /** The Ed25519 public key inside a peer id; undefined when the text is not such an id. */
  publicKeyOf(peer: string): Uint8Array | undefined;
  /** X25519 (RFC 7748): public key of a 32-byte private scalar. */
  agreementPublicKey(secret: Uint8Array): Uint8Array;
  /** X25519 shared secret, 32 bytes; undefined when the result is all zero (a low-order public key). */
  agree(secret: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined;
  /** HKDF-SHA256 (RFC 5869). */
  derive(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array;
}

/** A peer's own key: the seed never leaves the process but for the state file. */
export interface Identity {
  readonly peer: PeerId;
  readonly seed: Uint8Array;
  readonly publicKey: Uint8Array;
}
