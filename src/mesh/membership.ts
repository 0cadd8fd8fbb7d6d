import type { MeshId, PeerId } from '../core/ids.ts';
import type { Door, Refusal } from '../ports/transport.ts';

/** Who belongs to the mesh: certificates down from the root key, tombstones, and the epoch secret that opens links. */
export interface Membership {
  readonly self: PeerId;
  readonly mesh: MeshId;
  /** The peer that made the mesh. */
  readonly creator: PeerId;
  /** Admitted and not removed; this peer included. Sorted. */
  members(): readonly PeerId[];
  isMember(peer: PeerId): boolean;
  isRemoved(peer: PeerId): boolean;
  /** The peer that witnesses `peer`'s donations: who gave it its first grant; for the creator its first joiner, undefined until then. */
  heirOf(peer: PeerId): PeerId | undefined;
  /** What a hello carries to prove membership: plain data. */
  credentials(): unknown;
  /** Checks the other side's credentials (unchecked input) for the key that the handshake proved. A success is remembered. */
  admit(remote: PeerId, credentials: unknown): Verdict;
  /** The door to dial members by; `accepts` answers the Doorkeeper for epoch doors (current and previous epoch). */
  door(): Door;
  accepts(
    doorName: string,
  ):
    | { readonly admit: true; readonly secret: Uint8Array }
    | { readonly admit: false; readonly reason: Refusal };
  /** Called after each change of membership or epoch. Returns the way to stop. */
  watch(handler: () => void): () => void;
}

export type Verdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: Refusal | 'bad-certificate'; readonly message: string };
