import { DEFAULT_NETWORK, type NetworkId, type PeerId } from '../../core/ids.ts';
import { sizeOf } from '../../core/ranges.ts';
import type { Segment } from '../../core/ring.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Membership } from '../membership.ts';
import { type Messenger, RequestError } from '../messenger.ts';
import type { Records } from '../records.ts';
import { SpaceError } from './errors.ts';
import type { Ledger } from './ledger.ts';
import { describePeer, knownFree } from './names.ts';
import {
  type Granted,
  REQUEST,
  type RefusedReply,
  readReply,
  type SpaceReply,
  type SpaceRequest,
} from './protocol.ts';
import type { Waiting } from './waiting.ts';

/** Finds a peer that gives addresses. */
export interface Asker {
  /** One request to one peer; what went wrong on the way is an outcome, too. */
  ask(donor: PeerId, request: Omit<SpaceRequest, 'wait'>, deadline: number): Promise<AskOutcome>;
  /**
   * Asks members for a block of the network for `to`, the one with the largest known free space first, until one grants or the deadline
   * comes. `grantHere` answers when this peer is the one. Rejects with SpaceError `no-space` or `timeout` that says who was asked.
   */
  askBest(
    to: PeerId,
    network: NetworkId,
    deadline: number,
    grantHere?: (deadline: number) => Promise<SpaceReply>,
  ): Promise<{ readonly donor: PeerId; readonly reply: Granted }>;
}

export type AskOutcome = SpaceReply | { readonly failed: string };

interface AskerParts {
  readonly self: PeerId;
  readonly ledger: Ledger;
  readonly records: Records;
  readonly membership: Membership;
  readonly messenger: Messenger;
  readonly clock: Clock;
  /** Free addresses of this peer. */
  readonly free: () => number;
  readonly waiting: Waiting;
}

/** One peer that does not answer must not use up the time of the others. */
const ASK_TIMEOUT = 4_000;
/** Who were asked in vain are asked again after this, ms. */
const ROUND_PAUSE = 500;
const ASKED_IN_A_ROUND = 8;

const WORDS: Readonly<Record<RefusedReply['refused'], string>> = {
  none: 'has nothing free',
  'in-use': 'uses it',
  'not-owner': 'does not own it any more',
  'other-network': 'has it in another network',
  pending: 'waits for its witness',
  'no-witness': 'cannot reach its witness',
};

export function createAsker(parts: AskerParts): Asker {
  const { self, ledger, records, membership, messenger, clock, free, waiting } = parts;

  async function ask(
    donor: PeerId,
    request: Omit<SpaceRequest, 'wait'>,
    deadline: number,
  ): Promise<AskOutcome> {
    const wait = Math.floor(Math.min(ASK_TIMEOUT, deadline - clock.now()));
    if (wait <= 0) return { failed: 'was not asked for want of time' };
    try {
      const answer = await messenger.request(donor, REQUEST, { ...request, wait }, { timeout: wait });
      return readReply(answer) ?? { failed: 'gave a malformed answer' };
    } catch (error) {
      if (error instanceof RequestError && error.reason === 'no-route')
        return { failed: 'cannot be reached' };
      if (error instanceof RequestError && error.reason === 'timeout') return { failed: 'does not answer' };
      return {
        failed: `refused: ${error instanceof Error ? error.message.slice(0, 200) : 'no reason given'}`,
      };
    }
  }

  /**
   * Most free first; who has not told yet comes before who has nothing. What a peer told may be older than its last donations, which the
   * ring knows: without it, many that join one after another would all be sent to the same donor. Of another network than `weft` only its
   * owners are asked, who owns most of it first.
   */
  function candidates(to: PeerId, network: NetworkId, withSelf: boolean): readonly PeerId[] {
    const owned = sizes(ledger.segments(), network);
    const told = (peer: PeerId) => {
      const most = owned.get(peer) ?? 0;
      return network === DEFAULT_NETWORK ? Math.min(knownFree(records, peer) ?? 0.5, most) : most;
    };
    const amount = (peer: PeerId) => (peer === self ? free() : told(peer));
    const mayGive = (peer: PeerId) => network === DEFAULT_NETWORK || owned.has(peer);
    const members = membership
      .members()
      .filter((peer) => peer !== to && (withSelf || peer !== self) && mayGive(peer));
    const amounts = new Map(members.map((peer) => [peer, amount(peer)]));
    members.sort((a, b) => (amounts.get(b) ?? 0) - (amounts.get(a) ?? 0));
    return members.slice(0, ASKED_IN_A_ROUND);
  }

  return {
    ask,
    async askBest(to, network, deadline, grantHere) {
      for (;;) {
        const outcomes = new Map<PeerId, AskOutcome>();
        for (const donor of candidates(to, network, grantHere !== undefined)) {
          const outcome =
            donor === self && grantHere !== undefined
              ? await grantHere(Math.min(deadline, clock.now() + ASK_TIMEOUT))
              : await ask(donor, { for: to, owned: ledger.ownedBy(to), network }, deadline);
          if ('granted' in outcome) return { donor, reply: outcome };
          outcomes.set(donor, outcome);
          if (clock.now() >= deadline) break;
        }
        const said = [...outcomes].map(
          ([peer, outcome]) => `${describePeer(records, peer)} ${inWords(outcome)}`,
        );
        if ([...outcomes.values()].every((outcome) => 'refused' in outcome && outcome.refused === 'none')) {
          throw new SpaceError(
            'no-space',
            `no free addresses in ${network === DEFAULT_NETWORK ? 'the mesh' : 'the network'}: ${said.join(', ') || 'no other member has any'}`,
          );
        }
        if (clock.now() + ROUND_PAUSE >= deadline) {
          throw new SpaceError('timeout', `nobody gave addresses in time: ${said.join(', ')}`);
        }
        await waiting.pause(ROUND_PAUSE);
        if (waiting.closed) throw new SpaceError('closed', 'the daemon is stopping');
      }
    },
  };
}

/** Addresses of the network by owner. */
function sizes(segments: readonly Segment[], network: NetworkId): ReadonlyMap<PeerId, number> {
  const owned = new Map<PeerId, number>();
  for (const segment of segments) {
    const owner = segment.entry?.owner;
    if (owner !== undefined && segment.entry?.network === network)
      owned.set(owner, (owned.get(owner) ?? 0) + sizeOf(segment));
  }
  return owned;
}

export function inWords(outcome: AskOutcome): string {
  if ('failed' in outcome) return outcome.failed;
  return 'refused' in outcome ? WORDS[outcome.refused] : 'gave addresses';
}
