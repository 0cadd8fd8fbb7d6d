import type { MeshId, PeerId } from '../../core/ids.ts';
import { type Hello, PROTOCOL } from '../../core/wire/messages.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Link } from '../../ports/transport.ts';
import type { OverlayView } from '../links.ts';
import type { Membership } from '../membership.ts';
import type { Handshake, Refused } from './handshake.ts';
import type { Neighbours } from './neighbours.ts';

export interface JudgeParts {
  readonly self: PeerId;
  readonly mesh: MeshId;
  readonly clock: Clock;
  readonly view: OverlayView;
  readonly membership: Membership;
  readonly neighbours: Neighbours;
  /** Greetings on links that this side dialled. */
  readonly greeting: ReadonlyMap<PeerId, Handshake>;
  /** Links that this side accepts. */
  readonly degree: number;
}

/** A link that was silent for so long gives way to a new one, however it was made. */
export const STALE_AFTER = 3_000;

const DUPLICATE: Refused = { reason: 'duplicate', message: 'there is another link between the two peers' };

/**
 * Decides on a greeting; undefined: welcome. What stands in the way of a link that is welcome is closed: an own greeting to the same peer
 * that would lose against it, a neighbour that has to make room.
 */
export function createJudge(parts: JudgeParts): (link: Link, hello: Hello) => Refused | undefined {
  const { self, mesh, clock, view, membership, neighbours, greeting, degree } = parts;
  const diallerOf = (link: Link) => (link.direction === 'dialled' ? self : link.remote);

  function judgePeer({ remote }: Link, { protocol, mesh: theirs, credentials }: Hello): Refused | undefined {
    if (protocol !== PROTOCOL) {
      const message = `protocol ${PROTOCOL} is spoken here, not ${protocol}: run the same release on both hosts`;
      return { reason: 'incompatible', message };
    }
    if (theirs !== mesh) return { reason: 'wrong-mesh', message: `this peer is in mesh ${mesh}` };
    if (remote === self) return { reason: 'self', message: 'this is the same peer' };
    const verdict = membership.admit(remote, credentials);
    if (verdict.ok) return undefined;
    return verdict.reason === 'removed' ? { ...verdict, proof: membership.proofOf(remote) } : verdict;
  }

  /** Of two links between the same peers the one stays that was dialled by the smaller id, so that both sides keep the same. */
  function judgeDuplicate(link: Link, hello: Hello): Refused | undefined {
    const { remote } = link;
    const preferred = remote < self ? remote : self;
    const old = neighbours.get(remote);
    if (old !== undefined && diallerOf(link) !== preferred && diallerOf(old.channel.link) === preferred) {
      // A restarted peer knows nothing of the old link; of a silent one nobody knows whether it works.
      const alive = old.boot === hello.boot && clock.now() - old.channel.lastHeard() < STALE_AFTER;
      if (alive) return DUPLICATE;
    }
    const mine = link.direction === 'accepted' ? greeting.get(remote) : undefined;
    if (mine !== undefined && preferred === self) return DUPLICATE;
    mine?.abandon(DUPLICATE.reason, DUPLICATE.message);
    return undefined;
  }

  /** A full peer makes room for one that has no link at all: the neighbour with the most links goes. */
  function judgeRoom(link: Link, hello: Hello): Refused | undefined {
    const full = neighbours.size() >= degree && neighbours.get(link.remote) === undefined;
    if (!full || link.direction === 'dialled') return undefined;
    const [victim] = [...neighbours.list()].sort((a, b) => view.degree(b.peer) - view.degree(a.peer));
    // One that has no other link would be back at once, and the two would take turns.
    if (hello.links > 0 || victim === undefined || view.degree(victim.peer) < 2) {
      return { reason: 'busy', message: `this peer has ${neighbours.size()} links, which is all it takes` };
    }
    neighbours.drop(victim, 'busy', 'room is needed for a peer without links');
    return undefined;
  }

  return (link, hello) => judgePeer(link, hello) ?? judgeDuplicate(link, hello) ?? judgeRoom(link, hello);
}
