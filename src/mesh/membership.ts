import { equalBytes } from '../core/bytes.ts';
import {
  type Certificate,
  type Chain,
  type Checked,
  checkCertificate,
  checkChain,
  checkTombstone,
  type Genesis,
  MAX_CHAIN,
  signCertificate,
  signTombstone,
} from '../core/certificate.ts';
import type { Crypto, Identity } from '../core/crypto.ts';
import type { MeshId, PeerId } from '../core/ids.ts';
import { createLocks } from '../core/locks.ts';
import { createRoster } from '../core/roster.ts';
import { type Successor, successionOf, successorOf } from '../core/succession.ts';
import type { Log } from '../ports/log.ts';
import type { Admission, Door, Refusal } from '../ports/transport.ts';
import { acceptEpochDoor, epochDoor, withEpoch } from './epochs.ts';
import { checkHeir, heirKey, type Kept, readHeirKey, rolesOf } from './heirs.ts';
import {
  type Arrival,
  type Epoch,
  isFields,
  MembershipError,
  type MembershipState,
  type MembershipStateSection,
  readTombstones,
} from './membership-state.ts';
import { KEY, type RecordEntry, type Records } from './records.ts';
import { promiseKey } from './space/closings.ts';

/** Who belongs to the mesh: certificates down from the root key, tombstones, and the epoch secret that opens links. */
export interface Membership {
  readonly self: PeerId;
  readonly mesh: MeshId;
  /** The peer that made the mesh. */
  readonly creator: PeerId;
  /** Admitted and not removed; this peer included. Sorted. None, on a peer that was removed itself: it talks to nobody any more. */
  members(): readonly PeerId[];
  isMember(peer: PeerId): boolean;
  isRemoved(peer: PeerId): boolean;
  /** Sorted. */
  removed(): readonly PeerId[];
  /** Who gave `peer` its first grant; for the creator its first joiner, undefined until then. */
  heirOf(peer: PeerId): PeerId | undefined;
  /** Who witnesses `peer`'s donations now: its heir, or who stands in for a removed one. */
  witnessOf(peer: PeerId): PeerId | undefined;
  /** Whether this peer is the last member and has no heir (any more): the next that joins through it becomes its heir. */
  needsHeir(): boolean;
  /** Who inherits a removed peer (core/succession.ts). */
  takerOf(peer: PeerId): Successor | undefined;
  /** Every place in `peer`'s line of heirs, earlier ones first. */
  lineOf(peer: PeerId): readonly Successor[];
  /** The places of `by` in it; none where it may not act for `peer`. */
  depthsOf(peer: PeerId, by: PeerId): readonly number[];
  mayAct(peer: PeerId, by: PeerId): boolean;
  /** What a hello carries to prove membership: plain data. */
  credentials(): unknown;
  /** Checks the other side's credentials (unchecked input) for the key that the handshake proved. A success is remembered. */
  admit(remote: PeerId, credentials: unknown): Verdict;
  /** What shows a removed peer that it is one: plain data. */
  proofOf(peer: PeerId): unknown;
  /** Takes in what somebody showed as `proofOf` this peer (unchecked input). */
  hearProof(proof: unknown): void;
  /** The doors to dial members by, newest epoch first; `accepts` answers the Doorkeeper for them. */
  doors(): readonly Door[];
  accepts(doorName: string): Admission;
  /** Called after each change of membership or epoch. Returns the way to stop. */
  watch(handler: () => void): () => void;
}

export type Verdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: Refusal | 'bad-certificate'; readonly message: string };

/** The whole of it, for joining and for the composition root. */
export interface OpenMembership extends Membership {
  readonly genesis: Genesis;
  /** This peer's own certificates. */
  readonly chain: Chain;
  /** A member's certificates. */
  chainOf(peer: PeerId): Chain | undefined;
  /** Newest first. */
  epochs(): readonly Epoch[];
  /** Private seed of the mesh's root key; null where it is not. */
  rootSeed(): Uint8Array | null;
  /** False when it was known, or is too old. On disk when it resolves. */
  learnEpoch(epoch: Epoch): Promise<boolean>;
  /** Everybody who is or was a member, and whom a peer has let in, as known here. */
  isKnown(peer: PeerId): boolean;
  outsiders(): readonly PeerId[];
  issuedBy(peer: PeerId): readonly PeerId[];
  /** Shows this peer's certificate in its own records, once. To be called at each start. */
  publish(): Promise<void>;
  /** Makes a certificate with `heir` for a peer that joins here. Not published yet. Rejects with MembershipError `too-deep`. */
  issue(peer: PeerId, heir: PeerId): Promise<Certificate>;
  /** Publishes a certificate that `issue` made; `firstHeir` also makes its peer this one's heir. On disk when it resolves. */
  welcome(certificate: Certificate, options?: { firstHeir?: boolean }): Promise<void>;
  /**
   * Removes a peer: its tombstone, and the certificates that hang on it, in one write. `root`: the private seed of the mesh's root key,
   * which makes this peer its successor whoever the heir is. Rejects with MembershipError `not-heir` on a peer that is not its
   * successor, `unknown-peer` for one that is no member, `wrong-root`.
   */
  bury(peer: PeerId, root?: Uint8Array): Promise<void>;
  /**
   * Hands this peer's role as an heir over to `to`, for each member whose heir it is; on disk when it resolves. Rejects with MembershipError
   * `unknown-peer` for one that is no member, `removed`.
   */
  handOver(to: PeerId): Promise<{ readonly handed: readonly PeerId[]; readonly kept: readonly Kept[] }>;
  /** What came with the join and nobody has taken over yet. */
  arrival(): Arrival | null;
  /** Drops the arrival, once its owners have it on disk. */
  settle(): Promise<void>;
  close(): void;
}

export interface MembershipParts {
  readonly crypto: Crypto;
  readonly identity: Identity;
  readonly state: MembershipStateSection;
  readonly records: Records;
  readonly log: Log;
}

type Check<T> = (value: unknown, mesh: MeshId, crypto: Crypto) => Checked<T>;

/** Throws MembershipError `no-mesh` when the state holds none. */
export function createMembership({ crypto, identity, state, records, log }: MembershipParts): OpenMembership {
  const self = identity.peer;
  const { genesis, chain } = current();
  const { mesh, creator } = genesis;
  const root = crypto.peerId(genesis.root);
  const roster = createRoster(root, creator);
  const handlers = new Set<() => void>();
  /** Who is being removed keeps its heir. */
  const locks = createLocks();
  let told = 0;

  function current(): MembershipState {
    const value = state.get();
    if (value?.phase !== 'member') throw new MembershipError('no-mesh', 'this host is in no mesh');
    return value;
  }

  const isRemoved = () => roster.isRemoved(self);

  function tell(): void {
    if (roster.revision() === told) return;
    told = roster.revision();
    if (isRemoved() && current().removal.length === 0) {
      log.error('this host was removed from the mesh');
      state.set({ ...current(), removal: roster.proofOf(self) }).catch(() => {});
    }
    for (const handler of [...handlers]) handler();
  }

  /** What is malformed, or under another peer's key, has no effect on who belongs to the mesh. */
  function read<T>(
    entry: RecordEntry,
    check: Check<T>,
    keyOf: (value: T) => string,
    use: (value: T) => void,
  ): void {
    if (entry.value === undefined) return;
    const checked = check(entry.value, mesh, crypto);
    if (checked.ok && entry.key === keyOf(checked.value)) {
      use(checked.value);
      tell();
      return;
    }
    const problem = checked.ok ? 'under the wrong key' : checked.message;
    log.warn('ignoring a record about membership', { author: entry.author, key: entry.key, problem });
  }

  const readers: Readonly<Record<string, (entry: RecordEntry) => void>> = {
    [KEY.heir](entry) {
      const { author, key } = entry;
      const nth = readHeirKey(key) ?? 0;
      const use = (heir: PeerId) =>
        nth === 0 ? roster.setCreatorHeir(heir) : roster.addNamed(author, nth, heir);
      if (nth > 0 || author === creator) read(entry, checkHeir, () => heirKey(nth), use);
    },
    [KEY.handed](entry) {
      const { author, key } = entry;
      const ward = key.slice(KEY.handed.length) as PeerId;
      read(
        entry,
        checkHeir,
        () => key,
        (to) => roster.addHanded(ward, author, to),
      );
    },
    [KEY.member](entry) {
      const use = (certificate: Certificate) => roster.addCertificate(certificate, entry.author);
      read(entry, checkCertificate, ({ peer }) => KEY.member + peer, use);
    },
    [KEY.removed](entry) {
      read(entry, checkTombstone, ({ peer }) => KEY.removed + peer, roster.addTombstone);
    },
  };

  function admit(remote: PeerId, credentials: unknown): Verdict {
    if (roster.isRemoved(remote)) {
      return { ok: false, reason: 'removed', message: `${remote} was removed from the mesh` };
    }
    const checked = checkChain(isFields(credentials) ? credentials.chain : undefined, remote, mesh, crypto);
    if (!checked.ok) {
      const reason = checked.problem === 'wrong-mesh' ? 'wrong-mesh' : 'bad-certificate';
      return { ok: false, reason, message: checked.message };
    }
    for (const certificate of [...checked.value].reverse()) roster.addCertificate(certificate, undefined);
    tell();
    if (roster.isMember(remote)) return { ok: true };
    if (roster.isRemoved(remote)) {
      return { ok: false, reason: 'removed', message: `${remote} was removed from the mesh` };
    }
    const message =
      'a removed peer is in the chain of certificates: join again with a token of another member';
    return { ok: false, reason: 'bad-certificate', message };
  }

  async function bury(peer: PeerId, rootSeed?: Uint8Array): Promise<void> {
    if (isRemoved()) throw new MembershipError('removed', 'this host was removed from the mesh itself');
    const known = rootSeed === undefined ? roster.isMember(peer) : roster.isKnown(peer);
    if (!known && !roster.outsiders().includes(peer))
      throw new MembershipError('unknown-peer', `${peer} is no member of the mesh`);
    const heir = successorOf(peer, roster)?.peer;
    if (rootSeed === undefined && heir !== self) {
      throw new MembershipError(
        'not-heir',
        `only ${heir ?? 'the root key'} may remove ${peer}: run this there`,
      );
    }
    if (rootSeed !== undefined && !equalBytes(crypto.publicKey(rootSeed), genesis.root)) {
      throw new MembershipError('wrong-root', 'this is not the root key of this mesh');
    }
    const [seed, issuer] = rootSeed === undefined ? [identity.seed, self] : [rootSeed, root];
    const changes = new Map<string, unknown>();
    // Also the removed peer's own: others lead up through it. One that this peer made itself is worth as much, and there is one record each.
    for (const certificate of roster.relyingOn(peer)) {
      const key = KEY.member + certificate.peer;
      if (records.get(self, key) === undefined) changes.set(key, certificate);
    }
    const tombstone = signTombstone({ mesh, peer, issuer, adopter: self }, seed, crypto);
    await Promise.all([records.keep(), records.putAll(changes.set(KEY.removed + peer, tombstone))]);
  }

  async function handOver(to: PeerId) {
    if (isRemoved()) throw new MembershipError('removed', 'this host was removed from the mesh itself');
    if (!roster.isMember(to)) throw new MembershipError('unknown-peer', `${to} is no member of the mesh`);
    // It may have promised about a peer whose removal, after a restart, it does not know again.
    const isBound = (ward: PeerId) => records.get(self, promiseKey(ward)) !== undefined;
    const { handed, kept } = rolesOf(self, to, roster.members(), roster, isBound);
    const changes = new Map(handed.map((ward) => [KEY.handed + ward, { peer: to }] as const));
    if (changes.size > 0) await records.putAll(changes);
    return { handed, kept };
  }

  for (const tombstone of current().removal) roster.addTombstone(tombstone);
  for (const certificate of [...chain].reverse()) roster.addCertificate(certificate, undefined);
  const stops = Object.entries(readers).map(([prefix, reader]) => {
    for (const entry of records.entries(prefix)) reader(entry);
    return records.watch(prefix, reader);
  });

  return {
    self,
    mesh,
    creator,
    genesis,
    chain,
    members: () => (isRemoved() ? [] : roster.members()),
    isMember: (peer) => !isRemoved() && roster.isMember(peer),
    isRemoved: roster.isRemoved,
    removed: roster.removed,
    heirOf: roster.heirOf,
    needsHeir: () => roster.members().join() === self && successorOf(self, roster) === undefined,
    ...successionOf(roster),
    proofOf: roster.proofOf,
    hearProof(proof) {
      for (const tombstone of readTombstones(proof, mesh, crypto) ?? []) roster.addTombstone(tombstone);
      tell();
    },
    isKnown: roster.isKnown,
    outsiders: roster.outsiders,
    issuedBy: roster.issuedBy,
    chainOf: roster.chainOf,
    credentials: () => ({ chain: roster.chainOf(self) ?? chain }),
    admit,
    doors: () => current().epochs.map((epoch) => epochDoor(epoch, mesh, crypto)),
    accepts: (doorName) => acceptEpochDoor(doorName, current().epochs, mesh, crypto),
    watch(handler) {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
    epochs: () => current().epochs,
    rootSeed: () => current().rootSeed,
    async learnEpoch(epoch) {
      const before = current().epochs;
      const epochs = withEpoch(before, epoch, crypto);
      if (epochs === before || !epochs.includes(epoch)) return false;
      await state.set({ ...current(), epochs });
      return true;
    },
    async publish() {
      const own = chain[0] as Certificate;
      const shown = checkCertificate(records.get(self, KEY.member + self), mesh, crypto);
      if (shown.ok && equalBytes(shown.value.signature, own.signature)) return;
      await records.put(KEY.member + self, own);
    },
    async issue(peer, heir) {
      if (chain.length >= MAX_CHAIN) {
        const why = `${MAX_CHAIN} invitations lie between this host and the creator of the mesh`;
        throw new MembershipError('too-deep', `${why}: make the token on a host nearer to it`);
      }
      const serial = current().serial + 1;
      await state.set({ ...current(), serial });
      return signCertificate({ mesh, peer, issuer: self, heir, serial }, identity.seed, crypto);
    },
    async welcome(certificate, { firstHeir = false } = {}) {
      const changes = new Map<string, unknown>([[KEY.member + certificate.peer, certificate]]);
      const nth = roster.heirOf(self) === undefined ? 0 : roster.namedBy(self).length + 1;
      if (firstHeir) changes.set(heirKey(nth), { peer: certificate.peer });
      await records.putAll(changes);
    },
    bury: (peer, rootSeed) => locks('heir', () => bury(peer, rootSeed)),
    handOver: (to) => locks('heir', () => handOver(to)),
    arrival: () => current().arrival,
    settle: () => state.set({ ...current(), arrival: null }),
    close() {
      for (const stop of stops) stop();
    },
  };
}
