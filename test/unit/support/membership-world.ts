import type { Crypto, Identity } from '../../../src/core/crypto.ts';
import type { PeerId } from '../../../src/core/ids.ts';
import { openKeeper } from '../../../src/mesh/keeper.ts';
import { createMembership, type OpenMembership } from '../../../src/mesh/membership.ts';
import {
  foundMesh,
  type MembershipStateSection,
  openMembershipState,
} from '../../../src/mesh/membership-state.ts';
import type { Records } from '../../../src/mesh/records.ts';
import type { Log } from '../../../src/ports/log.ts';
import { createMemoryCrypto } from '../../../src/ports/memory/crypto.ts';
import { createSeededRandom } from '../../../src/ports/memory/random.ts';
import { createMemoryStore } from '../../../src/ports/memory/store.ts';
import { createSharedRecords } from './shared-records.ts';

export const RANGE = { start: 0x0a20_0000, last: 0x0a2f_ffff };
export const random = createSeededRandom('membership');
export const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };

export interface Member {
  readonly identity: Identity;
  readonly state: MembershipStateSection;
  readonly records: Records;
  readonly membership: OpenMembership;
}

export function newIdentity(crypto: Crypto): Identity {
  const seed = random.bytes(32);
  const publicKey = crypto.publicKey(seed);
  return { seed, publicKey, peer: crypto.peerId(publicKey) };
}

export async function openState(crypto: Crypto, identity: Identity): Promise<MembershipStateSection> {
  return openMembershipState(await openKeeper({ store: createMemoryStore() }), { crypto, identity });
}

/** A mesh whose peers have joined without the ceremony of joining; their records agree after each step. */
export async function createWorld(crypto: Crypto = createMemoryCrypto()) {
  const shared = createSharedRecords();

  function open(identity: Identity, state: MembershipStateSection): Member {
    const records = shared.of(identity.peer);
    shared.sync();
    return {
      identity,
      state,
      records,
      membership: createMembership({ crypto, identity, state, records, log: silent }),
    };
  }

  async function found(): Promise<Member> {
    const identity = newIdentity(crypto);
    const state = await openState(crypto, identity);
    await foundMesh({ crypto, random, identity, state, range: RANGE });
    const member = open(identity, state);
    await member.membership.publish();
    return member;
  }

  /** `heir` is the issuer unless told otherwise. Who joins where an heir is needed becomes it. */
  async function join(issuer: Member, heir: PeerId = issuer.identity.peer): Promise<Member> {
    const identity = newIdentity(crypto);
    const state = await openState(crypto, identity);
    const { membership } = issuer;
    const firstHeir = membership.needsHeir();
    const certificate = await membership.issue(identity.peer, heir);
    await membership.welcome(certificate, { firstHeir });
    await state.set({
      phase: 'member',
      genesis: membership.genesis,
      chain: [certificate, ...membership.chain],
      epochs: membership.epochs(),
      serial: 0,
      rootSeed: null,
      arrival: null,
      removal: [],
    });
    const member = open(identity, state);
    await member.membership.publish();
    shared.sync();
    return member;
  }

  return { crypto, shared, found, join, open };
}
