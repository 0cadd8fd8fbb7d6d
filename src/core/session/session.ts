import type { Crypto, Identity } from '../crypto.ts';
import type { MeshId, PeerId } from '../ids.ts';
import type { DataKey } from './keys.ts';
import type { Suite } from './wire.ts';

/**
 * The keys of the data path between this peer and one other. Of the two the one with the smaller id makes offers, the other answers:
 *
 *   offerer → answerer   offer     ephemeral key, suites, index
 *   answerer → offerer   answer    the same, and the suite
 *   offerer → answerer   first packet under the new key: from now on the answerer uses it too
 *   answerer → offerer   first packet under the new key: it is confirmed on both sides
 *
 * The answerer asks for an offer when it needs one. Lost, repeated and late messages are harmless: an offer is sent again until it
 * is answered, and answered again with the same bytes; old ones are known by epoch and boot (lives.ts).
 * No I/O, clock or randomness of its own: events and times in, actions out.
 */
export interface Session {
  /** `now` in milliseconds; never throws, whatever arrived. */
  step(event: SessionEvent, now: number): readonly SessionAction[];
  /** When a `timer` event is due; undefined: never. */
  nextAt(): number | undefined;
  /** Receive indexes that are taken. */
  indexes(): readonly number[];
  status(): SessionStatus;
}

export type SessionEvent =
  /** There should be a key: the peer came up, or a packet for it found none. */
  | { readonly type: 'want' }
  /** The peer cannot be reached: keys stay, attempts end until it is wanted again. */
  | { readonly type: 'pause' }
  /** The data path has used the key up. */
  | { readonly type: 'rekey' }
  | { readonly type: 'message'; readonly bytes: Uint8Array }
  /** The first packet under a key has come. */
  | { readonly type: 'confirmed'; readonly receiveIndex: number }
  /** The boot id in the peer's record. */
  | { readonly type: 'announced'; readonly boot: string }
  | { readonly type: 'timer' };

export type SessionAction =
  | { readonly type: 'send'; readonly bytes: Uint8Array }
  /** All keys that are valid from now on. */
  | { readonly type: 'keys'; readonly keys: readonly DataKey[] }
  /** Packets under a new key go out, and none comes back: another endpoint may do. */
  | { readonly type: 'unanswered' };

export interface SessionStatus {
  readonly role: 'offers' | 'answers';
  /** `agreed`: there is a key, no packet has proven it yet. */
  readonly state: 'idle' | 'negotiating' | 'agreed' | 'established';
  /** Of the key in use, else of the one agreed. */
  readonly epoch: number | undefined;
  readonly suite: Suite | undefined;
  /** By `now`: when the first key with the peer's present life was proven. */
  readonly since: number | undefined;
  readonly lastError: string | undefined;
  /** Messages that were not what they should be. */
  readonly rejected: number;
}

export interface SessionParts {
  readonly crypto: Crypto;
  readonly identity: Identity;
  readonly mesh: MeshId;
  readonly peer: PeerId;
  /** This peer's present life: 16 hex characters. */
  readonly boot: string;
  readonly suites: readonly Suite[];
  readonly random: { bytes(length: number): Uint8Array; fraction(): number };
  /** A number from 1 to 2^32-1 that no other key on this host has. */
  readonly newIndex: () => number;
  /** Higher with each call in this peer's present life, also for a session that is made anew with the same peer. */
  readonly newEpoch: () => number;
  /** Inner packets that went to the peer or came from it, since any time before the session. May be some seconds old. */
  readonly traffic: () => bigint;
}
