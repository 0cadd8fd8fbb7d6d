import type { Range } from '../../core/address.ts';
import { DEFAULT_NETWORK, type NetworkId, type PeerId } from '../../core/ids.ts';
import { usualSize } from '../../core/subnets.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import type { Membership } from '../membership.ts';
import type { Messenger } from '../messenger.ts';
import type { Records } from '../records.ts';
import { type Space, SpaceError } from '../space.ts';
import { cidrOf, type NetworkBook } from './book.ts';
import { createClaims } from './claims.ts';
import { NetworkError } from './errors.ts';
import type { Upkeep } from './upkeep.ts';
import type { Wish } from './wish.ts';

/** What a creation may take until it succeeds or says why not, ms. */
export const CREATE_TIMEOUT = 10_000;

/** Called in the turn in which the first addresses change. */
type Begin = () => Promise<void>;

interface MakerParts {
  readonly self: PeerId;
  readonly range: Range;
  readonly book: NetworkBook;
  readonly space: Space;
  readonly records: Records;
  readonly membership: Membership;
  readonly messenger: Messenger;
  readonly clock: Clock;
  readonly log: Log;
  readonly upkeep: Upkeep;
}

/**
 * Makes a network: its addresses first, then the object that tells of it. What is begun is noted on disk before; a crash anywhere, or an
 * owner that does not answer, ends with the addresses back in `weft` and a tombstone in place of the object.
 */
export function createMaker(parts: MakerParts): (id: NetworkId, wish: Wish) => Promise<void> {
  const { self, range, book, space, clock, log, upkeep } = parts;
  const claims = createClaims(parts);

  /** A free run of own space; asks other peers for more when there is none. From the answer to the intent nothing waits. */
  async function takeUsual(id: NetworkId, deadline: number, begin: Begin): Promise<Range> {
    for (;;) {
      const room = space.labels.room(usualSize(range));
      if (room !== undefined) {
        const noted = begin();
        await Promise.all([space.labels.move(room, DEFAULT_NETWORK, id), noted]);
        return room;
      }
      await space.refill(DEFAULT_NETWORK, deadline);
    }
  }

  async function takeAddresses(
    id: NetworkId,
    subnet: Range | undefined,
    deadline: number,
    begin: Begin,
  ): Promise<Range> {
    if (subnet === undefined) return takeUsual(id, deadline, begin);
    await claims.claim(id, subnet, deadline, begin);
    return subnet;
  }

  async function takeBack(network: NetworkId): Promise<void> {
    await upkeep
      .takeBack(network)
      .catch((error: unknown) =>
        log.warn('a network that was begun will be taken back later', { network, error: String(error) }),
      );
  }

  return async (id, { subnet, ...wish }) => {
    const deadline = clock.now() + CREATE_TIMEOUT;
    let begun = false;
    const begin = () => {
      begun = true;
      return upkeep.note(id);
    };
    try {
      const { start, last } = await takeAddresses(id, subnet, deadline, begin);
      const object = { ...wish, start, last, born: book.objects.now(), creator: self };
      // Both go to disk in one write.
      await Promise.all([book.objects.put(id, object), upkeep.forget(id)]);
      log.info('network made', { network: id, name: wish.name, subnet: cidrOf(object) });
    } catch (error) {
      if (begun) await takeBack(id);
      throw toNetworkError(error);
    }
  };
}

function toNetworkError(error: unknown): unknown {
  if (!(error instanceof SpaceError)) return error;
  if (error.code === 'no-space') return new NetworkError('no-space', error.message);
  if (error.code === 'timeout') return new NetworkError('space-timeout', error.message);
  if (error.code === 'closed') return new NetworkError('stopping', error.message);
  return error.code === 'in-use' ? new NetworkError('subnet-in-use', error.message) : error;
}
