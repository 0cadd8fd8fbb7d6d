import {
  type CipherSuite,
  type Datapath,
  type DatapathEvent,
  DROP_REASONS,
  type DropReason,
  type SessionKey,
  type UdpEndpoint,
} from '../../src/ports/datapath.ts';
import type { DatagramHeader } from '../../src/ports/memory/datagram.ts';

/** What an implementation must offer so that the suite can look at both of its sides: the host's stack and the wire. */
export interface DatapathRig {
  /** A data path with nothing in its tables. */
  open(change?: RigChange): Promise<RigHost>;
  /** A socket on the wire that the test speaks through. */
  stranger(): Promise<RigStranger>;
  seal(key: Uint8Array, suite: CipherSuite, header: DatagramHeader, body: Uint8Array): Uint8Array;
  unseal(key: Uint8Array, suite: CipherSuite, datagram: Uint8Array): Uint8Array | undefined;
  /** Rejects when the condition does not come true in reasonable time. */
  until(condition: () => boolean): Promise<void>;
  /** Closes everything that was opened. */
  end(): Promise<void>;
}

export interface RigChange {
  readonly rekeyAfter?: bigint;
  readonly rejectAfter?: bigint;
  readonly carries?: boolean;
}

export interface RigHost {
  readonly datapath: Datapath;
  readonly endpoint: UdpEndpoint;
  readonly events: DatapathEvent[];
  /** Packets that the host's stack got. */
  readonly received: Uint8Array[];
  /** Hands a packet to the device. */
  send(packet: Uint8Array): void;
}

export interface RigStranger {
  readonly endpoint: UdpEndpoint;
  readonly received: Uint8Array[];
  send(to: UdpEndpoint, datagram: Uint8Array): void;
}

export const ip = (text: string): number =>
  text.split('.').reduce((value, part) => value * 256 + Number(part), 0);

/** The local host has 10.32.0.0/24 and the peer 10.32.1.0/24, seen from the first; the rest is nobody's. */
export const HERE = ip('10.32.0.5');
export const THERE = ip('10.32.1.7');
export const NOBODY = ip('10.47.0.1');
export const SLOT = 1;

export const ROUTES = [
  { start: ip('10.32.0.0'), last: ip('10.32.0.255'), slot: 0 },
  { start: ip('10.32.1.0'), last: ip('10.32.1.255'), slot: SLOT },
  { start: ip('10.32.2.0'), last: ip('10.32.2.255'), slot: 2 },
];
export const ROUTES_THERE = ROUTES.map(({ start, last, slot }) => ({
  start,
  last,
  slot: slot < 2 ? 1 - slot : 2,
}));

/** What stands before those in IPv6 addresses; every data path of the rigs is opened with it. */
export const IPV6_PREFIX = {
  text: 'fd12:3456:789a::',
  bytes: Buffer.from('fd123456789a000000000000', 'hex'),
};

/** An IPv4 packet of an experimental protocol (RFC 3692), so that no stack answers it; the checksum is right. */
export function packet(
  source: number,
  destination: number,
  payload: string | Uint8Array = 'hello',
): Uint8Array {
  const body = Buffer.from(payload);
  const bytes = Buffer.alloc(20 + body.length);
  bytes.set([0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 253]);
  bytes.writeUInt16BE(bytes.length, 2);
  bytes.writeUInt32BE(source, 12);
  bytes.writeUInt32BE(destination, 16);
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += bytes.readUInt16BE(at);
  bytes.writeUInt16BE(~((sum & 0xffff) + (sum >>> 16)) & 0xffff, 10);
  bytes.set(body, 20);
  return new Uint8Array(bytes);
}

/** The same of IPv6; `headers` stand between the fixed header and the payload, of which the first is of protocol `next`. */
export function packet6(
  source: number,
  destination: number,
  payload: string | Uint8Array = 'hello',
  change: { readonly prefix?: Uint8Array; readonly next?: number; readonly headers?: Uint8Array } = {},
): Uint8Array {
  const { prefix = IPV6_PREFIX.bytes, next = 253, headers = new Uint8Array(0) } = change;
  const body = Buffer.concat([headers, Buffer.from(payload)]);
  const bytes = Buffer.alloc(40 + body.length);
  bytes.set([0x60, 0, 0, 0, 0, 0, next, 64]);
  bytes.writeUInt16BE(body.length, 4);
  for (const [at, address] of [
    [8, source],
    [24, destination],
  ] as const) {
    bytes.set(prefix, at);
    bytes.writeUInt32BE(address, at + 12);
  }
  bytes.set(body, 40);
  return new Uint8Array(bytes);
}

export const keyBytes = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);

export function key(change: Partial<SessionKey> = {}): SessionKey {
  return {
    receiveIndex: 0x01020304,
    sendIndex: 0x0a0b0c0d,
    receiveKey: keyBytes(1),
    sendKey: keyBytes(2),
    suite: 'aes-256-gcm',
    send: true,
    ...change,
  };
}

/** The same key as the other side holds it. */
export const mirrored = (one: SessionKey): SessionKey => ({
  ...one,
  receiveIndex: one.sendIndex,
  sendIndex: one.receiveIndex,
  receiveKey: one.sendKey,
  sendKey: one.receiveKey,
});

export function drops(host: RigHost): Partial<Record<DropReason, number>> {
  const all = host.datapath.counters().drops;
  return Object.fromEntries(
    DROP_REASONS.filter((reason) => all[reason] > 0n).map((reason) => [reason, Number(all[reason])]),
  );
}

export const dropped = (host: RigHost): number => Object.values(drops(host)).reduce((sum, n) => sum + n, 0);

/** One host that knows a peer, whose part the test plays with a socket and the peer's keys. */
export interface Story {
  readonly host: RigHost;
  readonly peer: RigStranger;
  /** A datagram from the peer; counters follow one another unless told. */
  sealed(body: Uint8Array, change?: Partial<DatagramHeader>): Uint8Array;
  /** What the peer got, opened. */
  opened(): (Uint8Array | undefined)[];
  /** Sends a packet from the peer and waits for it: everything sent before has then been judged. */
  arrives(): Promise<void>;
}

export async function createStory(rig: DatapathRig, one: SessionKey = key(), limits = {}): Promise<Story> {
  const host = await rig.open(limits);
  const peer = await rig.stranger();
  host.datapath.setRoutes(ROUTES);
  host.datapath.setPeer(SLOT, peer.endpoint);
  host.datapath.setKeys(SLOT, [one]);
  let counter = 0n;
  let marks = 0;
  const sealed = (body: Uint8Array, change: Partial<DatagramHeader> = {}): Uint8Array => {
    const header = { type: 1, lane: 0, index: one.receiveIndex, counter: counter++, ...change };
    return rig.seal(one.receiveKey, one.suite, header, body);
  };
  return {
    host,
    peer,
    sealed,
    opened: () => peer.received.map((datagram) => rig.unseal(one.sendKey, one.suite, datagram)),
    async arrives() {
      const mark = packet(THERE, HERE, `mark ${++marks}`);
      peer.send(host.endpoint, sealed(mark, { lane: 1 }));
      await rig.until(() => Buffer.from(host.received.at(-1) ?? []).equals(mark));
      host.received.pop();
    },
  };
}
