import { parseIp } from '../../core/address.ts';
import type { Clock } from '../clock.ts';
import {
  type Datapath,
  DatapathError,
  type DatapathEvent,
  type DatapathOptions,
  REJECT_AFTER_PACKETS,
  REKEY_AFTER_PACKETS,
  type RouteRange,
  type UdpEndpoint,
} from '../datapath.ts';
import {
  checkDevice,
  checkEndpoint,
  checkIpv6Prefix,
  checkKeys,
  checkName,
  checkPort,
  checkQuestion,
  checkRoutes,
  checkSlot,
} from '../datapath-check.ts';
import { createCarrier, isSame } from './carrier.ts';
import {
  type DatagramHeader,
  isCarried,
  openMemory,
  parseDatagram,
  sealMemory,
  writeRelayed,
} from './datagram.ts';
import type { MemoryWire } from './datagram-wire.ts';
import { createPeerTable, type Peer, type Session } from './datapath-peers.ts';
import { parseInner } from './inner-packet.ts';
import { createReplayWindow } from './replay-window.ts';

export interface MemoryDatapath extends Datapath {
  /** What the host's stack does when it routes a packet to the device. */
  send(packet: Uint8Array): void;
}

export interface MemoryDatapathParts {
  readonly wire: MemoryWire;
  readonly clock: Clock;
  /** The host's own address on the wire; `::` and `0.0.0.0` bind to it. */
  readonly host: string;
  /** The one of the other family, if it has both: what goes to an address of that family leaves from it. */
  readonly other?: string;
  /** Gets each packet that the data path hands to the host's stack. */
  readonly onPacket?: (packet: Uint8Array) => void;
  readonly limits?: { readonly rekeyAfter?: bigint; readonly rejectAfter?: bigint };
}

type Way = Parameters<Datapath['ask']>[2];

function isPlace(way: Way): way is UdpEndpoint {
  return typeof way === 'object' && way !== null;
}

const KEY_WANTED_INTERVAL = 1_000;
const TX_LANE = 0;
const CONTROL_LANE = 4;
const PROBE_BYTES = 5;
/** Of a question's number: native/src/wire.h. */
const REACH = 0x8000_0000;
const CARRIED = 0x4000_0000;

/**
 * The data path without a kernel: the same rules, counters and events as the native one, over a MemoryWire. Its cipher is a
 * checksum over key, header and body: it tells a wrong key and any change, and hides nothing.
 */
export async function openMemoryDatapath(
  options: DatapathOptions,
  parts: MemoryDatapathParts,
): Promise<MemoryDatapath> {
  const { wire, clock, onPacket = () => {} } = parts;
  const { rekeyAfter = REKEY_AFTER_PACKETS, rejectAfter = REJECT_AFTER_PACKETS } = parts.limits ?? {};
  checkDevice(options.device);
  checkPort(options.port);
  const isAddress = (text: string): boolean => parseIp(text).ok;
  if (!isAddress(options.address))
    throw new DatapathError('bad-argument', `"${options.address}" is not an IP address to bind`);

  const prefix = options.ipv6Prefix === undefined ? undefined : checkIpv6Prefix(options.ipv6Prefix);
  const table = createPeerTable();
  const { drop } = table;
  let routes: readonly RouteRange[] = [];
  let open = true;

  const ownerOf = (address: number | undefined): number | undefined => {
    if (address === undefined) return undefined;
    let low = 0;
    let high = routes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((routes[middle] as RouteRange).start <= address) low = middle + 1;
      else high = middle;
    }
    const range = routes[low - 1];
    return range && address <= range.last ? range.slot : undefined;
  };

  // Events are told in a later turn, as the native path does it, and those of one kind and peer only once.
  const pending = new Map<string, DatapathEvent>();
  const raise = (event: DatapathEvent): void => {
    if (pending.size === 0) clock.setTimer(0, tell);
    const key = 'receiveIndex' in event ? event.receiveIndex : 'number' in event ? event.number : '';
    pending.set(`${event.type} ${'slot' in event ? event.slot : ''} ${key}`, event);
  };
  const tell = (): void => {
    const events = [...pending.values()];
    pending.clear();
    for (const event of events) if (open) options.onEvent(event);
  };

  const endpoint = wire.bind(parts.host, options.port, (datagram, from) => arrive(datagram, from));
  const { other } = parts;
  const second = other === undefined ? undefined : wire.bind(other, endpoint.port, arrive);
  const isIpv6 = ({ address }: UdpEndpoint) => address.includes(':');
  const transmitTo = (to: UdpEndpoint, datagram: Uint8Array): void => {
    const isOther = second !== undefined && isIpv6(second) === isIpv6(to);
    wire.send(isOther ? second : endpoint, to, datagram);
  };

  const carrier = createCarrier({
    table,
    carries: options.carries ?? true,
    send: transmitTo,
  });

  /** read → look up → seal → send */
  function send(packet: Uint8Array) {
    if (!open) return;
    const ip = parseInner(packet, prefix);
    if (!ip) return drop('txMalformed');
    const owner = ownerOf(ip.destination);
    if (owner === undefined || owner === 0) return drop('txNoRoute');
    if (ownerOf(ip.source) !== 0) return drop('txSource');
    const peer = table.peer(owner);
    if (!peer) return drop('txNoKey');
    const session = peer.sending;
    if (!session) {
      wantKey(peer);
      return drop('txNoKey', peer);
    }
    if (!carrier.hopTo(peer, peer.carrier)) return drop('txNoKey', peer);
    if (session.counter >= rejectAfter) return drop('txExhausted', peer);
    transmit(session, packet.subarray(0, ip.length));
    peer.counters.sentPackets++;
    peer.counters.sentBytes += BigInt(ip.length);
  }

  function wantKey(peer: Peer): void {
    if (clock.now() < peer.nextKeyWanted) return;
    peer.nextKeyWanted = clock.now() + KEY_WANTED_INTERVAL;
    raise({ type: 'keyWanted', slot: peer.slot });
  }

  /** `way`: as in Datapath.ask. */
  function put(session: Session, way: Way, header: Omit<DatagramHeader, 'index'>, body: Uint8Array) {
    const by = typeof way === 'number' ? way : null;
    const hop = isPlace(way) ? { to: way, session } : carrier.hopTo(session.peer, by);
    if (!hop) return false;
    const { sendKey, sendIndex, suite } = session.key;
    const datagram = sealMemory(sendKey, suite, { ...header, index: sendIndex }, body);
    const relay = { type: 4, index: hop.session.key.sendIndex, name: session.peer.name ?? 0n } as const;
    transmitTo(hop.to, by === null ? datagram : writeRelayed(relay, datagram));
    return true;
  }

  function transmit(session: Session, body: Uint8Array): void {
    put(session, session.peer.carrier, { type: 1, lane: TX_LANE, counter: session.counter++ }, body);
    if (session.counter < rekeyAfter || session.rekeyAsked) return;
    session.rekeyAsked = true;
    raise({ type: 'rekeyDue', slot: session.peer.slot });
  }

  function greet(peer: Peer): void {
    const session = peer.sending;
    if (!session || session.greeted || !peer.endpoint) return;
    session.greeted = put(
      session,
      peer.carrier,
      { type: 1, lane: CONTROL_LANE, counter: 0n },
      new Uint8Array(0),
    );
  }

  function arrive(datagram: Uint8Array, from: UdpEndpoint) {
    if (!open) return;
    if (!isCarried(datagram)) return receive(datagram, from);
    const inner = carrier.take(datagram, from);
    if (inner) receive(inner.datagram, null, inner.by);
  }

  /** receive → open → check source → write. `from` null: the host in the slot `by` has carried it. */
  function receive(datagram: Uint8Array, from: UdpEndpoint | null, by: number | null = null) {
    const header = parseDatagram(datagram);
    if (!header) return drop('rxMalformed');
    const session = table.session(header.index);
    if (!session) return drop('rxNoKey');
    const { peer } = session;
    let window = session.windows.get(header.lane);
    if (header.counter >= REJECT_AFTER_PACKETS || window?.stale(header.counter))
      return drop('rxReplayed', peer);
    const body = openMemory(session.key.receiveKey, session.key.suite, datagram);
    if (!body) return drop('rxForged', peer);
    if (!window) {
      window = createReplayWindow();
      session.windows.set(header.lane, window);
    }
    noteSender(session, window.mark(header.counter), from);
    if (header.type === 1 && body.length === 0) return;
    if (header.type === 3) return answer(session, body, by);
    deliver(peer, header.type, body);
  }

  /** A question whether datagrams of full size pass (native/src/wire.h). This path has no reason to ask: its wire takes all sizes. */
  function answer(session: Session, body: Uint8Array, by: number | null) {
    const { peer } = session;
    const [kind = 2] = body;
    if (body.length < PROBE_BYTES || kind > 1) return drop('rxInner', peer);
    const number = new DataView(body.buffer, body.byteOffset).getUint32(1);
    if (kind === 1 && number >= REACH) raise({ type: 'answered', slot: peer.slot, number: number % CARRIED });
    if (kind === 1 || !peer.sending) return;
    const isCarried = number >= REACH + CARRIED;
    const back = Uint8Array.of(1, ...body.subarray(1, PROBE_BYTES));
    say(peer.sending, isCarried ? by : peer.carrier, back);
    // Who carries may have died, and both ends find that the direct way works only if an answer takes it.
    if (number >= REACH && !isCarried && peer.carrier !== null) say(peer.sending, null, back);
  }

  function say(session: Session, way: Way, body: Uint8Array): boolean {
    return put(session, way, { type: 3, lane: CONTROL_LANE, counter: ++session.said }, body);
  }

  function noteSender(session: Session, newest: boolean, from: UdpEndpoint | null): void {
    const { peer } = session;
    if (!session.confirmed) {
      session.confirmed = true;
      raise({ type: 'keyConfirmed', slot: peer.slot, receiveIndex: session.key.receiveIndex });
    }
    const { endpoint: known } = peer;
    if (!newest || !from || isSame(known, from)) return;
    peer.endpoint = from;
    raise({ type: 'roamed', slot: peer.slot, endpoint: from });
  }

  function deliver(peer: Peer, type: number, body: Uint8Array) {
    const ip = parseInner(body, prefix);
    if (type !== 1 || !ip || ip.length !== body.length) return drop('rxInner', peer);
    if (ownerOf(ip.source) !== peer.slot) return drop('rxSource', peer);
    if (ownerOf(ip.destination) !== 0) return drop('rxDestination', peer);
    peer.counters.receivedPackets++;
    peer.counters.receivedBytes += BigInt(body.length);
    onPacket(body);
  }

  return {
    port: endpoint.port,
    send,
    setPeer(slot, to, name) {
      checkSlot(slot);
      if (name !== undefined) checkName(name);
      if (to) checkEndpoint(to, isAddress);
      if (open) greet(table.set(slot, to, name));
    },
    removePeer(slot) {
      checkSlot(slot);
      if (open) table.remove(slot);
    },
    setRoutes(ranges) {
      checkRoutes(ranges);
      if (open) routes = [...ranges];
    },
    setKeys(slot, keys) {
      checkSlot(slot);
      checkKeys(keys);
      if (open) greet(table.setKeys(slot, keys));
    },
    setCarrier(slot, by) {
      checkSlot(slot);
      if (by !== null) checkSlot(by);
      const peer = table.peer(slot);
      if (!open) return;
      if (!peer || by === slot || (by !== null && peer.name === undefined))
        throw new DatapathError('bad-argument', 'the peer is unknown or has no name');
      peer.carrier = by;
    },
    ask(slot, number, way) {
      checkSlot(slot);
      checkQuestion(number);
      if (isPlace(way)) checkEndpoint(way, isAddress);
      else if (way !== null) checkSlot(way);
      const session = table.peer(slot)?.sending;
      if (!open || !session) return false;
      const body = new Uint8Array(PROBE_BYTES);
      new DataView(body.buffer).setUint32(1, number + REACH + (typeof way === 'number' ? CARRIED : 0));
      return say(session, way, body);
    },
    counters: () => table.counters(),
    async close() {
      open = false;
      wire.unbind(endpoint);
      if (second !== undefined) wire.unbind(second);
    },
  };
}
