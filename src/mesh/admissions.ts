import { type Certificate, checkCertificate } from '../core/certificate.ts';
import type { Crypto } from '../core/crypto.ts';
import type { MeshId, PeerId } from '../core/ids.ts';
import { readJoinDoor } from '../core/token.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Link } from '../ports/transport.ts';
import type { AddressBook } from './address-book.ts';
import { type Conversation, ConversationError, converse } from './conversation.ts';
import type { Invites } from './invites.ts';
import {
  decodeFromJoiner,
  encodeJoin,
  type JoinMessage,
  type JoinRefusal,
  type JoinRequest,
  MAX_SNAPSHOT,
} from './join-messages.ts';
import type { Keeper, Section } from './keeper.ts';
import type { OpenMembership } from './membership.ts';
import {
  isFields,
  MAX_MEMBER_ADDRESSES,
  type MemberAddresses,
  MembershipError,
  readAddresses,
} from './membership-state.ts';
import { KEY, type Records } from './records.ts';
import { type Space, SpaceError } from './space.ts';

/**
 * The issuer's side of joining (messages: join-messages.ts). For each joiner, in this order, each step on disk before the next:
 * a use of the token; the first addresses, from the member that has most; the certificate, whose heir is that member; the joiner's word that it has
 * stored them; the certificate in the records, from when on everybody knows the member.
 * What a joiner was given is kept until it says that it is done: coming back after any crash, of either side, it is given the same.
 */
export interface Admissions {
  /** Takes over a link that was opened by a join door. To be called in the turn in which it was opened. */
  accept(link: Link): void;
  /** Joiners that have been given something and have not confirmed it. */
  pending(): readonly PeerId[];
}

export interface AdmissionRecord {
  readonly peer: PeerId;
  readonly donor: PeerId;
  /** Ring entries, as Space wrote them. */
  readonly grant: unknown;
  readonly certificate: Certificate;
  /** Granted to who is to be the heir of this peer, with the joiner as its witness. */
  readonly firstHeir: boolean;
}

export type AdmissionStateSection = Section<readonly AdmissionRecord[]>;

export interface AdmissionParts {
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly membership: OpenMembership;
  readonly invites: Invites;
  readonly space: Pick<Space, 'grant' | 'grantFromBest' | 'pendingDonations'>;
  readonly records: Records;
  readonly state: AdmissionStateSection;
  readonly book: Pick<AddressBook, 'learn'>;
  readonly log: Log;
  /** All records as plain data; undefined when they take more than `limit` bytes. */
  readonly snapshot: (limit: number) => unknown;
}

class JoinRefused extends Error {
  readonly reason: JoinRefusal;
  constructor(reason: JoinRefusal, message: string) {
    super(message);
    this.name = 'JoinRefused';
    this.reason = reason;
  }
}

const PATIENCE = 20_000;

export function openAdmissionState(
  keeper: Keeper,
  { crypto, mesh }: { crypto: Crypto; mesh: MeshId },
): AdmissionStateSection {
  return keeper.section<readonly AdmissionRecord[]>(
    'admissions',
    (data) => checkAdmissions(data, mesh, crypto),
    [],
  );
}

export function createAdmissions(parts: AdmissionParts): Admissions {
  const { clock, membership, invites, space, records, state, book, log } = parts;
  const { self, needsHeir } = membership;
  /** Peers that are being served: a second link of the same peer waits for the first. */
  const turns = new Map<PeerId | 'first heir', Promise<void>>();

  const recordOf = (peer: PeerId) => state.get().find((record) => record.peer === peer);

  async function inTurn(key: PeerId | 'first heir', run: () => Promise<void>): Promise<void> {
    const before = turns.get(key);
    const turn = (before ?? Promise.resolve()).then(run);
    const settled = turn.catch(() => {});
    turns.set(key, settled);
    try {
      await turn;
    } finally {
      if (turns.get(key) === settled) turns.delete(key);
    }
  }

  /** Who joins next becomes the heir: until that is settled, one joiner after another. */
  function admit(talk: Conversation<JoinMessage>, link: Link, token: string): Promise<void> {
    const serve = () => inTurn(link.remote, () => serveJoiner(talk, link.remote, token));
    return needsHeir() ? inTurn('first heir', serve) : serve();
  }

  async function serveJoiner(talk: Conversation<JoinMessage>, peer: PeerId, token: string): Promise<void> {
    const { nickname, control } = (await expect(talk, 'join')) as JoinRequest;
    if (membership.isRemoved(peer)) throw new JoinRefused('removed', 'this host was removed from the mesh');
    const redeemed = await invites.redeem(token, peer);
    if (redeemed !== 'ok') throw new JoinRefused(redeemed, `the token is ${redeemed}`);
    talk.send(encodeJoin({ t: 'grant', ...(await prepare(peer)) }));
    await expect(talk, 'stored');
    const record = recordOf(peer);
    if (record !== undefined) {
      // Who takes the donor's addresses over has asked whom this host let in with them: from then on nobody.
      if (!membership.isMember(peer) && membership.isRemoved(record.donor)) {
        throw new JoinRefused('busy', 'the host that gave the addresses was removed meanwhile');
      }
      await membership.welcome(record.certificate, { firstHeir: record.firstHeir && needsHeir() });
      // The other side's records come later, and go to disk later still: a crash until then must not leave this host without a way to it.
      book.learn(peer, control);
      log.info('a host has joined', { peer, nickname, donor: record.donor });
    }
    talk.send(encodeJoin({ t: 'complete' }));
  }

  /** From here on nobody else waits for this joiner. */
  async function takeLeave(talk: Conversation<JoinMessage>, peer: PeerId, token: string): Promise<void> {
    await expect(talk, 'done');
    const others = state.get().filter((record) => record.peer !== peer);
    await Promise.all([invites.settle(token, peer), state.set(others)]);
  }

  async function prepare(peer: PeerId) {
    const common = {
      genesis: membership.genesis,
      issuer: membership.chain,
      epochs: membership.epochs(),
      snapshot: parts.snapshot(MAX_SNAPSHOT) ?? null,
      members: memberAddresses(),
    };
    const chain = membership.chainOf(peer);
    const heir = membership.heirOf(peer);
    // A member that has lost its own state; its addresses are in the ring.
    if (
      recordOf(peer) === undefined &&
      membership.isMember(peer) &&
      chain !== undefined &&
      heir !== undefined
    ) {
      return { ...common, chain, donor: heir, grant: null };
    }
    const { certificate, donor, grant } = usable(recordOf(peer)) ?? (await provide(peer));
    return { ...common, chain: [certificate, ...membership.chain], donor, grant };
  }

  /**
   * A coming heir's grant is worth nothing once another has become the heir while it was away: not even where the next one is wanted, since
   * it was taken back. Nor is one of a removed donor.
   */
  function usable(record: AdmissionRecord | undefined): AdmissionRecord | undefined {
    if (record === undefined || membership.isRemoved(record.donor)) return undefined;
    if (!record.firstHeir || membership.witnessOf(self) === record.peer) return record;
    const stands = space
      .pendingDonations()
      .some(({ owner, witness }) => owner === witness && owner === record.peer);
    return stands && needsHeir() ? record : undefined;
  }

  async function provide(peer: PeerId): Promise<AdmissionRecord> {
    const firstHeir = needsHeir();
    const { donor, entries } = firstHeir
      ? { donor: self, entries: await space.grant(peer, { firstHeir }) }
      : await space.grantFromBest(peer);
    const certificate = await membership.issue(peer, donor);
    const record = { peer, donor, grant: entries, certificate, firstHeir };
    await state.set([...state.get().filter((one) => one.peer !== peer), record]);
    return record;
  }

  /** This peer first, then others in no particular order: the joiner needs a few that answer. */
  function memberAddresses(): readonly MemberAddresses[] {
    const known: MemberAddresses[] = [];
    for (const { author, value } of records.entries(KEY.peer)) {
      const control = isFields(value) ? readAddresses(value.control) : undefined;
      if (control === undefined || control.length === 0 || !membership.isMember(author)) continue;
      if (author === self) known.unshift({ peer: author, control });
      else known.push({ peer: author, control });
    }
    return known.slice(0, MAX_MEMBER_ADDRESSES);
  }

  async function converseWith(link: Link, token: string): Promise<void> {
    const talk = converse({ link, clock, patience: PATIENCE, decode: decodeFromJoiner });
    try {
      await admit(talk, link, token);
      await takeLeave(talk, link.remote, token).catch((error: unknown) => {
        if (!(error instanceof ConversationError)) throw error;
        const fields = { peer: link.remote, error: String(error) };
        log.info(
          'a host has joined, and broke off before it said so: what it was given is kept for it',
          fields,
        );
      });
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal !== undefined) talk.send(encodeJoin({ t: 'refused', ...refusal }));
      const level = refusal?.reason === 'failed' ? 'error' : 'info';
      log[level]('a host could not join', { peer: link.remote, error: String(error) });
    } finally {
      talk.close();
    }
  }

  return {
    accept(link) {
      const door = readJoinDoor(link.door);
      if (door === undefined) link.close();
      else void converseWith(link, door.id);
    },
    pending: () => state.get().map(({ peer }) => peer),
  };
}

async function expect(talk: Conversation<JoinMessage>, kind: JoinMessage['t']): Promise<JoinMessage> {
  const message = await talk.next();
  if (message.t !== kind) throw new JoinRefused('bad-request', `expected ${kind}, not ${message.t}`);
  return message;
}

/** What the joiner is told; undefined when it is not there to hear it. */
function refusalOf(error: unknown): { reason: JoinRefusal; message: string } | undefined {
  if (error instanceof ConversationError) {
    return error.reason === 'closed' ? undefined : { reason: 'bad-request', message: error.message };
  }
  if (error instanceof JoinRefused) return { reason: error.reason, message: error.message };
  if (error instanceof SpaceError) {
    return { reason: 'no-space', message: `no addresses for this host: ${error.message}` };
  }
  if (error instanceof MembershipError && error.code === 'too-deep') {
    return { reason: 'too-deep', message: error.message };
  }
  return { reason: 'failed', message: 'the host that answered failed: see its log' };
}

function checkAdmissions(data: unknown, mesh: MeshId, crypto: Crypto): readonly AdmissionRecord[] {
  if (!Array.isArray(data)) throw new TypeError('not a list of admissions');
  return data.map((item, at) => {
    const checked = checkCertificate(isFields(item) ? item.certificate : undefined, mesh, crypto);
    if (
      !isFields(item) ||
      !checked.ok ||
      checked.value.heir !== item.donor ||
      typeof item.firstHeir !== 'boolean'
    ) {
      throw new TypeError(`admission ${at} is malformed`);
    }
    const { peer, heir } = checked.value;
    const { grant, firstHeir } = item;
    return { peer, donor: heir as PeerId, grant, certificate: checked.value, firstHeir };
  });
}
