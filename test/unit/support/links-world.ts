import type { Crypto } from '../../../src/core/crypto.ts';
import type { MeshId, PeerId } from '../../../src/core/ids.ts';
import { type AddressBook, createAddressBook } from '../../../src/mesh/address-book.ts';
import { openKeeper } from '../../../src/mesh/keeper.ts';
import { createLinks, type Links } from '../../../src/mesh/links.ts';
import type { Membership, Verdict } from '../../../src/mesh/membership.ts';
import { createRecords } from '../../../src/mesh/replicated.ts';
import type { Log, LogFields } from '../../../src/ports/log.ts';
import { type ClockView, createVirtualClock } from '../../../src/ports/memory/clock.ts';
import { createMemoryCrypto } from '../../../src/ports/memory/crypto.ts';
import { createSeededRandom } from '../../../src/ports/memory/random.ts';
import { createMemoryStore } from '../../../src/ports/memory/store.ts';
import { createMemoryNetwork, type MemoryTransport } from '../../../src/ports/memory/transport.ts';
import { noRemovals } from './no-removals.ts';

/** Hosts with nothing but links. Who is a member, and what is wrong with a host, tests decide. */
export interface LinksHost {
  readonly peer: PeerId;
  readonly address: string;
  readonly clock: ClockView;
  readonly links: Links;
  readonly book: AddressBook;
  readonly transport: MemoryTransport;
  /** `up p`, `down p reason`, by name. */
  readonly events: string[];
  readonly logged: string[];
  /** Tells watchers of the membership. */
  membershipChanged(): void;
}

export interface HostOptions {
  readonly mesh?: MeshId;
  readonly degree?: number;
  readonly boot?: string;
  /** Absent: everybody is welcome. */
  readonly admit?: (peer: PeerId) => Verdict;
  readonly isMember?: (peer: PeerId) => boolean;
  readonly isUp?: (peer: PeerId) => boolean;
  /** Links that others say they have; absent: none is known. */
  readonly degreeOf?: (name: string) => number;
}

export const MESH = '5e'.repeat(32) as MeshId;
const SECRET = new Uint8Array(32);

export function createLinksWorld(names: readonly string[]) {
  const clock = createVirtualClock();
  const random = createSeededRandom('links');
  const crypto: Crypto = createMemoryCrypto();
  const network = createMemoryNetwork({ clock, random: random.fork('network') });
  // Named in the order of ids, so that tests can say who is the smaller one.
  const identities = names
    .map(() => {
      const seed = random.bytes(32);
      const publicKey = crypto.publicKey(seed);
      return { seed, publicKey, peer: crypto.peerId(publicKey) };
    })
    .sort((a, b) => (a.peer < b.peer ? -1 : 1));
  const members = identities.map(({ peer }) => peer);
  const nameOf = (peer: PeerId) => names[members.indexOf(peer)] ?? peer;
  const peerOf = (name: string) => members[names.indexOf(name)] as PeerId;

  async function host(name: string, options: HostOptions = {}): Promise<LinksHost> {
    const identity = identities[names.indexOf(name)];
    if (identity === undefined) throw new Error(`no host ${name}`);
    const { peer } = identity;
    const view = clock.view();
    const events: string[] = [];
    const logged: string[] = [];
    const note = (message: string, fields?: LogFields) =>
      void logged.push(`${message} ${Object.values(fields ?? {}).join(' ')}`);
    const log: Log = { debug: note, info: note, warn: note, error: note };
    const watchers = new Set<() => void>();
    const isMember = options.isMember ?? (() => true);
    const membership: Membership = {
      self: peer,
      mesh: options.mesh ?? MESH,
      creator: members[0] as PeerId,
      members: () => members.filter(isMember),
      isMember,
      ...noRemovals(),
      credentials: () => ({ of: name }),
      admit: (remote) => options.admit?.(remote) ?? { ok: true },
      doors: () => [{ name: 'epoch/5e5e5e5e5e5e5e5e/1', secret: SECRET }],
      accepts: () => ({ admit: true, secret: SECRET }),
      watch(handler) {
        watchers.add(handler);
        return () => watchers.delete(handler);
      },
    };
    const transport = network.transport(peer, {
      doorkeeper: membership.accepts,
      clock: view,
      host: `10.0.0.${names.indexOf(name)}`,
    });
    const keeper = await openKeeper({ store: createMemoryStore() });
    const records = createRecords({ identity, mesh: MESH, crypto, clock: view, keeper, log });
    const book = createAddressBook({ keeper, records });
    const links = createLinks({
      self: peer,
      mesh: membership.mesh,
      boot: options.boot ?? Buffer.from(random.bytes(8)).toString('hex'),
      nickname: name,
      release: '0.0.0',
      crypto,
      clock: view,
      random: random.fork(name),
      transport,
      membership,
      records,
      book,
      view: {
        isUp: options.isUp ?? (() => false),
        count: () => 0,
        degree: (peer) => options.degreeOf?.(nameOf(peer)) ?? 0,
      },
      ...(options.degree === undefined ? {} : { degree: options.degree }),
      log,
    });
    links.watch({
      up: (neighbour) => events.push(`up ${nameOf(neighbour.peer)}`),
      down: (neighbour, reason) => events.push(`down ${nameOf(neighbour.peer)} ${reason}`),
    });
    const [address] = (await transport.listen(['x:6783'], links.accept)) as [string];
    const membershipChanged = () => {
      for (const watcher of [...watchers]) watcher();
    };
    return { peer, address, clock: view, links, book, transport, events, logged, membershipChanged };
  }

  /** Names of the neighbours. */
  const linked = ({ links }: LinksHost) => links.neighbours().map(({ peer }) => nameOf(peer));
  /** Everybody knows everybody's address. */
  const introduce = (...hosts: readonly LinksHost[]) => {
    for (const one of hosts) {
      for (const other of hosts) if (other !== one) one.book.learn(other.peer, [other.address]);
    }
  };
  return { clock, network, crypto, host, linked, introduce, nameOf, peerOf };
}
