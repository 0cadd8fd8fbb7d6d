import type { Checked } from '../core/certificate.ts';
import type { Crypto } from '../core/crypto.ts';
import type { MeshId, PeerId } from '../core/ids.ts';
import { isFields } from './membership-state.ts';
import { KEY } from './records.ts';

/** The records in which a peer says who its heir is: `heir` of the creator at first, `heir/<n>` of whoever has named others since. */

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
