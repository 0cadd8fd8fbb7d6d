import type { Crypto, Identity } from '../../src/core/crypto.ts';
import type { PeerId } from '../../src/core/ids.ts';
import { createPeerNumbers, type PeerNumbers } from '../../src/core/peer-numbers.ts';
import { createSharedPool, type Pool } from '../../src/core/replica/pool.ts';
import { createReplica, type Replica } from '../../src/core/replica.ts';
import { signDelta } from '../../src/core/wire/delta.ts';
import { encode } from '../../src/mesh/codec.ts';
import { createGossip, type Gossip } from '../../src/mesh/gossip.ts';
import type { Keeper } from '../../src/mesh/keeper.ts';
import { createLinks, type Links } from '../../src/mesh/links.ts';
import { createLiveness, type Liveness } from '../../src/mesh/liveness.ts';
import { KEY, type PeerRecord } from '../../src/mesh/records.ts';
import { createRecords, type OpenRecords } from '../../src/mesh/replicated.ts';
import type { Log } from '../../src/ports/log.ts';
import { createVirtualClock, type VirtualClock } from '../../src/ports/memory/clock.ts';
import { createMemoryCrypto } from '../../src/ports/memory/crypto.ts';
import { createSeededRandom, type SeededRandom } from '../../src/ports/memory/random.ts';
import { createMemoryNetwork, type MemoryNetwork } from '../../src/ports/memory/transport.ts';
import { drawGraph } from './graph.ts';
import { withFaults } from './links.ts';
import { typeOf } from './recorder.ts';
import { everybody, MESH } from './simulation.ts';

/**
 * Thousands of peers that are a mesh already: records, links, gossip and liveness of each, as the daemon has them, over a network in memory.
 * They begin with the same records and with the links that these tell of, because to let thousands of peers find each other one by one
 * takes hours. What is held by many exists once (core/replica/pool.ts); that a signature was checked by each of them is counted.
 * Not here: certificates, addresses and keys, of which each peer has its own; with them one process holds hundreds, not thousands.
 */
export interface FormedMesh {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly network: MemoryNetwork;
  readonly peers: readonly FormedPeer[];
  readonly traffic: Traffic;
  /** From now on, one way, ms. */
  setLatency(of: (from: number, to: number) => number): void;
}

export interface FormedPeer {
  readonly number: number;
  readonly peer: PeerId;
  readonly records: OpenRecords;
  readonly links: Links;
  readonly gossip: Gossip;
  readonly liveness: Liveness;
}

/** Of all peers together. */
export interface Traffic {
  messages: number;
  bytes: number;
  /** By number on the wire. */
  readonly byType: number[];
}

export interface FormedOptions {
  readonly peers: number;
  readonly seed: number | string;
  /** Peers of one group are linked with each other only, and know only of what their group wrote. Default: all are in one. */
  readonly groupOf?: (number: number) => number;
  /** What each peer has written, apart from what a daemon writes. */
  readonly note?: (number: number) => unknown;
  readonly onProgress?: (what: string) => void;
}

export const NOTE = 'note';
const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };
const PORT = 6783;
/** What is sent while the mesh is formed is under way for so long, ms. */
const NEXT_DOOR = 0.01;
/** So many peers at once tell their neighbours what they hold. */
const AT_ONCE = 50;

interface Seat {
  readonly number: number;
  readonly identity: Identity;
  readonly boot: string;
  readonly address: string;
  readonly friends: ReadonlySet<PeerId>;
}

interface Shared {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly crypto: Crypto;
  readonly network: MemoryNetwork;
  readonly pool: Pool;
  readonly numbers: PeerNumbers;
  readonly members: readonly PeerId[];
  readonly memberSet: ReadonlySet<PeerId>;
  readonly traffic: Traffic;
  /** Whether everybody may dial whom it likes. */
  free: boolean;
}

export async function formMesh(options: FormedOptions): Promise<FormedMesh> {
  const { peers: count, seed, groupOf = () => 0, note, onProgress = () => {} } = options;
  const clock = createVirtualClock();
  const random = createSeededRandom(seed);
  const crypto = createMemoryCrypto();
  let latency: (from: number, to: number) => number = () => NEXT_DOOR;
  const numberOf = new Map<PeerId, number>();
  const network = createMemoryNetwork({
    clock,
    random: random.fork('network'),
    latency: (from, to) => latency(numberOf.get(from) ?? 0, numberOf.get(to) ?? 0),
  });
  const seats = makeSeats(count, groupOf, crypto, random);
  for (const { number, identity } of seats) numberOf.set(identity.peer, number);
  const members = seats.map(({ identity }) => identity.peer).sort();
  const shared: Shared = {
    clock,
    random,
    crypto,
    network,
    pool: createSharedPool(),
    numbers: createPeerNumbers(),
    members,
    memberSet: new Set(members),
    traffic: { messages: 0, bytes: 0, byType: [] },
    free: false,
  };
  const replicas = replicasOf(shared, seats, groupOf, note);
  onProgress(`${count} peers have their records`);
  const begun: Awaited<ReturnType<typeof beginPeer>>[] = [];
  for (const seat of seats)
    begun.push(await beginPeer(shared, seat, replicas.get(groupOf(seat.number)) as Replica));
  const complete = () => begun.every(({ links, seat }) => links.neighbours().length >= seat.friends.size);
  while (!complete()) await clock.advance(20);
  onProgress(`${count} peers have their links`);
  const peers: FormedPeer[] = [];
  for (const one of begun) {
    peers.push(one.finish());
    if (peers.length % AT_ONCE === 0) await clock.advance(1);
  }
  await clock.advance(200);
  shared.free = true;
  onProgress(`${count} peers are a mesh`);
  return {
    clock,
    random,
    network,
    peers,
    traffic: shared.traffic,
    setLatency(of) {
      latency = of;
    },
  };
}

function makeSeats(
  count: number,
  groupOf: (number: number) => number,
  crypto: Crypto,
  random: SeededRandom,
): readonly Seat[] {
  const identities = Array.from({ length: count }, (_, number): Identity => {
    const seed = random.fork(`peer ${number}`).bytes(32);
    const publicKey = crypto.publicKey(seed);
    return { seed, publicKey, peer: crypto.peerId(publicKey) };
  });
  const groups = Map.groupBy(identities.keys(), groupOf);
  const friends = identities.map(() => new Set<PeerId>());
  for (const group of groups.values()) {
    group.sort((a, b) => ((identities[a] as Identity).peer < (identities[b] as Identity).peer ? -1 : 1));
    for (const [a, b] of drawGraph(group.length, random)) {
      const [from, to] = [group[a] as number, group[b] as number];
      friends[from]?.add((identities[to] as Identity).peer);
      friends[to]?.add((identities[from] as Identity).peer);
    }
  }
  return identities.map((identity, number) => ({
    number,
    identity,
    boot: Buffer.from(random.bytes(8)).toString('hex'),
    address: `10.${1 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`,
    friends: friends[number] as Set<PeerId>,
  }));
}

/** Of each group: what a daemon has written of each peer, and what its own peers noted. */
function replicasOf(
  { crypto, pool }: Shared,
  seats: readonly Seat[],
  groupOf: (number: number) => number,
  note: FormedOptions['note'],
): ReadonlyMap<number, Replica> {
  const replicas = new Map(seats.map(({ number }) => [groupOf(number), createReplica({ pool })]));
  for (const { number, identity, boot, address, friends } of seats) {
    const control = [`${address}:${PORT}`];
    const about = {
      nickname: `p${number}`,
      version: '0.0.0',
      control,
      data: control,
      boot,
      free: 512,
      degree: 64,
    };
    const own = new Map<string, Uint8Array>([
      [KEY.peer, encode(about satisfies PeerRecord)],
      [KEY.links, encode([...friends].sort())],
    ]);
    const first = signDelta({ crypto, identity, mesh: MESH, seq: 1, changes: own });
    for (const replica of replicas.values()) replica.merge(first);
    const text = note?.(number);
    if (text === undefined) continue;
    const changes = new Map([[NOTE, encode(text)]]);
    replicas.get(groupOf(number))?.merge(signDelta({ crypto, identity, mesh: MESH, seq: 2, changes }));
  }
  return replicas;
}

async function beginPeer(shared: Shared, seat: Seat, from: Replica) {
  const { clock, crypto, network, pool, numbers, members, memberSet, traffic } = shared;
  const { identity, number, boot, address, friends } = seat;
  const self = identity.peer;
  const random = shared.random.fork(`life ${number}`);
  const view = clock.view();
  const memory = network.transport(self, {
    doorkeeper: () => ({ admit: true, secret: new Uint8Array(32) }),
    clock: view,
    host: address,
  });
  const onSend = (_: unknown, message: Uint8Array) => {
    const type = typeOf(message);
    traffic.messages++;
    traffic.bytes += message.length;
    traffic.byType[type] = (traffic.byType[type] ?? 0) + 1;
  };
  const transport = withFaults(memory, {
    clock: view,
    random,
    faults: { lost: 0, doubled: 0, late: 0 },
    onSend,
  });
  const replica = createReplica({ pool, from });
  const keeper = forgetfulKeeper();
  const records = createRecords({ identity, mesh: MESH, crypto, clock: view, keeper, log: SILENT, replica });
  const membership = everybody(self, members, memberSet);
  const common = { self, mesh: MESH, crypto, clock: view, random, membership, records, log: SILENT };
  let liveness: Liveness | undefined;
  const addresses = (peer: PeerId) =>
    ((records.get(peer, KEY.peer) as Partial<PeerRecord> | undefined)?.control ?? []) as readonly string[];
  const links = createLinks({
    ...common,
    boot,
    nickname: `p${number}`,
    release: '0.0.0',
    transport,
    book: {
      addresses,
      // All of them have written where they are.
      isKnown: (peer) => shared.free || friends.has(peer),
      succeeded() {},
      learn() {},
      forget() {},
      retain() {},
    },
    view: {
      isUp: (peer) => liveness === undefined || liveness.isUp(peer),
      count: () => liveness?.count() ?? 0,
      degree: (peer) => liveness?.degree(peer) ?? 0,
    },
  });
  await transport.listen([`${address}:${PORT}`], links.accept);
  return {
    links,
    seat,
    finish(): FormedPeer {
      const alive = createLiveness({ ...common, links, numbers });
      liveness = alive;
      return {
        number,
        peer: self,
        records,
        links,
        gossip: createGossip({ ...common, links }),
        liveness: alive,
      };
    },
  };
}

/** Keeps nothing: nobody restarts here. What a disk costs is measured elsewhere. */
function forgetfulKeeper(): Keeper {
  return {
    section: (_name, _check, initial) => ({ get: () => initial, set: async () => {} }),
    flush: async () => {},
  };
}
