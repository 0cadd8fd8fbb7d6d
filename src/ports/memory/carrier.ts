import type { DropReason, UdpEndpoint } from '../datapath.ts';
import { parseRelayed, writeRelayed } from './datagram.ts';
import type { Peer, PeerTable, Session } from './datapath-peers.ts';

/** Carries sealed datagrams from one peer to another: the rules of native/src/carrier.h. */
export interface Carrier {
  /** Who gets a peer's datagrams first, with the key for that; undefined while there is no key or no place. `by`: slot, or null for directly. */
  hopTo(peer: Peer, by: number | null): { readonly to: UdpEndpoint; readonly session: Session } | undefined;
  /** The datagram inside when it is for this host, and the slot of who carried it; what is for another one has been sent on or dropped. */
  take(
    datagram: Uint8Array,
    from: UdpEndpoint,
  ): { readonly datagram: Uint8Array; readonly by: number } | undefined;
}

export interface CarrierParts {
  readonly table: PeerTable;
  readonly carries: boolean;
  readonly send: (to: UdpEndpoint, datagram: Uint8Array) => void;
}

export function createCarrier({ table, carries, send }: CarrierParts): Carrier {
  function drop(reason: DropReason, peer?: Peer): undefined {
    table.drop(reason, peer);
  }

  /** Who has sent it on this part of the way; undefined for a stranger. */
  function senderOf(index: number, from: UdpEndpoint): Peer | undefined {
    const session = table.session(index);
    return session?.confirmed && isSame(session.peer.endpoint, from) ? session.peer : undefined;
  }

  function hopTo(peer: Peer, by: number | null): ReturnType<Carrier['hopTo']> {
    const { endpoint: to, sending: session } = by === null ? peer : (table.peer(by) ?? {});
    return to && session ? { to, session } : undefined;
  }

  return {
    hopTo,
    take(datagram, from) {
      const relayed = parseRelayed(datagram);
      if (!relayed) return drop('rxMalformed');
      if (relayed.type === 4 && !carries) return drop('relayOff');
      const source = senderOf(relayed.index, from);
      if (!source) return drop('relayStranger');
      if (relayed.type === 5) return { datagram: relayed.datagram, by: source.slot };
      const last = table.named(relayed.name);
      const hop = last && last !== source && last.carrier === null ? hopTo(last, null) : undefined;
      if (!hop) return drop('relayNowhere', source);
      const { name } = relayed;
      send(hop.to, writeRelayed({ type: 5, index: hop.session.key.sendIndex, name }, relayed.datagram));
      source.counters.relayedBytes += BigInt(datagram.length);
      return undefined;
    },
  };
}

export function isSame(left: UdpEndpoint | null, right: UdpEndpoint): boolean {
  return left !== null && left.address === right.address && left.port === right.port;
}
