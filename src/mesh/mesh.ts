import { toHex } from '../core/bytes.ts';
import type { Crypto, Identity } from '../core/crypto.ts';
import type { MeshId } from '../core/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Datapath, DatapathEvent } from '../ports/datapath.ts';
import type { Log } from '../ports/log.ts';
import type { Random } from '../ports/random.ts';
import type { Doorkeeper, Link, Transport } from '../ports/transport.ts';
import { type AddressBook, createAddressBook } from './address-book.ts';
import { type Admissions, createAdmissions, openAdmissionState } from './admissions.ts';
import { type Announcer, createAnnouncer, type Reach } from './announcer.ts';
import { createEvener } from './evener.ts';
import { createForwarding, type Forwarding } from './forwarding.ts';
import { createGossip, type Gossip } from './gossip.ts';
import { createHandover, type Handover } from './handover.ts';
import { openInviteState } from './invite-state.ts';
import { createInvites, type Invites } from './invites.ts';
import type { Keeper } from './keeper.ts';
import { createLinks, type Links, MOST_ACCEPTED } from './links.ts';
import { createLiveness, type Liveness } from './liveness.ts';
import { createMembership, type OpenMembership } from './membership.ts';
import { genesisOf, type MembershipStateSection } from './membership-state.ts';
import { createMessenger, type OpenMessenger } from './messenger.ts';
import { createNetworkBook } from './networks/book.ts';
import { createNetworks, type Networks } from './networks.ts';
import { createRemoval, type Removal } from './removal.ts';
import { createRecords, type OpenRecords } from './replicated.ts';
import { startRotation } from './rotation.ts';
import { createSessions, type Sessions } from './sessions.ts';
import { createSpace, type Space } from './space.ts';

/** A member's part of the mesh, from its records to the keys and routes of its data path. */
export interface Mesh {
  readonly id: MeshId;
  readonly membership: OpenMembership;
  readonly records: OpenRecords;
  readonly links: Links;
  readonly liveness: Liveness;
  readonly messenger: OpenMessenger;
  readonly gossip: Gossip;
  readonly space: Space;
  readonly networks: Networks;
  readonly sessions: Sessions;
  readonly forwarding: Forwarding;
  readonly invites: Invites;
  readonly admissions: Admissions;
  readonly removal: Removal;
  readonly handover: Handover;
  /** `host:port` bound by the transport. */
  readonly listening: readonly string[];
  /** Tells the others where this peer can be reached from now on. */
  announce(reach: Reach): void;
  /** Tells the neighbours, and leaves everything known on disk. */
  close(): Promise<void>;
}

export interface MeshParts {
  readonly identity: Identity;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly keeper: Keeper;
  /** Holds a mesh: founded or joined before. */
  readonly state: MembershipStateSection;
  readonly openTransport: (doorkeeper: Doorkeeper) => Promise<Transport>;
  readonly openDatapath: (onEvent: (event: DatapathEvent) => void) => Promise<Datapath>;
  readonly settings: MeshSettings;
}

export interface MeshSettings {
  readonly nickname: string;
  /** Version of Weft. */
  readonly release: string;
  /** `host:port` for the transport to bind. */
  readonly listen: readonly string[];
  readonly reach: Reach;
  /** Whether the processor has instructions for AES. */
  readonly aes: boolean;
  /** Bytes of the largest inner packet that the device takes, to be told to others; absent: not told. */
  readonly mtu?: number;
}

/**
 * Starts this peer: what is on disk → listening → data path → links. Rejects when the port or the device cannot be had; then everything
 * that was opened is closed again.
 */
export async function startMesh(parts: MeshParts): Promise<Mesh> {
  const opened: (() => Promise<void> | void)[] = [];
  const closeAll = async () => {
    for (const close of opened.reverse()) await close();
  };
  try {
    return await assemble(parts, opened, closeAll);
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function assemble(
  parts: MeshParts,
  opened: (() => Promise<void> | void)[],
  close: () => Promise<void>,
): Promise<Mesh> {
  const { identity, crypto, clock, random, log, keeper, state, settings } = parts;
  const self = identity.peer;
  const boot = toHex(random.bytes(8));
  const { mesh } = genesisOf(state);
  const onClose = (step: () => Promise<void> | void) => void opened.push(step);

  const records = createRecords({ identity, mesh, crypto, clock, keeper, log });
  onClose(async () => {
    await records.flush();
    records.close();
  });
  const membership = createMembership({ crypto, identity, state, records, log });
  onClose(() => membership.close());
  const { genesis } = membership;
  const common = { self, mesh, identity, crypto, clock, random, log, keeper, membership, records };

  const invites = createInvites({
    ...common,
    state: openInviteState(keeper),
    addresses: () => announcer.reach().control,
  });
  onClose(() => invites.close());
  const doorkeeper: Doorkeeper = (name) =>
    name.startsWith('join/') ? invites.accepts(name) : membership.accepts(name);
  const transport = await parts.openTransport(doorkeeper);
  onClose(() => transport.close());
  const listeners: ((event: DatapathEvent) => void)[] = [];
  const datapath = await parts.openDatapath((event) => {
    for (const listener of listeners) listener(event);
  });
  onClose(() => datapath.close());

  const book = createAddressBook({ keeper, records });
  const links: Links = createLinks({
    ...common,
    boot,
    nickname: settings.nickname,
    release: settings.release,
    transport,
    book,
    view: {
      isUp: (peer) => liveness.isUp(peer),
      count: () => liveness.count(),
      degree: (peer) => liveness.degree(peer),
    },
  });
  onClose(() => links.close());
  const liveness: Liveness = createLiveness({ ...common, links });
  onClose(() => liveness.close());
  const gossip = createGossip({ ...common, links });
  onClose(() => gossip.close());
  const messenger = createMessenger({ ...common, links, topology: liveness.topology });
  onClose(() => messenger.close());
  const { range } = genesis;
  const networkBook = createNetworkBook({ ...common, creator: membership.creator, range });
  const space = createSpace({ ...common, range, messenger, networks: networkBook });
  onClose(() => space.close());
  const networks = createNetworks({ ...common, range, book: networkBook, space, messenger });
  onClose(() => networks.close());
  const rotation = startRotation({ ...common, links });
  onClose(() => rotation.close());
  const removal = createRemoval({ ...common, messenger, liveness, space });
  const handover = createHandover({ ...common, messenger, liveness });
  const announcer: Announcer = createAnnouncer({
    ...common,
    space,
    about: {
      nickname: settings.nickname,
      version: settings.release,
      boot,
      degree: MOST_ACCEPTED,
      ...(settings.mtu === undefined ? {} : { mtu: settings.mtu }),
    },
    reach: settings.reach,
  });
  onClose(() => announcer.close());
  const evener = createEvener({ ...common, liveness, space });
  onClose(() => evener.close());

  const forwarding = createForwarding({ ...common, datapath, links, space });
  onClose(() => forwarding.close());
  const sessions = createSessions({
    ...common,
    boot,
    messenger,
    liveness,
    forwarding,
    datapath,
    aes: settings.aes,
  });
  onClose(() => sessions.close());
  listeners.push(forwarding.take, sessions.take);

  await settleArrival(membership, records, space, book);
  await membership.publish();
  await space.start();
  await networks.start();
  await announcer.start();
  evener.start();

  const admissions = createAdmissions({
    ...common,
    invites,
    space,
    book,
    state: openAdmissionState(keeper, { crypto, mesh }),
    snapshot: (limit) => records.snapshot(limit),
  });
  const listening = await transport.listen(settings.listen, (link: Link) =>
    link.door.startsWith('join/') ? admissions.accept(link) : links.accept(link),
  );

  return {
    id: mesh,
    membership,
    records,
    links,
    liveness,
    messenger,
    gossip,
    space,
    networks,
    sessions,
    forwarding,
    invites,
    admissions,
    removal,
    handover,
    listening,
    announce: (reach) => announcer.announce(reach),
    close,
  };
}

/** What came with the join goes to its owners, once; a crash on the way begins again here. */
async function settleArrival(
  membership: OpenMembership,
  records: OpenRecords,
  space: Space,
  book: AddressBook,
): Promise<void> {
  const arrival = membership.arrival();
  if (arrival === null) return;
  records.absorb(arrival.snapshot);
  if (arrival.grant !== null) await space.adopt(arrival.grant);
  for (const { peer, control } of arrival.members) book.learn(peer, control);
  await records.flush();
  await membership.settle();
}
