import type { PeerId } from '../core/ids.ts';
import type { Keeper, Section } from './keeper.ts';
import { isFields } from './membership-state.ts';

/** A token as its issuer keeps it. */
export interface Invite {
  /** 32 hex characters. */
  readonly id: string;
  /** 32 bytes. */
  readonly secret: Uint8Array;
  readonly uses: number;
  /** Who used it; settled: has all that it came for. */
  readonly peers: readonly { readonly peer: PeerId; readonly settled: boolean }[];
  /** Milliseconds since 1970, for people. */
  readonly issued: number;
  /** Milliseconds of lifetime left after a restart. */
  readonly left: number;
}

export type InviteStateSection = Section<readonly Invite[]>;

export function openInviteState(keeper: Keeper): InviteStateSection {
  return keeper.section<readonly Invite[]>('invites', checkInvites, []);
}

function checkInvites(data: unknown): readonly Invite[] {
  if (!Array.isArray(data)) throw new TypeError('not a list of tokens');
  return data.map((item, at) => {
    const invite = readInvite(item);
    if (invite === undefined) throw new TypeError(`token ${at} is malformed`);
    return invite;
  });
}

function readInvite(data: unknown): Invite | undefined {
  if (!isFields(data) || !Array.isArray(data.peers)) return undefined;
  const { id, secret, uses, issued, left } = data;
  if (typeof id !== 'string' || !/^[0-9a-f]{32}$/.test(id)) return undefined;
  if (!(secret instanceof Uint8Array) || secret.length !== 32) return undefined;
  if (!isCount(uses) || !isCount(left) || typeof issued !== 'number') return undefined;
  const peers = data.peers.filter(isUser);
  return peers.length === data.peers.length ? { id, secret, uses, peers, issued, left } : undefined;
}

function isUser(data: unknown): data is Invite['peers'][number] {
  return isFields(data) && typeof data.peer === 'string' && typeof data.settled === 'boolean';
}

function isCount(data: unknown): data is number {
  return Number.isSafeInteger(data) && (data as number) >= 0;
}
