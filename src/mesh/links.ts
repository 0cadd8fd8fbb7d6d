import type { Crypto } from '../core/crypto.ts';
import type { MeshId, PeerId } from '../core/ids.ts';
import { type Hello, type LinkMessage, PROTOCOL } from '../core/wire/messages.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Random } from '../ports/random.ts';
import { DialError, type Link, type Transport } from '../ports/transport.ts';
import type { AddressBook } from './address-book.ts';
import { type Channel, createChannel } from './links/channel.ts';
import { dialAny } from './links/dial.ts';
import { type Handshake, startHandshake } from './links/handshake.ts';
import { createJudge } from './links/judge.ts';
import { createNeighbours } from './links/neighbours.ts';
import { startUpkeep } from './links/upkeep.ts';
import type { Membership } from './membership.ts';
import type { Records } from './records.ts';
import { createRedial } from './redial.ts';

/** The open links of this peer, and the work of having enough of them. */
export interface Links {
  /** Takes in a link that came through an epoch door. */
  accept(link: Link): void;
  /** Peers with an open link, by id. */
  neighbours(): readonly Neighbour[];
  neighbour(peer: PeerId): Neighbour | undefined;
  /** Those of them whose link is not about to be given up. */
  lasting(): readonly Neighbour[];
  /**
   * Addresses to dial until each has led to some member, and again while members are out of reach. Adds to those told before.
   */
  connect(addresses: readonly string[]): void;
  /** One for each member that is linked or being tried, and for each address of `connect` that is. For status. */
  states(): readonly LinkState[];
  watch(watcher: LinksWatcher): () => void;
  /** One handler for each type of message that is not about the link itself. */
  handle<Type extends LinkMessage['type']>(type: Type, handler: MessageHandler<Type>): void;
  /** Tells the neighbours, closes all links and makes no more. */
  close(): void;
}

export type MessageHandler<Type extends LinkMessage['type']> = (
  from: Neighbour,
  message: Extract<LinkMessage, { type: Type }>,
) => void;

export interface Neighbour {
  readonly peer: PeerId;
  /** Of the other side, `host:port`; an ephemeral port when it was accepted. */
  readonly address: string;
  readonly direction: Link['direction'];
  readonly nickname: string;
  readonly release: string;
  readonly boot: string;
  /** This side's `host:port` as the other side sees it. */
  readonly observed: string;
  /** How many other links it had when it greeted. */
  readonly links: number;
  /** By the clock. */
  readonly since: number;
  /** False when the link is closed. */
  send(message: LinkMessage): boolean;
  /** Bytes that may be sent before the other side has read what it has. */
  room(): number;
}

export interface LinksWatcher {
  up?(neighbour: Neighbour): void;
  down?(neighbour: Neighbour, reason: string): void;
  /** The link is not needed: it works until it is given up, but others are not to count on it any more. */
  retired?(neighbour: Neighbour): void;
  /** `neighbour.room()` has grown. */
  room?(neighbour: Neighbour): void;
}

export interface LinkState {
  /** Undefined for an address of `connect` behind which nobody is known yet. */
  readonly peer: PeerId | undefined;
  readonly address: string | undefined;
  readonly direction: Link['direction'] | undefined;
  readonly state: 'connected' | 'dialling' | 'backing-off';
  readonly lastError: string | undefined;
  /** Milliseconds until the next try; 0 unless backing off. */
  readonly nextTry: number;
}

export interface LinksParts {
  readonly self: PeerId;
  readonly mesh: MeshId;
  /** 16 hex characters, random at each start. */
  readonly boot: string;
  readonly nickname: string;
  readonly release: string;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Pick<Transport, 'dial'>;
  readonly membership: Membership;
  readonly records: Records;
  readonly book: AddressBook;
  /** What liveness knows. Not asked before the first timer fires, so it may be made after the links. */
  readonly view: OverlayView;
  /** Links that this peer accepts; absent: MOST_ACCEPTED. */
  readonly degree?: number;
  readonly log: Log;
}

export interface OverlayView {
  isUp(peer: PeerId): boolean;
  /** How many are up, this peer included. */
  count(): number;
  /** Links that a peer says it has. */
  degree(peer: PeerId): number;
}

export const MOST_ACCEPTED = 64;

export function createLinks(parts: LinksParts): Links {
  const { self, mesh, boot, crypto, clock, random, transport, membership, book, log } = parts;
  const doors = () => membership.doors();
  const neighbours = createNeighbours(log, membership.hearProof);
  /** Greetings on links that this side dialled, by the other side. */
  const greeting = new Map<PeerId, Handshake>();
  const accepting = new Set<Handshake>();
  const judge = createJudge({ ...parts, degree: parts.degree ?? MOST_ACCEPTED, neighbours, greeting });
  const peers = createRedial<PeerId>({ clock, random, dial: dialPeer, onFailure: () => upkeep.soon() });
  const seeds = createRedial<string>({ clock, random, dial: dialSeed });
  const upkeep = startUpkeep({ ...parts, neighbours, peers, seeds });
  let closed = false;

  async function dialPeer(peer: PeerId, signal: AbortSignal): Promise<void> {
    const link = await dialAny({ transport, doors: doors(), addresses: book.addresses(peer), signal });
    if (link.remote !== peer) {
      link.close();
      book.forget(peer, link.remoteAddress);
      throw new Error(`${link.remoteAddress} is ${link.remote}, not ${peer}`);
    }
    await greet(link, signal);
  }

  async function dialSeed(address: string, signal: AbortSignal): Promise<void> {
    let link: Link;
    try {
      link = await dialAny({ transport, doors: doors(), addresses: [address], signal });
    } catch (error) {
      if (!(error instanceof DialError) || error.reason !== 'self') throw error;
      upkeep.ledTo(address, self);
      return;
    }
    upkeep.ledTo(address, link.remote);
    if (neighbours.get(link.remote) === undefined) await greet(link, signal);
    else link.close();
  }

  /** Resolves when the link is up, or another one to the same peer is. */
  function greet(link: Link, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const { remote } = link;
    const channel = createChannel({ link, crypto, clock, log });
    let handshake: Handshake | undefined;
    const abort = () => handshake?.abandon('duplicate', 'another link was made first');
    const end = () => {
      signal.removeEventListener('abort', abort);
      if (greeting.get(remote)?.channel === channel) greeting.delete(remote);
    };
    greeting.get(remote)?.abandon('duplicate', 'dialled again');
    handshake = startHandshake({
      channel,
      clock,
      hello: () => ownHello(link),
      check: (hello) => judge(link, hello),
      done: (hello) => {
        end();
        add(channel, hello);
        resolve();
      },
      failed: ({ reason, message, proof }) => {
        end();
        membership.hearProof(proof);
        if (reason === 'duplicate' && neighbours.get(remote) !== undefined) resolve();
        else reject(new Error(`${link.remoteAddress}: ${message}`));
      },
    });
    signal.addEventListener('abort', abort);
    greeting.set(remote, handshake);
    if (closed || signal.aborted) abort();
    return promise;
  }

  function accept(link: Link): void {
    const channel = createChannel({ link, crypto, clock, log });
    const handshake = startHandshake({
      channel,
      clock,
      hello: () => ownHello(link),
      check: (hello) => judge(link, hello),
      done: (hello) => {
        accepting.delete(handshake);
        add(channel, hello);
      },
      failed: ({ reason, message }) => {
        accepting.delete(handshake);
        const { remote: peer, remoteAddress: address } = link;
        // Two peers that dial each other at once are the rule, not an event.
        const level = reason === 'duplicate' ? 'debug' : 'info';
        log[level]('did not accept a link', { peer, address, reason, message });
      },
    });
    accepting.add(handshake);
    if (closed) handshake.abandon('closing', 'this peer is shutting down');
  }

  function ownHello(link: Link): Hello {
    const { nickname, release } = parts;
    const fixed = { type: 'hello', protocol: PROTOCOL, mesh, boot, nickname, release } as const;
    const links = neighbours.size();
    return { ...fixed, observed: link.remoteAddress, links, credentials: membership.credentials() };
  }

  function add(channel: Channel, hello: Hello): void {
    const { remote: peer, remoteAddress: address, direction } = channel.link;
    const { nickname, release, boot: theirs, observed, links } = hello;
    if (direction === 'dialled') book.succeeded(peer, address);
    upkeep.linked(peer);
    const said = { nickname, release, boot: theirs, observed, links };
    const { send, room } = channel;
    neighbours.add({ peer, address, direction, ...said, since: clock.now(), send, room, channel });
  }

  function states(): readonly LinkState[] {
    const none = { direction: undefined, lastError: undefined, nextTry: 0 };
    const up = neighbours.list().map(({ peer, address, direction }) => {
      return { ...none, peer, address, direction, state: 'connected' as const };
    });
    const tried = [...peers.states()].map(([peer, state]) => {
      return { ...none, ...state, peer, address: book.addresses(peer)[0] };
    });
    const asked = [...seeds.states()].map(([address, state]) => {
      return { ...none, ...state, peer: undefined, address };
    });
    return [...up, ...tried, ...asked];
  }

  return {
    accept,
    neighbours: neighbours.list,
    neighbour: neighbours.get,
    lasting: neighbours.lasting,
    connect: upkeep.connect,
    states,
    watch: neighbours.watch,
    handle: neighbours.handle,
    close() {
      closed = true;
      upkeep.close();
      peers.close();
      seeds.close();
      for (const handshake of [...accepting, ...greeting.values()]) {
        handshake.abandon('closing', 'this peer is shutting down');
      }
      for (const neighbour of neighbours.list()) {
        neighbours.drop(neighbour, 'closing', 'this peer is shutting down');
      }
    },
  };
}
