import {
  type Chain,
  checkChain,
  checkGenesis,
  checkTombstone,
  type Genesis,
  meshIdOf,
  signCertificate,
  signGenesis,
  type Tombstone,
} from '../core/certificate.ts';
import type { Crypto, Identity } from '../core/crypto.ts';
import type { MeshId, PeerId } from '../core/ids.ts';
import { isPeerText } from '../core/ring-entry.ts';
import type { Random } from '../ports/random.ts';
import { MAX_EPOCHS, MAX_EXCLUDED } from './epochs.ts';
import type { Keeper, Section } from './keeper.ts';

/** What a host keeps about its membership. Null: it is in no mesh. */
export interface MembershipState {
  /** `joining`: all is stored, but the issuer has not confirmed that it knows; only joining again with a token goes on from here. */
  readonly phase: 'joining' | 'member';
  readonly genesis: Genesis;
  /** This peer's own. */
  readonly chain: Chain;
  /** Newest first, at most MAX_EPOCHS: links are accepted under each. */
  readonly epochs: readonly Epoch[];
  /** Serial of the last certificate that this peer issued. */
  readonly serial: number;
  /** Private seed of the root key; the creator has it. */
  readonly rootSeed: Uint8Array | null;
  /** What came with the join and is to be handed to its owners. */
  readonly arrival: Arrival | null;
  /** What shows that this peer was removed; empty while it was not. */
  readonly removal: readonly Tombstone[];
}

export interface Epoch {
  readonly number: number;
  /** 32 bytes. */
  readonly secret: Uint8Array;
  /** Null for the one with which the mesh was made. */
  readonly rotation: {
    /** Who made it, having removed somebody. */
    readonly author: PeerId;
    /** All that were removed then, sorted. */
    readonly excluded: readonly PeerId[];
    /** Ed25519 by the author. */
    readonly signature: Uint8Array;
  } | null;
}

export interface Arrival {
  /** Who gave this peer its first addresses. */
  readonly donor: PeerId;
  /** The ring entries of the grant, as the donor's Space wrote them. */
  readonly grant: unknown;
  /** The issuer's records, as its snapshot wrote them; null when they were too many for one message. */
  readonly snapshot: unknown;
  /** Members to dial: `host:port` lists by peer. */
  readonly members: readonly MemberAddresses[];
}

export interface MemberAddresses {
  readonly peer: PeerId;
  readonly control: readonly string[];
}

export type MembershipStateSection = Section<MembershipState | null>;

export class MembershipError extends Error {
  readonly code:
    | 'no-mesh'
    | 'other-mesh'
    | 'too-deep'
    | 'not-heir'
    | 'unknown-peer'
    /** This host was removed itself. */
    | 'removed'
    /** The key is not the one of this mesh. */
    | 'wrong-root';
  constructor(code: MembershipError['code'], message: string) {
    super(message);
    this.name = 'MembershipError';
    this.code = code;
  }
}

export function openMembershipState(
  keeper: Keeper,
  { crypto, identity }: { crypto: Crypto; identity: Identity },
): MembershipStateSection {
  const check = (data: unknown) => (data === null ? null : checkState(data, identity.peer, crypto));
  return keeper.section<MembershipState | null>('membership', check, null);
}

/** Of the mesh that this host is a member of; throws TypeError when it is in none. */
export function genesisOf(state: MembershipStateSection): Genesis {
  const value = state.get();
  if (value?.phase !== 'member') throw new TypeError('the state holds no mesh to start');
  return value.genesis;
}

/** Makes a mesh with this peer as its creator. On disk when it resolves; rejects with MembershipError when there is a mesh already. */
export async function foundMesh(parts: {
  readonly crypto: Crypto;
  readonly random: Random;
  readonly identity: Identity;
  readonly state: MembershipStateSection;
  /** First and last address, as unsigned 32-bit numbers. */
  readonly range: { readonly start: number; readonly last: number };
  /** Without encryption between hosts, wherever the kernel's own path works. Default false. */
  readonly plain?: boolean;
}): Promise<MeshId> {
  const { crypto, random, identity, state, range, plain = false } = parts;
  const before = state.get();
  if (before?.phase === 'member')
    throw new MembershipError('other-mesh', 'this host is a member of a mesh already');
  const rootSeed = random.bytes(32);
  const root = crypto.publicKey(rootSeed);
  const mesh = meshIdOf(root, crypto);
  const creator = identity.peer;
  const own = { mesh, peer: creator, issuer: crypto.peerId(root), heir: undefined, serial: 0 };
  await state.set({
    phase: 'member',
    genesis: signGenesis({ mesh, creator, range, root, plain }, rootSeed, crypto),
    chain: [signCertificate(own, rootSeed, crypto)],
    epochs: [{ number: 1, secret: random.bytes(32), rotation: null }],
    serial: 0,
    rootSeed,
    arrival: null,
    removal: [],
  });
  return mesh;
}

/** Unchecked input → epochs, newest first; undefined when malformed. */
export function readEpochs(data: unknown): readonly Epoch[] | undefined {
  if (!Array.isArray(data) || data.length < 1 || data.length > MAX_EPOCHS) return undefined;
  const epochs = data.map(readEpoch).filter((epoch) => epoch !== undefined);
  const sorted = epochs.every((epoch, at) => at === 0 || epoch.number <= (epochs[at - 1] as Epoch).number);
  return sorted && epochs.length === data.length ? epochs : undefined;
}

/** Its shape only. */
export function readEpoch(data: unknown): Epoch | undefined {
  if (!isFields(data) || !Number.isSafeInteger(data.number) || (data.number as number) < 1) return undefined;
  if (!(data.secret instanceof Uint8Array) || data.secret.length !== 32) return undefined;
  const epoch = { number: data.number as number, secret: data.secret };
  if (data.rotation === null || data.rotation === undefined) return { ...epoch, rotation: null };
  if (!isFields(data.rotation)) return undefined;
  const { author, excluded, signature } = data.rotation;
  if (!isPeerText(author) || !(signature instanceof Uint8Array) || signature.length !== 64) return undefined;
  if (!Array.isArray(excluded) || excluded.length > MAX_EXCLUDED || !excluded.every(isPeerText))
    return undefined;
  // Each once: the number of an epoch is bounded by how many it keeps out.
  if (excluded.some((peer, at) => at > 0 && peer <= (excluded[at - 1] as string))) return undefined;
  return { ...epoch, rotation: { author, excluded, signature } };
}

/** Unchecked input → addresses of members; undefined when malformed or more than `MAX_MEMBER_ADDRESSES`. */
export function readMembers(data: unknown, crypto: Crypto): readonly MemberAddresses[] | undefined {
  if (!Array.isArray(data) || data.length > MAX_MEMBER_ADDRESSES) return undefined;
  const members: MemberAddresses[] = [];
  for (const item of data) {
    if (!isFields(item) || typeof item.peer !== 'string' || !crypto.publicKeyOf(item.peer)) return undefined;
    const control = readAddresses(item.control);
    if (control === undefined) return undefined;
    members.push({ peer: item.peer as PeerId, control });
  }
  return members;
}

/** Unchecked input → at most 16 texts of at most 255 characters; undefined when malformed. */
export function readAddresses(data: unknown): readonly string[] | undefined {
  if (!Array.isArray(data) || data.length > 16) return undefined;
  return data.every((item) => typeof item === 'string' && item.length <= 255)
    ? (data as string[])
    : undefined;
}

export const MAX_MEMBER_ADDRESSES = 64;

export function isFields(data: unknown): data is Record<string, unknown> {
  return typeof data === 'object' && data !== null && !Array.isArray(data) && !(data instanceof Uint8Array);
}

function checkState(data: unknown, self: PeerId, crypto: Crypto): MembershipState {
  if (!isFields(data) || !isFields(data.genesis)) throw new TypeError('genesis is missing');
  const genesis = checkGenesis(data.genesis, data.genesis.mesh as MeshId, crypto);
  if (!genesis.ok) throw new TypeError(`genesis: ${genesis.message}`);
  const chain = checkChain(data.chain, self, genesis.value.mesh, crypto);
  if (!chain.ok) throw new TypeError(`chain: ${chain.message}`);
  const epochs = readEpochs(data.epochs);
  if (epochs === undefined) throw new TypeError('epochs are malformed');
  const { phase, serial, rootSeed } = data;
  if (phase !== 'joining' && phase !== 'member') throw new TypeError('phase is neither joining nor member');
  if (!Number.isSafeInteger(serial) || (serial as number) < 0) throw new TypeError('serial is not a count');
  if (rootSeed !== null && !(rootSeed instanceof Uint8Array && rootSeed.length === 32)) {
    throw new TypeError('rootSeed is not a key');
  }
  return {
    phase,
    genesis: genesis.value,
    chain: chain.value,
    epochs,
    serial: serial as number,
    rootSeed,
    arrival: data.arrival === null ? null : checkArrival(data.arrival, crypto),
    removal: readTombstones(data.removal ?? [], genesis.value.mesh, crypto) ?? fail('removal is malformed'),
  };
}

function fail(message: string): never {
  throw new TypeError(message);
}

/** More than any line of heirs that were removed one after the other needs. */
const MAX_TOMBSTONES = 64;

/** Unchecked input → tombstones with good signatures; undefined when malformed. */
export function readTombstones(
  data: unknown,
  mesh: MeshId,
  crypto: Crypto,
): readonly Tombstone[] | undefined {
  if (!Array.isArray(data) || data.length > MAX_TOMBSTONES) return undefined;
  const checked = data.map((item) => checkTombstone(item, mesh, crypto));
  const good = checked.flatMap((one) => (one.ok ? [one.value] : []));
  return good.length === data.length ? good : undefined;
}

function checkArrival(data: unknown, crypto: Crypto): Arrival {
  if (!isFields(data)) throw new TypeError('arrival is malformed');
  const members = readMembers(data.members, crypto);
  if (typeof data.donor !== 'string' || members === undefined) throw new TypeError('arrival is malformed');
  return { donor: data.donor as PeerId, grant: data.grant, snapshot: data.snapshot, members };
}
