import { DEFAULT_NETWORK, type NetworkId, type PeerId } from '../../core/ids.ts';
import { decodeEntry, isNetworkId, isPeerText, type RingEntry } from '../../core/ring-entry.ts';

/** The messages between spaces. All readers take unchecked input and answer undefined for what is malformed. */

/** Asks a peer for addresses. Answer: SpaceReply. */
export const REQUEST = 'space/request';
/** Asks the donor's heir whether it is there (no entry), or to promise a donation. Answer: WitnessReply. */
export const WITNESS = 'space/witness';

export interface SpaceRequest {
  /** Who is to own the addresses; need not be a member yet. */
  readonly for: PeerId;
  /** One address by number, or absent: a block. */
  readonly wanted?: number;
  /** Absent: `weft`. */
  readonly network?: NetworkId;
  /** How many addresses `for` knows that it owns: a donor that knows of more repeats its answer instead of giving again. */
  readonly owned: number;
  /** Milliseconds that the asker waits. */
  readonly wait: number;
}

export type SpaceReply =
  | { readonly granted: readonly RingEntry[] }
  /** `none`: nothing free. `pending`: the donation waits for the witness. */
  | { readonly refused: 'none' | 'in-use' | 'not-owner' | 'other-network' | 'pending' | 'no-witness' };

export type Granted = Extract<SpaceReply, { readonly granted: unknown }>;
export type RefusedReply = Extract<SpaceReply, { readonly refused: unknown }>;

export type WitnessReply =
  | { readonly signature: Uint8Array }
  | { readonly ready: true }
  | { readonly refused: 'behind' | 'conflict' | 'not-heir' | 'malformed' };

/** More entries than this are in no reply. */
export const MAX_ENTRIES = 64;
const MAX_WAIT = 60_000;
const REFUSALS = ['none', 'in-use', 'not-owner', 'other-network', 'pending', 'no-witness'] as const;
const WITNESS_REFUSALS = ['behind', 'conflict', 'not-heir', 'malformed'] as const;

export function readRequest(data: unknown): SpaceRequest | undefined {
  const { for: to, wanted, owned, wait, network = DEFAULT_NETWORK } = fields(data);
  if (!isPeerText(to) || !isCount(owned) || !isCount(wait) || !isNetworkId(network)) return undefined;
  const request = { for: to, owned, wait: Math.min(wait, MAX_WAIT), network };
  if (wanted === undefined || wanted === null) return request;
  return isCount(wanted) ? { ...request, wanted } : undefined;
}

export function readReply(data: unknown): SpaceReply | undefined {
  const { granted, refused } = fields(data);
  const refusal = REFUSALS.find((code) => code === refused);
  if (refusal !== undefined) return { refused: refusal };
  const entries = readEntries(granted);
  return entries && { granted: entries };
}

export function readWitnessReply(data: unknown): WitnessReply | undefined {
  const { signature, ready, refused } = fields(data);
  if (signature instanceof Uint8Array && signature.length === 64) return { signature };
  if (ready === true) return { ready };
  const refusal = WITNESS_REFUSALS.find((code) => code === refused);
  return refusal && { refused: refusal };
}

export function readEntries(data: unknown): readonly RingEntry[] | undefined {
  if (!Array.isArray(data) || data.length === 0 || data.length > MAX_ENTRIES) return undefined;
  const entries: RingEntry[] = [];
  for (const item of data) {
    const decoded = decodeEntry(item);
    if (!decoded.ok) return undefined;
    entries.push(decoded.value);
  }
  return entries;
}

function fields(data: unknown): Record<string, unknown> {
  return typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : {};
}

function isCount(data: unknown): data is number {
  return Number.isInteger(data) && (data as number) >= 0 && (data as number) <= 0xffff_ffff;
}
