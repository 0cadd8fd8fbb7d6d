import type { PeerId } from '../../core/ids.ts';
import type { LinkMessage } from '../../core/wire/messages.ts';
import type { Log } from '../../ports/log.ts';
import type { Links, LinksWatcher, Neighbour } from '../links.ts';
import type { Channel } from './channel.ts';

export interface OpenNeighbour extends Neighbour {
  readonly channel: Channel;
}

/** The open links, one a peer, and who is told what comes over them. */
export interface Neighbours extends Pick<Links, 'watch' | 'handle'> {
  get(peer: PeerId): OpenNeighbour | undefined;
  /** By id. */
  list(): readonly OpenNeighbour[];
  /** Those that are not retired. */
  lasting(): readonly OpenNeighbour[];
  size(): number;
  /** Takes the place of an older link to the same peer. */
  add(neighbour: OpenNeighbour): void;
  /** Its link is to be given up once others know, that is, dropped some seconds later. */
  retire(neighbour: OpenNeighbour): void;
  /** Says why, and closes. */
  drop(neighbour: OpenNeighbour, reason: string, message: string, proof?: unknown): void;
}

/** `onProof`: told what a neighbour shows when it says that this peer was removed. */
export function createNeighbours(log: Log, onProof: (proof: unknown) => void): Neighbours {
  const open = new Map<PeerId, OpenNeighbour>();
  const retired = new WeakSet<OpenNeighbour>();
  const watchers = new Set<LinksWatcher>();
  const handlers = new Map<LinkMessage['type'], (from: Neighbour, message: LinkMessage) => void>();

  function tell(act: (watcher: LinksWatcher) => void): void {
    for (const watcher of [...watchers]) act(watcher);
  }

  function receive(from: OpenNeighbour, message: LinkMessage): void {
    if (message.type === 'bye') {
      const { reason, message: text } = message;
      remove(from, `${reason}: ${text}`);
      from.channel.link.close();
      onProof(message.proof);
      return;
    }
    const handler = handlers.get(message.type);
    if (handler === undefined) log.debug('nobody takes a message', { peer: from.peer, type: message.type });
    else handler(from, message);
  }

  function add(neighbour: OpenNeighbour): void {
    const { peer, address, direction, nickname, channel } = neighbour;
    const old = open.get(peer);
    if (old !== undefined) drop(old, 'duplicate', 'there is a newer link between the two peers');
    open.set(peer, neighbour);
    channel.attach({
      message: (message) => receive(neighbour, message),
      room: () => tell((watcher) => watcher.room?.(neighbour)),
      closed: (reason) => remove(neighbour, reason),
    });
    log.info('link up', { peer, address, direction, nickname });
    tell((watcher) => watcher.up?.(neighbour));
  }

  function remove(neighbour: OpenNeighbour, reason: string): void {
    const { peer, address } = neighbour;
    if (open.get(peer) !== neighbour) return;
    open.delete(peer);
    log.info('link down', { peer, address, reason });
    tell((watcher) => watcher.down?.(neighbour, reason));
  }

  function drop(neighbour: OpenNeighbour, reason: string, message: string, proof?: unknown): void {
    remove(neighbour, `${reason}: ${message}`);
    neighbour.channel.leave(reason, message, proof);
  }

  const list = () => [...open.values()].sort((a, b) => (a.peer < b.peer ? -1 : 1));

  return {
    get: (peer) => open.get(peer),
    list,
    lasting: () => list().filter((neighbour) => !retired.has(neighbour)),
    size: () => open.size,
    add,
    retire(neighbour) {
      retired.add(neighbour);
      tell((watcher) => watcher.retired?.(neighbour));
    },
    drop,
    watch(watcher) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    handle(type, handler) {
      handlers.set(type, handler as (from: Neighbour, message: LinkMessage) => void);
    },
  };
}
