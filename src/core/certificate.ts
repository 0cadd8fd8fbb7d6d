import { frame, toHex, u32, u64 } from './bytes.ts';
import type { Crypto } from './crypto.ts';
import type { MeshId, PeerId } from './ids.ts';

/**
 * Membership on paper. The mesh's root key signs the genesis and the creator's certificate; every member signs those of the peers that
 * join through it. A chain leads from a peer up to the root key, whose SHA-256 is the mesh's id: so a chain needs nothing else to be
 * checked. Nothing here expires, because no clock takes part in a decision about membership.
 */
export interface Certificate {
  readonly mesh: MeshId;
  /** Who is admitted. */
  readonly peer: PeerId;
  /** Who signed; the root key has the peer id of any Ed25519 key. */
  readonly issuer: PeerId;
  /** Who witnesses the peer's donations and may remove it; undefined for the creator only, whose heir is its first joiner. */
  readonly heir: PeerId | undefined;
  /** Counts the issuer's certificates. */
  readonly serial: number;
  readonly signature: Uint8Array;
}

/** What the root key says about the mesh, once. */
export interface Genesis {
  readonly mesh: MeshId;
  readonly creator: PeerId;
  /** First and last address of the mesh's range, as unsigned 32-bit numbers. */
  readonly range: { readonly start: number; readonly last: number };
  readonly root: Uint8Array;
  /** Made without encryption: every link of the mesh is trusted. */
  readonly plain: boolean;
  readonly signature: Uint8Array;
}

/**
 * Says that `peer` was removed. Signed by its heir or by the root key. Of the certificates that the peer issued only those stay valid that
 * `adopter` has in its own records: it copies there what it knows of them together with the tombstone.
 */
export interface Tombstone {
  readonly mesh: MeshId;
  readonly peer: PeerId;
  readonly issuer: PeerId;
  readonly adopter: PeerId;
  readonly signature: Uint8Array;
}

/** Certificates between a peer and the root key, its own first. */
export type Chain = readonly Certificate[];

export const MAX_CHAIN = 16;

export type CertificateProblem =
  | 'malformed'
  | 'wrong-mesh'
  | 'wrong-peer'
  | 'broken-chain'
  | 'too-long'
  | 'wrong-root'
  | 'bad-signature';

export type Checked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: CertificateProblem; readonly message: string };

export function meshIdOf(root: Uint8Array, crypto: Crypto): MeshId {
  return toHex(crypto.hash(root)) as MeshId;
}

export function signCertificate(
  body: Omit<Certificate, 'signature'>,
  seed: Uint8Array,
  crypto: Crypto,
): Certificate {
  return { ...body, signature: crypto.sign(seed, certificateBytes(body)) };
}

export function signGenesis(body: Omit<Genesis, 'signature'>, seed: Uint8Array, crypto: Crypto): Genesis {
  return { ...body, signature: crypto.sign(seed, genesisBytes(body)) };
}

export function signTombstone(
  body: Omit<Tombstone, 'signature'>,
  seed: Uint8Array,
  crypto: Crypto,
): Tombstone {
  return { ...body, signature: crypto.sign(seed, tombstoneBytes(body)) };
}

/** Shape, mesh and signature; not whether the issuer may issue. `data` is unchecked input. */
export function checkCertificate(data: unknown, mesh: MeshId, crypto: Crypto): Checked<Certificate> {
  if (!isCertificate(data, crypto)) return refuse('malformed', 'not a certificate');
  if (data.mesh !== mesh) return refuse('wrong-mesh', 'a certificate of another mesh');
  const key = crypto.publicKeyOf(data.issuer) as Uint8Array;
  if (!data.heir && meshIdOf(key, crypto) !== mesh)
    return refuse('malformed', 'a certificate without an heir');
  if (!crypto.verify(key, certificateBytes(data), data.signature)) {
    return refuse('bad-signature', `the certificate of ${data.peer} was not signed by ${data.issuer}`);
  }
  const { mesh: own, peer, issuer, heir, serial, signature } = data;
  return { ok: true, value: { mesh: own, peer, issuer, heir: heir ?? undefined, serial, signature } };
}

/** That `data` (unchecked input) is a chain from `peer` to the root key of `mesh`. The chain's length is checked before its signatures. */
export function checkChain(data: unknown, peer: PeerId, mesh: MeshId, crypto: Crypto): Checked<Chain> {
  if (!Array.isArray(data) || data.length === 0) return refuse('malformed', 'not a chain of certificates');
  if (data.length > MAX_CHAIN) return refuse('too-long', `more than ${MAX_CHAIN} certificates in the chain`);
  const chain: Certificate[] = [];
  let expected = peer;
  for (const item of data) {
    const checked = checkCertificate(item, mesh, crypto);
    if (!checked.ok) return checked;
    if (checked.value.peer !== expected) {
      if (chain.length === 0)
        return refuse('wrong-peer', `a certificate of ${checked.value.peer}, not of ${peer}`);
      return refuse('broken-chain', `${expected} is not the peer of the next certificate in the chain`);
    }
    chain.push(checked.value);
    expected = checked.value.issuer;
  }
  const root = crypto.publicKeyOf(expected) as Uint8Array;
  if (meshIdOf(root, crypto) !== mesh)
    return refuse('wrong-root', 'the chain does not end at the key of the mesh');
  return { ok: true, value: chain };
}

/** That `data` (unchecked input) was signed by the root key of `mesh`. */
export function checkGenesis(data: unknown, mesh: MeshId, crypto: Crypto): Checked<Genesis> {
  if (!isGenesis(data, crypto)) return refuse('malformed', 'not the founding record of a mesh');
  if (data.mesh !== mesh) return refuse('wrong-mesh', 'the founding record of another mesh');
  if (meshIdOf(data.root, crypto) !== mesh)
    return refuse('wrong-root', 'the root key is not the one of the mesh');
  if (!crypto.verify(data.root, genesisBytes(data), data.signature)) {
    return refuse('bad-signature', 'the founding record was not signed by the root key');
  }
  const { mesh: own, creator, range, root, plain, signature } = data;
  const block = { start: range.start, last: range.last };
  return { ok: true, value: { mesh: own, creator, range: block, root, plain: plain === true, signature } };
}

/** Shape, mesh and signature; whether the signer may remove the peer is for the caller, who knows the peer's heir. */
export function checkTombstone(data: unknown, mesh: MeshId, crypto: Crypto): Checked<Tombstone> {
  if (!isTombstone(data, crypto)) return refuse('malformed', 'not a tombstone');
  if (data.mesh !== mesh) return refuse('wrong-mesh', 'a tombstone of another mesh');
  const key = crypto.publicKeyOf(data.issuer) as Uint8Array;
  if (!crypto.verify(key, tombstoneBytes(data), data.signature)) {
    return refuse('bad-signature', `the tombstone of ${data.peer} was not signed by ${data.issuer}`);
  }
  const { mesh: own, peer, issuer, adopter, signature } = data;
  return { ok: true, value: { mesh: own, peer, issuer, adopter, signature } };
}

function refuse(problem: CertificateProblem, message: string) {
  return { ok: false, problem, message } as const;
}

function certificateBytes(body: Omit<Certificate, 'signature'>): Uint8Array {
  return frame('weft certificate 1', body.mesh, body.peer, body.issuer, body.heir ?? '', u64(body.serial));
}

/** Nobody can take an encrypted mesh for a plain one, or the other way round: the label is signed. */
function genesisBytes(body: Omit<Genesis, 'signature'>): Uint8Array {
  const { start, last } = body.range;
  const label = body.plain ? 'weft genesis 1 plain' : 'weft genesis 1';
  return frame(label, body.mesh, body.creator, u32(start), u32(last), body.root);
}

function tombstoneBytes(body: Omit<Tombstone, 'signature'>): Uint8Array {
  return frame('weft tombstone 1', body.mesh, body.peer, body.issuer, body.adopter);
}

/** Undefined properties may have become null or been left out on the way. */
function isCertificate(data: unknown, crypto: Crypto): data is Certificate {
  if (!isFields(data)) return false;
  const { mesh, peer, issuer, heir, serial, signature } = data;
  return (
    isMeshId(mesh) &&
    isPeerId(peer, crypto) &&
    isPeerId(issuer, crypto) &&
    (heir === undefined || heir === null || isPeerId(heir, crypto)) &&
    Number.isSafeInteger(serial) &&
    (serial as number) >= 0 &&
    isBytes(signature, 64)
  );
}

function isGenesis(data: unknown, crypto: Crypto): data is Genesis {
  if (!isFields(data) || !isFields(data.range)) return false;
  const { mesh, creator, range, root, plain, signature } = data;
  return (
    isMeshId(mesh) &&
    // Those of earlier releases have none.
    (plain === undefined || typeof plain === 'boolean') &&
    isPeerId(creator, crypto) &&
    isU32(range.start) &&
    isU32(range.last) &&
    range.start <= range.last &&
    isBytes(root, 32) &&
    isBytes(signature, 64)
  );
}

function isTombstone(data: unknown, crypto: Crypto): data is Tombstone {
  if (!isFields(data)) return false;
  const { mesh, peer, issuer, adopter, signature } = data;
  return (
    isMeshId(mesh) &&
    isPeerId(peer, crypto) &&
    isPeerId(issuer, crypto) &&
    isPeerId(adopter, crypto) &&
    isBytes(signature, 64)
  );
}

function isFields(data: unknown): data is Record<string, unknown> {
  return typeof data === 'object' && data !== null && !Array.isArray(data);
}

function isMeshId(data: unknown): data is MeshId {
  return typeof data === 'string' && /^[0-9a-f]{64}$/.test(data);
}

function isPeerId(data: unknown, crypto: Crypto): data is PeerId {
  return typeof data === 'string' && crypto.publicKeyOf(data) !== undefined;
}

function isBytes(data: unknown, length: number): data is Uint8Array {
  return data instanceof Uint8Array && data.length === length;
}

function isU32(data: unknown): data is number {
  return Number.isInteger(data) && (data as number) >= 0 && (data as number) <= 0xffff_ffff;
}
