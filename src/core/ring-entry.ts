import { formatIpv4, type Range } from './address.ts';
import type { Crypto, Identity } from './crypto.ts';
import { DEFAULT_NETWORK, type MeshId, type NetworkId, type PeerId } from './ids.ts';

/**
 * One change of ownership, written by the peer that owned the addresses before. The first one, the genesis entry, gives the whole
 * range to the creator; a takeover gives what a removed peer owned to its successor, which writes it. An entry is never altered: what
 * supersedes it is a later entry of the new owner.
 */
export interface RingEntry extends Range {
  readonly network: NetworkId;
  /** Who owns the addresses from this entry on. */
  readonly owner: PeerId;
  /** Raised by a takeover of a removed peer's addresses; 0 at first. */
  readonly epoch: number;
  /** One more than the version that the donor owned; 0 for genesis and takeovers, which their owner writes. */
  readonly version: number;
  /** Who owned them before, and wrote this unless it is a takeover; the creator for genesis. */
  readonly donor: PeerId;
  /** Ed25519 by the writer over `entryBytes`, so that an entry can be believed before the writer's record arrives. */
  readonly donorSignature: Uint8Array;
  /** The donor's heir, which has stored the entry. Absent when the owner does not change. */
  readonly witness?: PeerId;
  /** Ed25519 by the witness over `witnessBytes`. Absent when the new owner is the witness: it stores what it uses. */
  readonly witnessSignature?: Uint8Array;
}

/** An entry before anybody has signed it. */
export type RingChange = Omit<RingEntry, 'donorSignature' | 'witness' | 'witnessSignature'>;

const MAX_NUMBER = 0xffff_ffff;
/** Each takeover adds the number of a place in a line (core/succession.ts), which by a named heir is some 2^24. */
const MAX_EPOCH = 2 ** 48;
const SIGNATURE_BYTES = 64;
const PEER = /^[A-Za-z0-9._-]{1,64}$/;
const NETWORK = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const text = new TextEncoder();

/**
 * The record's key below `ring/`. It holds epoch and version too: an owner that gives the same range away a second time must not erase
 * its first entry, because the entries in between can only be checked against it.
 */
export function ringKey(entry: RingChange): string {
  return `ring/${entry.start}-${entry.last}/${entry.epoch}-${entry.version}`;
}

export function genesisChange(range: Range, creator: PeerId): RingChange {
  const { start, last } = range;
  return { start, last, network: DEFAULT_NETWORK, owner: creator, epoch: 0, version: 0, donor: creator };
}

/** Whether a successor takes what the removed `donor` owned. */
export function isTakeover({ epoch, version }: Pick<RingChange, 'epoch' | 'version'>): boolean {
  return version === 0 && epoch > 0;
}

/** Whose signature an entry has to carry. */
export function writerOf(change: RingChange): PeerId {
  return change.version === 0 ? change.owner : change.donor;
}

/** One text for each change: equal exactly when the changes are equal. */
export function changeText(change: RingChange): string {
  const { start, last, network, owner, epoch, version, donor } = change;
  return `${start}-${last} ${network} ${owner} ${epoch}.${version} ${donor}`;
}

export function sameChange(a: RingChange, b: RingChange): boolean {
  return (
    a === b ||
    (a.start === b.start &&
      a.last === b.last &&
      a.network === b.network &&
      a.owner === b.owner &&
      a.epoch === b.epoch &&
      a.version === b.version &&
      a.donor === b.donor)
  );
}

/** By epoch, then version. */
export function compareAge(
  a: Pick<RingChange, 'epoch' | 'version'>,
  b: Pick<RingChange, 'epoch' | 'version'>,
): number {
  return a.epoch - b.epoch || a.version - b.version;
}

/** What the donor signs. The mesh is part of it: the same keys could be members of two. */
export function entryBytes(mesh: MeshId, change: RingChange): Uint8Array {
  return text.encode(`weft ring entry 1\n${mesh}\n${changeText(change)}`);
}

/** What the witness signs. */
export function witnessBytes(mesh: MeshId, change: RingChange, witness: PeerId): Uint8Array {
  return text.encode(`weft ring witness 1\n${mesh}\n${changeText(change)}\n${witness}`);
}

export function signChange(crypto: Crypto, identity: Identity, mesh: MeshId, change: RingChange): RingEntry {
  return { ...change, donorSignature: crypto.sign(identity.seed, entryBytes(mesh, change)) };
}

export function isDonorsWord(crypto: Crypto, mesh: MeshId, entry: RingEntry): boolean {
  return isSignedBy(crypto, writerOf(entry), entryBytes(mesh, entry), entry.donorSignature);
}

export function isSignedBy(crypto: Crypto, peer: PeerId, bytes: Uint8Array, signature: Uint8Array): boolean {
  const key = crypto.publicKeyOf(peer);
  return key !== undefined && crypto.verify(key, bytes, signature);
}

export type Decoded<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly message: string };

/** Checks unchecked data field by field; fields that it does not know are dropped. */
export function decodeEntry(data: unknown): Decoded<RingEntry> {
  if (typeof data !== 'object' || data === null)
    return { ok: false, message: 'a ring entry is not an object' };
  const raw = data as { readonly [K in keyof RingEntry]?: unknown };
  const { start, last, network, owner, epoch, version, donor, donorSignature, witness, witnessSignature } =
    raw;
  if (!isNumber(start) || !isNumber(last) || start > last) return wrong('start and last');
  if (!isNumber(epoch, MAX_EPOCH) || !isNumber(version)) return wrong('epoch and version');
  if (!isNetworkId(network)) return wrong('network');
  if (!isPeerText(owner) || !isPeerText(donor)) return wrong('owner and donor');
  if (!isSignature(donorSignature)) return wrong('donorSignature');
  const change = { start, last, network, owner, epoch, version, donor, donorSignature };
  if (witness === undefined && witnessSignature === undefined) return { ok: true, value: change };
  if (!isPeerText(witness)) return wrong('witness');
  if (witnessSignature === undefined) return { ok: true, value: { ...change, witness } };
  if (!isSignature(witnessSignature)) return wrong('witnessSignature');
  return { ok: true, value: { ...change, witness, witnessSignature } };
}

function wrong(field: string): { readonly ok: false; readonly message: string } {
  return { ok: false, message: `a ring entry has a malformed ${field}` };
}

function isNumber(data: unknown, most = MAX_NUMBER): data is number {
  return Number.isInteger(data) && (data as number) >= 0 && (data as number) <= most;
}

export function isNetworkId(data: unknown): data is NetworkId {
  return typeof data === 'string' && NETWORK.test(data);
}

export function isPeerText(data: unknown): data is PeerId {
  return typeof data === 'string' && PEER.test(data);
}

function isSignature(data: unknown): data is Uint8Array {
  return data instanceof Uint8Array && data.length === SIGNATURE_BYTES;
}

/** For messages: `10.32.0.0-10.39.255.255`, or one address. */
export function formatRange(range: Range): string {
  const start = formatIpv4(range.start);
  return range.start === range.last ? start : `${start}-${formatIpv4(range.last)}`;
}
