import type { Checked } from '../core/certificate.ts';
import type { Crypto } from '../core/crypto.ts';
import type { MeshId, PeerId } from '../core/ids.ts';
import { type Lineage, MAX_HANDED, successorOf } from '../core/succession.ts';
import { isFields } from './membership-state.ts';
import { KEY } from './records.ts';

/**
 * The records in which a peer says who its heir is: `heir` of the creator at first, `heir/<n>` of whoever has named others since; and which
 * roles as an heir a peer may hand over.
 */

/** So many does a peer name that lives longer than all others again and again. */
const MAX_NAMED = 1_000;

/** `nth`: 0 for the creator's first, from 1 on for those that were named since. */
export function heirKey(nth: number): string {
  return nth === 0 ? KEY.heir : `${KEY.heir}/${nth}`;
}

/** What `heirKey` was made of; undefined for any other key. */
export function readHeirKey(key: string): number | undefined {
  if (key === KEY.heir) return 0;
  const nth = Number(/^heir\/([1-9][0-9]{0,3})$/.exec(key)?.[1]);
  return nth <= MAX_NAMED ? nth : undefined;
}

/** Unchecked input → the heir. */
export function checkHeir(value: unknown, _mesh: MeshId, crypto: Crypto): Checked<PeerId> {
  const heir = isFields(value) ? value.peer : undefined;
  if (typeof heir === 'string' && crypto.publicKeyOf(heir) !== undefined)
    return { ok: true, value: heir as PeerId };
  return { ok: false, problem: 'malformed', message: 'not the record of an heir' };
}

/** Why the heir of a member stays who it is. */
export const KEPT_REASONS = [
  /** It would be its own heir. */
  'itself',
  /** The other was its heir before. */
  'had-it',
  /** Its heir has changed as often as it may. */
  'too-often',
  /** It is the heir of the other, or of that one's heir: without the other nobody would be left for it, as there is now. */
  'circle',
  /** It was removed, which this peer has agreed to. */
  'removed',
] as const;

export interface Kept {
  readonly peer: PeerId;
  readonly why: (typeof KEPT_REASONS)[number];
}

/** What `self` may hand to `to` of its roles as the heir of `members`. Where it only stands in for a removed heir it has none. */
export function rolesOf(
  self: PeerId,
  to: PeerId,
  members: readonly PeerId[],
  lineage: Lineage,
  isBound: (peer: PeerId) => boolean,
): { readonly handed: readonly PeerId[]; readonly kept: readonly Kept[] } {
  const handed: PeerId[] = [];
  const kept: Kept[] = [];
  for (const peer of members) {
    if (peer === self || holderOf(peer, lineage) !== self) continue;
    const why = obstacle(peer, self, to, lineage, isBound);
    if (why === undefined) handed.push(peer);
    else kept.push({ peer, why });
  }
  return { handed, kept };
}

const holderOf = (peer: PeerId, lineage: Lineage) => lineage.handedFor(peer).at(-1) ?? lineage.heirOf(peer);

function obstacle(
  peer: PeerId,
  self: PeerId,
  to: PeerId,
  lineage: Lineage,
  isBound: (peer: PeerId) => boolean,
): Kept['why'] | undefined {
  const before = lineage.handedFor(peer);
  if (peer === to) return 'itself';
  if (isBound(peer)) return 'removed';
  if (to === lineage.heirOf(peer) || before.includes(to)) return 'had-it';
  if (before.length >= MAX_HANDED) return 'too-often';
  const handed: Lineage = {
    ...lineage,
    handedFor: (one) => (one === peer ? [...before, to] : lineage.handedFor(one)),
  };
  // The two at the head of all lines are heirs of each other in any case.
  return lasts(peer, self, lineage) && !lasts(peer, to, handed) ? 'circle' : undefined;
}

/** Whether somebody would be left to act for `peer` without `lost`. */
function lasts(peer: PeerId, lost: PeerId, lineage: Lineage): boolean {
  const isRemoved = (one: PeerId) => one === lost || lineage.isRemoved(one);
  return successorOf(peer, { ...lineage, isRemoved }) !== undefined;
}
