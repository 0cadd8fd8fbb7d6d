/**
 * The packet path of one host: a TUN device on one side, a UDP socket on the other, tables in between.
 * The real one is native threads (datapath/native.ts); the twin is ports/memory/datapath.ts. Both pass test/contract/datapath.
 *
 * Peers are known by a slot: a small number that the control plane hands out, at most MAX_SLOTS - 1. Slot 0 is this host.
 */
export interface Datapath {
  /** The bound UDP port. */
  readonly port: number;
  /**
   * Makes a peer known or changes where its datagrams go (`null`: nowhere yet). An authenticated packet from elsewhere moves it.
   * `name`: 64 bits by which all hosts know it, 1 … 2^64-1; it counts the first time, and without one nothing is carried to the peer.
   */
  setPeer(slot: number, endpoint: UdpEndpoint | null, name?: bigint): void;
  /** Forgets the peer with its keys; counters of the slot return to 0. Unknown slots are fine. */
  removePeer(slot: number): void;
  /**
   * The whole table of owners, sorted by `start`, not overlapping: it is at once the routing table (destination → slot) and the table
   * of allowed sources. Swapped atomically; addresses in no range go nowhere.
   */
  setRoutes(ranges: readonly RouteRange[]): void;
  /**
   * All keys that are now valid with the peer, at most MAX_KEYS. Declarative: a key whose `receiveIndex` was there before keeps its
   * counters and replay window, one that is missing is erased. The first time a key is marked `send`, an empty authenticated
   * packet goes out under it, so that the other side learns that it can be used.
   */
  setKeys(slot: number, keys: readonly SessionKey[]): void;
  /**
   * What goes to the peer is sealed for it as ever, and goes by way of the peer in the slot `carrier`, who passes it on unread; `null`: directly.
   * Its packets are then shorter by RELAY_BYTES. Throws DatapathError `bad-argument` for an unknown peer, or one without a name.
   */
  setCarrier(slot: number, carrier: number | null): void;
  /**
   * Asks the peer to send `number` (1 … 2^30-1) back, whichever way packets take now: `null`: directly; a slot: by way of that carrier; an
   * endpoint: there, where the peer may be, too. What was asked by a carrier is answered by it; the rest directly, and by a
   * carrier, too, where that is the way that the peer's packets take. It is moved like by any packet when it is asked from elsewhere. The answer
   * is an event, the same for two of one number.
   * False when there is no key or no place to send it to.
   */
  ask(slot: number, number: number, way: number | UdpEndpoint | null): boolean;
  /** Reads shared memory; costs no call into the threads. */
  counters(): DatapathCounters;
  /** Stops the threads and closes the descriptors; the TUN device stays when it was made persistent. Resolves when they are gone. */
  close(): Promise<void>;
}

export interface UdpEndpoint {
  /** IPv4 or IPv6 text, without brackets. */
  readonly address: string;
  readonly port: number;
}

export interface RouteRange {
  /** First and last IPv4 address as unsigned 32-bit numbers, both inside the range. */
  readonly start: number;
  readonly last: number;
  readonly slot: number;
}

export type CipherSuite = 'aes-256-gcm' | 'chacha20-poly1305';

export interface SessionKey {
  /** What arriving packets carry to say which key opens them: unique on this host, 1 … 2^32-1, random. */
  readonly receiveIndex: number;
  /** What departing packets carry. */
  readonly sendIndex: number;
  /** 32 bytes each; no key is ever used in both directions. */
  readonly receiveKey: Uint8Array;
  readonly sendKey: Uint8Array;
  readonly suite: CipherSuite;
  /** At most one key of a peer has it: departing packets are sealed with this one. */
  readonly send: boolean;
}

/** Coalesced and rate-limited; delivered on the event loop. */
export type DatapathEvent =
  /** A packet for this peer found no key to seal with. At most one a second and slot. */
  | { readonly type: 'keyWanted'; readonly slot: number }
  /** The first authenticated packet under this key arrived. */
  | { readonly type: 'keyConfirmed'; readonly slot: number; readonly receiveIndex: number }
  /** An authenticated packet came from a new address, which is now the peer's. */
  | { readonly type: 'roamed'; readonly slot: number; readonly endpoint: UdpEndpoint }
  /** The peer has sent back what it was asked to. */
  | { readonly type: 'answered'; readonly slot: number; readonly number: number }
  /** A sending key has passed REKEY_AFTER_PACKETS. */
  | { readonly type: 'rekeyDue'; readonly slot: number }
  /** The device or the socket failed for good; the path is down. */
  | { readonly type: 'failed'; readonly message: string };

export interface DatapathOptions {
  /** Name of the TUN device; made when missing, adopted when there. */
  readonly device: string;
  /** UDP port to bind, 0 for any. */
  readonly port: number;
  /** Address to bind, IPv4 or IPv6 text; `::` takes both families. */
  readonly address: string;
  /**
   * What stands before the last 32 bits of the mesh's IPv6 addresses, as an address in which those are zero: `fd12:3456:789a::`. An inner
   * address that begins so belongs to the owner of the IPv4 address at its end (as in RFC 6052 §2.2); any other is nobody's, and without
   * a prefix all are.
   */
  readonly ipv6Prefix?: string;
  /** Whether datagrams are carried from one peer to another that it cannot reach. Default true. */
  readonly carries?: boolean;
  readonly onEvent: (event: DatapathEvent) => void;
}

export type OpenDatapath = (options: DatapathOptions) => Promise<Datapath>;

/** All values only grow until the slot is removed or the path is closed. */
export interface DatapathCounters {
  /** Sum over peers and threads. */
  readonly total: PeerCounters;
  /** By slot; slots that were never set are absent. */
  readonly peers: ReadonlyMap<number, PeerCounters>;
  /** Packets that were dropped, by reason; those of a known peer are also in that peer's `dropped`. */
  readonly drops: Readonly<Record<DropReason, bigint>>;
}

export interface PeerCounters {
  /** Inner packets and inner bytes. */
  readonly sentPackets: bigint;
  readonly sentBytes: bigint;
  readonly receivedPackets: bigint;
  readonly receivedBytes: bigint;
  readonly dropped: bigint;
  /** Bytes of datagrams of this peer that were carried on to others, headers of the carrying included. */
  readonly relayedBytes: bigint;
}

export const DROP_REASONS = [
  /** From the TUN: not IP, truncated, larger than fits. */
  'txMalformed',
  /** From the TUN: the source is not an address of this host. */
  'txSource',
  /** From the TUN: nobody owns the destination. */
  'txNoRoute',
  /** From the TUN: no key, or no endpoint, for the peer. */
  'txNoKey',
  /** The socket's queue is full or the kernel refused the datagram. */
  'txQueue',
  /** The hard limit of packets under one key is reached. */
  'txExhausted',
  /** From the TUN: longer than the IPv6 wires to the peer carry, which no router has said; the sender was told. */
  'txTooLong',
  /** From the wire: too short, unknown type. */
  'rxMalformed',
  /** From the wire: no key has this index. */
  'rxNoKey',
  /** From the wire: the tag is wrong. */
  'rxForged',
  /** From the wire: seen before, or older than the window. */
  'rxReplayed',
  /** Authentic, but the inner packet is malformed, or the wire marked it as congested although it knows no ECN (RFC 6040). */
  'rxInner',
  /** Authentic, but the inner source does not belong to the peer. */
  'rxSource',
  /** Authentic, but the inner destination is not on this host. */
  'rxDestination',
  /** The TUN refused the packet or its queue is full. */
  'rxQueue',
  /** To be carried on: this host does not. */
  'relayOff',
  /** To be carried on, or carried here: from no peer with a proven key, or not from where that peer is. */
  'relayStranger',
  /** To be carried on: to nobody who has a key with this host and is reached directly, or back to who sent it. */
  'relayNowhere',
  /** To be carried on: the socket's queue is needed for what this host sends itself, or the kernel refused. */
  'relayQueue',
] as const;
export type DropReason = (typeof DROP_REASONS)[number];

export const MAX_SLOTS = 16_384;
export const MAX_KEYS = 3;
/** What stands before a datagram that is carried. */
export const RELAY_BYTES = 16;
/** Rekey at 2^60 packets, stop with margin before the 64-bit counter ends. */
export const REKEY_AFTER_PACKETS = 1n << 60n;
export const REJECT_AFTER_PACKETS = (1n << 64n) - (1n << 13n) - 1n;

export type DatapathErrorCode =
  /** The host has no TUN driver, or the process may not see it. */
  | 'no-tun'
  | 'not-permitted'
  /** Another process has the device open. */
  | 'device-busy'
  /** The name belongs to a link of another kind, or is none. */
  | 'device-taken'
  | 'port-taken'
  | 'address-missing'
  | 'namespace-missing'
  /** The compiled half is not there. */
  | 'not-built'
  | 'bad-argument'
  | 'system';

/** The message says in one line what to do. */
export class DatapathError extends Error {
  readonly code: DatapathErrorCode;
  constructor(code: DatapathErrorCode, message: string) {
    super(message);
    this.name = 'DatapathError';
    this.code = code;
  }
}
