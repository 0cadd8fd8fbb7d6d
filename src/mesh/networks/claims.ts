import type { Range } from '../../core/address.ts';
import { DEFAULT_NETWORK, type NetworkId, type PeerId } from '../../core/ids.ts';
import { isIdOfMadeNetwork, isSubnet } from '../../core/network.ts';
import { overlaps, subtract } from '../../core/ranges.ts';
import { formatRange, type RingEntry } from '../../core/ring-entry.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import type { Membership } from '../membership.ts';
import { type Messenger, RequestError } from '../messenger.ts';
import type { Records } from '../records.ts';
import { describePeer } from '../space/names.ts';
import { MAX_ENTRIES, readEntries } from '../space/protocol.ts';
import type { Space } from '../space.ts';
import { cidrOf } from './book.ts';
import { NetworkError } from './errors.ts';

/**
 * Takes a whole subnet out of `weft`, whoever owns its parts. Owners keep what they own and put it into the new network: all are asked to
 * hold their part first, and only when all do, to take it.
 */
export interface Claims {
  /**
   * `begin` is called in the turn in which the first addresses change. Rejects with NetworkError before that with nothing changed; after it
   * only when an owner that has just agreed does not answer any more.
   */
  claim(id: NetworkId, subnet: Range, deadline: number, begin: () => Promise<void>): Promise<void>;
}

interface ClaimsParts {
  readonly self: PeerId;
  readonly space: Space;
  readonly records: Records;
  readonly membership: Membership;
  readonly messenger: Messenger;
  readonly clock: Clock;
  readonly log: Log;
}

const CLAIM = 'network/claim';
const STEPS = ['hold', 'take', 'drop'] as const;

interface ClaimRequest extends Range {
  readonly network: NetworkId;
  readonly step: (typeof STEPS)[number];
}

type ClaimReply =
  | { readonly held: readonly Range[] }
  | { readonly taken: readonly RingEntry[] }
  | { readonly used: readonly string[] }
  | { readonly refused: 'busy' | 'not-held' | 'dropped' };

/** Longer than it takes to ask everybody twice. */
const HOLD_FOR = 10_000;
const ASK_TIMEOUT = 3_000;
const MOST_RANGES = 256;
const NAMED = 8;

export function createClaims(parts: ClaimsParts): Claims {
  const { self, space, records, membership, messenger, clock } = parts;
  const { labels, holds } = space;

  function serve({ network, step, start, last }: ClaimRequest, by: string): ClaimReply | Promise<ClaimReply> {
    const range = { start, last };
    if (step === 'drop') {
      holds.release(by);
      return { refused: 'dropped' };
    }
    if (step === 'take') return take(range, network, by);
    const used = labels.inUse(range);
    if (used.length > 0) return { used: used.slice(0, NAMED) };
    if (holds.conflicts(range, by)) return { refused: 'busy' };
    const held = labels.within(range).slice(0, MOST_RANGES);
    holds.hold(range, by, HOLD_FOR);
    return { held };
  }

  async function take(range: Range, network: NetworkId, by: string): Promise<ClaimReply> {
    if (!holds.isHeld(by)) return { refused: 'not-held' };
    const moved = labels.move(range, DEFAULT_NETWORK, network);
    holds.release(by);
    return { taken: (await moved).slice(0, MAX_ENTRIES) };
  }

  messenger.handle(CLAIM, (from, body) => {
    const request = readClaim(body);
    if (request === undefined || !membership.isMember(from)) throw new Error('malformed claim of a subnet');
    return serve(request, `${from} ${request.network}`);
  });

  /** Other owners of the subnet. Rejects where nobody is known to own a part, or where another network has it. */
  function ownersOf(subnet: Range): readonly PeerId[] {
    const parts = space.ring().filter((segment) => overlaps(segment, subnet));
    for (const { owner, network, start, last } of parts) {
      if (network !== DEFAULT_NETWORK) {
        throw new NetworkError(
          'subnet-taken',
          `${formatRange({ start, last })} belongs to the network ${network}`,
        );
      }
      if (owner === undefined) {
        throw new NetworkError(
          'subnet-unreachable',
          `nobody is known to own ${formatRange({ start, last })} (yet)`,
        );
      }
    }
    return [...new Set(parts.flatMap(({ owner }) => (owner === undefined || owner === self ? [] : [owner])))];
  }

  async function ask(
    owner: PeerId,
    request: ClaimRequest,
    deadline: number,
  ): Promise<ClaimReply | undefined> {
    const timeout = Math.min(ASK_TIMEOUT, deadline - clock.now());
    if (timeout <= 0) return undefined;
    try {
      return readReply(await messenger.request(owner, CLAIM, request, { timeout }));
    } catch (error) {
      if (error instanceof RequestError) return undefined;
      throw error;
    }
  }

  /** What stands against the claim, in words, worst first; undefined when every owner holds its part. */
  function objection(
    subnet: Range,
    replies: ReadonlyMap<PeerId, ClaimReply | undefined>,
  ): NetworkError | undefined {
    const name = (peer: PeerId) => (peer === self ? 'this host' : describePeer(records, peer));
    const silent = [...replies].filter(([, reply]) => reply === undefined).map(([peer]) => name(peer));
    const used = [...replies].flatMap(([peer, reply]) =>
      reply !== undefined && 'used' in reply ? [`${reply.used.join(', ')} on ${name(peer)}`] : [],
    );
    const where = cidrOf(subnet);
    if (used.length > 0) {
      return new NetworkError(
        'subnet-in-use',
        `addresses of ${where} are in use: ${used.slice(0, NAMED).join('; ')}`,
      );
    }
    if (silent.length > 0) {
      const owners = silent.slice(0, NAMED).join(', ');
      return new NetworkError(
        'subnet-unreachable',
        `${where} belongs in part to ${owners}, which cannot be reached`,
      );
    }
    const held = [...replies.values()].flatMap((reply) =>
      reply !== undefined && 'held' in reply ? reply.held : [],
    );
    if (subtract(subnet, held).length === 0) return undefined;
    return new NetworkError(
      'subnet-in-use',
      `${where} is changing hands, or somebody else asks for it at the same time`,
    );
  }

  async function claim(
    id: NetworkId,
    subnet: Range,
    deadline: number,
    begin: () => Promise<void>,
  ): Promise<void> {
    const request = (step: ClaimRequest['step']) => ({ ...subnet, network: id, step });
    const me = `${self} ${id}`;
    const owners = ownersOf(subnet);
    const askAll = async (step: ClaimRequest['step']) => {
      const replies = owners.map(
        async (owner) => [owner, await ask(owner, request(step), deadline)] as const,
      );
      return new Map(await Promise.all(replies));
    };
    const own = await serve(request('hold'), me);
    const replies = new Map([[self, own], ...(await askAll('hold'))]);
    const objected = objection(subnet, replies);
    if (objected !== undefined) {
      holds.release(me);
      void askAll('drop');
      throw objected;
    }
    const noted = begin();
    const [taken] = await Promise.all([askAll('take'), take(subnet, id, me), noted]);
    const failed = [...taken].find(([, reply]) => reply === undefined || !('taken' in reply));
    for (const reply of taken.values()) if (reply !== undefined && 'taken' in reply) space.learn(reply.taken);
    if (failed === undefined) return;
    const [owner] = failed;
    throw new NetworkError(
      'subnet-unreachable',
      `${describePeer(records, owner)}, an owner of ${cidrOf(subnet)}, has stopped answering`,
    );
  }

  return { claim };
}

function readClaim(data: unknown): ClaimRequest | undefined {
  const { network, step, start, last } = fields(data);
  const known = STEPS.find((name) => name === step);
  if (known === undefined || typeof network !== 'string' || !isIdOfMadeNetwork(network)) return undefined;
  const range = readRange({ start, last });
  return range !== undefined && isSubnet(range) ? { ...range, network, step: known } : undefined;
}

function readReply(data: unknown): ClaimReply | undefined {
  const { held, taken, used, refused } = fields(data);
  if (refused === 'busy' || refused === 'not-held' || refused === 'dropped') return { refused };
  if (Array.isArray(used)) {
    return {
      used: used.slice(0, NAMED).map((text) =>
        String(text)
          .slice(0, 15)
          .replace(/[^0-9.]/g, '?'),
      ),
    };
  }
  if (Array.isArray(held) && held.length <= MOST_RANGES) {
    const ranges = held.map(readRange);
    return ranges.every((range) => range !== undefined) ? { held: ranges } : undefined;
  }
  if (Array.isArray(taken)) return { taken: taken.length === 0 ? [] : (readEntries(taken) ?? []) };
  return undefined;
}

function readRange(data: unknown): Range | undefined {
  const { start, last } = fields(data);
  const isAddress = (item: unknown): item is number =>
    Number.isInteger(item) && (item as number) >= 0 && (item as number) <= 0xffff_ffff;
  return isAddress(start) && isAddress(last) && start <= last ? { start, last } : undefined;
}

function fields(data: unknown): Record<string, unknown> {
  return typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : {};
}
