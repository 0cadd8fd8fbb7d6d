import { DEFAULT_NETWORK, type NetworkId, type PeerId } from '../../core/ids.ts';
import { isIdOfMadeNetwork } from '../../core/network.ts';
import type { Clock, Timer } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import type { Keeper } from '../keeper.ts';
import { KEY, type Records } from '../records.ts';
import type { Space } from '../space.ts';
import type { NetworkBook } from './book.ts';

/** Keeps this peer's part of the ring in step with the networks that there are. */
export interface Upkeep {
  /** Notes that the network is being made. In memory at once, on disk when it resolves. */
  note(id: NetworkId): Promise<void>;
  /** It is made. */
  forget(id: NetworkId): Promise<void>;
  /** It will not be made: tells all owners so, and gives its addresses back. */
  takeBack(id: NetworkId): Promise<void>;
  start(): Promise<void>;
  close(): void;
}

interface UpkeepParts {
  readonly self: PeerId;
  readonly book: NetworkBook;
  readonly space: Space;
  readonly records: Records;
  readonly keeper: Keeper;
  readonly clock: Clock;
  readonly log: Log;
  readonly isBeingMade: (id: NetworkId) => boolean;
}

/** After a change, ms: a container that starts waits for the disk itself. */
const LOOK_AFTER = 100;
/** What a change did not trigger, or what failed, is looked at again so often, ms. */
const LOOK_EVERY = 30_000;

export function createUpkeep(parts: UpkeepParts): Upkeep {
  const { self, book, space, records, keeper, clock, log, isBeingMade } = parts;
  const { objects } = book;
  const begun = keeper.section<readonly NetworkId[]>('networks/begun', checkBegun, []);
  let told: string | undefined;
  let timer: Timer | undefined;
  let looking = false;
  let closed = false;

  const note = (id: NetworkId) => begun.set([...begun.get(), id]);
  const forget = (id: NetworkId) => begun.set(begun.get().filter((other) => other !== id));

  /** Noted until the tombstone is on disk, so that it is tried again until then. */
  async function takeBack(id: NetworkId): Promise<void> {
    if (!begun.get().includes(id)) note(id).catch(() => {});
    await objects.remove(id);
    await forget(id);
    await giveBack(id);
  }

  /** Own addresses of a network that is gone become those of `weft` again, unless some are in use. */
  async function giveBack(id: NetworkId): Promise<void> {
    for (const segment of space.ring()) {
      if (segment.owner !== self || segment.network !== id || space.labels.inUse(segment).length > 0)
        continue;
      await space.labels.move(segment, id, DEFAULT_NETWORK);
    }
  }

  /**
   * A network was removed on another host while this one, which could not be asked, has addresses of it in use: what is in use stays. Its
   * isolation must not end under the endpoints, so it is there again, for everybody, until they are gone.
   */
  async function revive(id: NetworkId): Promise<void> {
    const last = objects.last(id);
    if (last === undefined) return;
    log.warn('a network that was removed is in use here, and is there again', { network: id });
    await objects.put(id, last);
  }

  async function look(): Promise<void> {
    const used = new Set(space.allocations().map(({ network }) => network));
    await tellUses(used);
    for (const id of begun.get()) if (!isBeingMade(id)) await takeBack(id);
    const gone = new Set(
      space.ring().flatMap(({ owner, network }) => (owner === self && isGone(network) ? [network] : [])),
    );
    for (const id of gone) {
      if (used.has(id)) await revive(id);
      else await giveBack(id);
    }
  }

  const isGone = (network: NetworkId) => isIdOfMadeNetwork(network) && objects.isRemoved(network);

  /** Others ask this record when they want to remove a network and cannot reach this peer. */
  async function tellUses(used: ReadonlySet<NetworkId>): Promise<void> {
    const list = [...used].filter((network) => network !== DEFAULT_NETWORK).sort();
    const text = list.join(' ');
    if (
      text === told ||
      (told === undefined && list.length === 0 && records.get(self, KEY.uses) === undefined)
    )
      return;
    told = text;
    await records.put(KEY.uses, list);
  }

  function lookSoon(): void {
    if (looking || closed) return;
    looking = true;
    clock.setTimer(LOOK_AFTER, () => {
      looking = false;
      if (closed) return;
      look().catch((error: unknown) => {
        told = undefined;
        log.warn('networks could not be looked after', { error: String(error) });
      });
    });
  }

  function schedule(): void {
    timer = clock.setTimer(LOOK_EVERY, () => {
      lookSoon();
      schedule();
    });
  }

  const stops = [objects.watch(lookSoon), space.watchAllocations(lookSoon), space.watch(lookSoon)];
  return {
    note,
    forget,
    takeBack,
    async start() {
      for (const id of begun.get()) await takeBack(id);
      lookSoon();
      schedule();
    },
    close() {
      closed = true;
      timer?.cancel();
      for (const stop of stops) stop();
    },
  };
}

function checkBegun(data: unknown): readonly NetworkId[] {
  const isId = (item: unknown): item is NetworkId => typeof item === 'string' && isIdOfMadeNetwork(item);
  if (!Array.isArray(data) || !data.every(isId)) throw new TypeError('what was begun is not a list of ids');
  return data;
}
