import type { Crypto } from '../core/crypto.ts';
import type { MeshId, PeerId } from '../core/ids.ts';
import { type Hello, type LinkMessage, PROTOCOL } from '../core/wire/messages.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Random } from '../ports/random.ts';
import type { Door, Link, Transport } from '../ports/transport.ts';
import type { AddressBook } from './address-book.ts';
import { type Channel, createChannel } from './links/channel.ts';
import { chooseSurplus, chooseTargets, type Situation } from './links/choice.ts';
import { dialAny } from './links/dial.ts';
import { type Handshake, type Refused, startHandshake } from './links/handshake.ts';
import type { Membership } from './membership.ts';
import { KEY, type Records } from './records.ts';
import { createRedial } from './redial.ts';

/** The open links of this peer, and the work of having enough of them. */
export interface Links {
  /** Takes in a link that came through an epoch door. */
  accept(link: Link): void;
  /** Peers with an open link, by id. */
  neighbours(): readonly Neighbour[];
  neighbour(peer: PeerId): Neighbour | undefined;
  /** Addresses to dial for as long as there is no link at all; whichever member answers will do. Adds to those told before. */
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
  /** Doors to dial by, tried in turn when the other side answers `old-epoch`; absent: the current one. */
  readonly doors?: () => readonly Door[];
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
  /** Links that a peer says it has. */
  degree(peer: PeerId): number;
}

export const MOST_ACCEPTED = 64;
export const BEAT_EVERY = 2_000;
/** Three beats missed. */
export const SILENT_AFTER = 6_000;
const TICK = 1_000;
const SURPLUS_EVERY = 10;
/** How much longer the larger id waits with its first try, so that two peers rarely dial each other at once. */
const LARGER_WAITS = 500;
const FIRST_SPREAD = 50;
/** A link that was silent for so long gives way to a new one, however it was made. */
const STALE_AFTER = 3_000;
/** A timer that is late by more says that this process could not run, or slept. */
const LAG = 500;

interface Open extends Neighbour {
  readonly channel: Channel;
}

export function createLinks(parts: LinksParts): Links {
  const { self, mesh, boot, crypto, clock, random, transport, membership, records, book, view, log } = parts;
  const degree = parts.degree ?? MOST_ACCEPTED;
  const doors = parts.doors ?? (() => [membership.door()]);
  const open = new Map<PeerId, Open>();
  /** Greetings on links that this side dialled, by the other side. */
  const greeting = new Map<PeerId, Handshake>();
  const accepting = new Set<Handshake>();
  const watchers = new Set<LinksWatcher>();
  const handlers = new Map<LinkMessage['type'], (from: Neighbour, message: LinkMessage) => void>();
  const seeds = new Set<string>();
  let closed = false;
  let ticks = 0;
  let evaluation: Timer | undefined;
  let ticker = clock.setTimer(TICK, () => tick(clock.now()));
  let ticked = clock.now();

  const peers = createRedial<PeerId>({ clock, random, dial: dialPeer, onFailure: evaluateSoon });
  const bootstrap = createRedial<string>({ clock, random, dial: dialSeed });

  const situation = (): Situation => ({
    self,
    others: membership.members().filter((peer) => peer !== self),
    isLinked: (peer) => open.has(peer),
    isUp: (peer) => open.has(peer) || view.isUp(peer),
    isDialable: (peer) => book.addresses(peer).length > 0,
    isTried: peers.isTried,
    isReady: peers.isReady,
    fraction: () => random.fraction(),
  });

  // --- dialling

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
    await greet(await dialAny({ transport, doors: doors(), addresses: [address], signal }), signal);
  }

  /** Resolves when the link is up, or another one to the same peer is. */
  function greet(link: Link, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const { remote } = link;
    const channel = newChannel(link);
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
      check: (hello) => check(channel, hello),
      done: (hello) => {
        end();
        add(channel, hello);
        resolve();
      },
      failed: ({ reason, message }) => {
        end();
        if (reason === 'duplicate' && open.has(remote)) resolve();
        else reject(new Error(`${link.remoteAddress}: ${message}`));
      },
    });
    signal.addEventListener('abort', abort);
    greeting.set(remote, handshake);
    if (closed || signal.aborted) abort();
    return promise;
  }

  function accept(link: Link): void {
    const channel = newChannel(link);
    const handshake = startHandshake({
      channel,
      clock,
      hello: () => ownHello(link),
      check: (hello) => check(channel, hello),
      done: (hello) => {
        accepting.delete(handshake);
        add(channel, hello);
      },
      failed: ({ reason, message }) => {
        accepting.delete(handshake);
        log.info('did not accept a link', {
          peer: link.remote,
          address: link.remoteAddress,
          reason,
          message,
        });
      },
    });
    accepting.add(handshake);
    if (closed) handshake.abandon('closing', 'this peer is shutting down');
  }

  function newChannel(link: Link): Channel {
    return createChannel({ link, crypto, clock, log });
  }

  function ownHello(link: Link): Hello {
    const { nickname, release } = parts;
    const fixed = { type: 'hello', protocol: PROTOCOL, mesh, boot, nickname, release } as const;
    return {
      ...fixed,
      observed: link.remoteAddress,
      links: open.size,
      credentials: membership.credentials(),
    };
  }

  // --- admitting

  function check({ link }: Channel, hello: Hello): Refused | undefined {
    const { remote } = link;
    if (hello.protocol !== PROTOCOL) {
      const message = `this peer speaks protocol ${PROTOCOL}, the other one ${hello.protocol}: run the same release on both`;
      return { reason: 'incompatible', message };
    }
    if (hello.mesh !== mesh) return { reason: 'wrong-mesh', message: `this peer is in mesh ${mesh}` };
    if (remote === self) return { reason: 'self', message: 'this is the same peer' };
    const verdict = membership.admit(remote, hello.credentials);
    if (!verdict.ok) return verdict;
    return (
      checkDuplicate(link, hello) ?? (link.direction === 'accepted' ? checkRoom(remote, hello) : undefined)
    );
  }

  /** Of two links between the same peers the one stays that was dialled by the smaller id. */
  function checkDuplicate(link: Link, hello: Hello): Refused | undefined {
    const { remote } = link;
    const dialler = diallerOf(link);
    const preferred = remote < self ? remote : self;
    const duplicate = { reason: 'duplicate', message: 'there is another link between the two peers' };
    const old = open.get(remote);
    if (old !== undefined) {
      const alive = old.boot === hello.boot && clock.now() - old.channel.lastHeard() < STALE_AFTER;
      if (alive && dialler !== preferred && diallerOf(old.channel.link) === preferred) return duplicate;
    }
    const mine = link.direction === 'accepted' ? greeting.get(remote) : undefined;
    if (mine !== undefined && preferred === self) return duplicate;
    mine?.abandon('duplicate', duplicate.message);
    return undefined;
  }

  /** A full peer makes room for one that has no link at all. */
  function checkRoom(remote: PeerId, hello: Hello): Refused | undefined {
    if (open.size < degree || open.has(remote)) return undefined;
    const victims = [...open.values()];
    const victim = victims[Math.floor(random.fraction() * victims.length)];
    if (hello.links > 0 || victim === undefined) {
      return { reason: 'busy', message: `this peer has ${open.size} links, which is all it takes` };
    }
    drop(victim, 'surplus', 'room is needed for a peer without links');
    return undefined;
  }

  const diallerOf = (link: Link) => (link.direction === 'dialled' ? self : link.remote);

  // --- links that are up

  function add(channel: Channel, hello: Hello): void {
    const { link } = channel;
    const { remote: peer, remoteAddress: address, direction } = link;
    const old = open.get(peer);
    if (old !== undefined) drop(old, 'duplicate', 'there is another link between the two peers');
    const { nickname, release, boot: theirs, observed } = hello;
    const said = { nickname, release, boot: theirs, observed };
    const since = clock.now();
    const { send, room } = channel;
    const neighbour: Open = { peer, address, direction, ...said, since, send, room, channel };
    // A way that was lost is there again, and others may be too.
    const news = open.size === 0 || !view.isUp(peer);
    open.set(peer, neighbour);
    peers.forget(peer);
    if (direction === 'dialled') book.succeeded(peer, address);
    channel.attach({
      message: (message) => receive(neighbour, message),
      room: () => tell((watcher) => watcher.room?.(neighbour)),
      closed: (reason) => remove(neighbour, reason),
    });
    log.info('link up', { peer, address, direction, nickname });
    if (news) peers.hurry();
    tell((watcher) => watcher.up?.(neighbour));
    evaluateSoon();
  }

  function receive(from: Open, message: LinkMessage): void {
    if (message.type === 'bye') {
      const { reason, message: text } = message;
      log.info('a neighbour leaves', { peer: from.peer, reason, message: text });
      remove(from, `${reason}: ${text}`);
      from.channel.link.close();
      return;
    }
    const handler = handlers.get(message.type);
    if (handler === undefined) log.debug('nobody takes a message', { peer: from.peer, type: message.type });
    else handler(from, message);
  }

  function drop(neighbour: Open, reason: string, message: string): void {
    remove(neighbour, `${reason}: ${message}`);
    neighbour.channel.leave(reason, message);
  }

  function remove(neighbour: Open, reason: string): void {
    const { peer, address } = neighbour;
    if (open.get(peer) !== neighbour) return;
    open.delete(peer);
    log.info('link down', { peer, address, reason });
    tell((watcher) => watcher.down?.(neighbour, reason));
    evaluateSoon();
  }

  function tell(act: (watcher: LinksWatcher) => void): void {
    for (const watcher of [...watchers]) act(watcher);
  }

  // --- having enough of them

  function tick(now: number): void {
    const late = now - ticked - TICK;
    ticked = now;
    ticker = clock.setTimer(TICK, () => tick(clock.now()));
    for (const neighbour of [...open.values()]) {
      const { channel } = neighbour;
      // What arrived while this process could not run is still to be read.
      if (late > LAG) channel.forgive(late);
      if (now - channel.lastHeard() >= SILENT_AFTER) {
        drop(neighbour, 'silent', `nothing heard for ${now - channel.lastHeard()} ms`);
      } else if (now - channel.lastSent() >= BEAT_EVERY) {
        channel.beat();
      }
    }
    if (++ticks % SURPLUS_EVERY === 0) giveUpSurplus();
    evaluate();
  }

  function giveUpSurplus(): void {
    const dialled = [...open.values()]
      .filter(({ direction }) => direction === 'dialled')
      .map(({ peer }) => peer);
    const surplus = chooseSurplus(situation(), dialled.sort(), view.degree);
    const neighbour = surplus === undefined ? undefined : open.get(surplus);
    if (neighbour !== undefined) drop(neighbour, 'surplus', 'both peers have more links than they need');
  }

  function evaluateSoon(): void {
    if (closed || evaluation !== undefined) return;
    evaluation = clock.setTimer(0, evaluate);
  }

  function evaluate(): void {
    evaluation?.cancel();
    evaluation = undefined;
    const targets = new Map<PeerId, number>();
    for (const peer of chooseTargets(situation())) {
      const wait = self < peer || open.size === 0 ? 0 : LARGER_WAITS;
      targets.set(peer, wait + random.fraction() * FIRST_SPREAD);
    }
    peers.want(targets);
    bootstrap.want(new Map(open.size > 0 ? [] : [...seeds].map((address) => [address, 0])));
  }

  const stops = [
    membership.watch(() => {
      for (const neighbour of [...open.values()]) {
        if (membership.isMember(neighbour.peer)) continue;
        drop(neighbour, 'removed', 'you are no member of this mesh any more');
      }
      book.retain(new Set(membership.members()));
      evaluateSoon();
    }),
    records.watch(KEY.peer, ({ key }) => {
      if (key === KEY.peer) evaluateSoon();
    }),
  ];
  evaluateSoon();

  return {
    accept,
    neighbours: () => [...open.values()].sort((a, b) => (a.peer < b.peer ? -1 : 1)),
    neighbour: (peer) => open.get(peer),
    connect(addresses) {
      for (const address of addresses) seeds.add(address);
      evaluateSoon();
    },
    states() {
      const none = { direction: undefined, lastError: undefined, nextTry: 0 };
      const up = [...open.values()].map(({ peer, address, direction }) => ({
        ...{ ...none, peer, address, direction },
        state: 'connected' as const,
      }));
      const tried = [...peers.states()].map(([peer, state]) => ({
        ...{ ...none, ...state, peer, address: book.addresses(peer)[0] },
      }));
      const asked = [...bootstrap.states()].map(([address, state]) => ({
        ...{ ...none, ...state, peer: undefined, address },
      }));
      return [...up, ...tried, ...asked];
    },
    watch(watcher) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    handle(type, handler) {
      handlers.set(type, handler as (from: Neighbour, message: LinkMessage) => void);
    },
    close() {
      closed = true;
      ticker.cancel();
      evaluation?.cancel();
      peers.close();
      bootstrap.close();
      for (const stop of stops) stop();
      for (const handshake of [...accepting, ...greeting.values()]) {
        handshake.abandon('closing', 'this peer is shutting down');
      }
      for (const neighbour of [...open.values()]) drop(neighbour, 'closing', 'this peer is shutting down');
    },
  };
}
