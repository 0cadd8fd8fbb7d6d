import type { Clock } from '../../src/ports/clock.ts';
import type { Random } from '../../src/ports/random.ts';
import type { Link, Transport } from '../../src/ports/transport.ts';
import { typeOf } from './recorder.ts';

/** What happens to single messages on open links; shares of them, 0 … 1. */
export interface MessageFaults {
  lost: number;
  doubled: number;
  /** Overtaken by what is sent within the next fifth of a second. */
  late: number;
}

export interface FaultyParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly faults: MessageFaults;
  readonly onSend: (link: Link, message: Uint8Array) => void;
}

/** From `deltas` on: what gossip and the messenger may lose, repeat and reorder. What comes before belongs to the link itself. */
const FIRST_OF_MANY = 5;
const LONGEST_DELAY = 200;

/** The transport with faults that a stream does not have, but the meshes that messages cross do: they take several ways, and links break. */
export function withFaults(transport: Transport, parts: FaultyParts): Transport {
  return {
    peer: transport.peer,
    close: () => transport.close(),
    dial: async (address, door, signal) => faultyLink(await transport.dial(address, door, signal), parts),
    listen: (addresses, onLink) => transport.listen(addresses, (link) => onLink(faultyLink(link, parts))),
  };
}

function faultyLink(link: Link, { clock, random, faults, onSend }: FaultyParts): Link {
  return {
    remote: link.remote,
    remoteAddress: link.remoteAddress,
    door: link.door,
    direction: link.direction,
    send(message) {
      onSend(link, message);
      const { lost, doubled, late } = faults;
      if (lost + doubled + late === 0 || typeOf(message) < FIRST_OF_MANY) return link.send(message);
      const dice = random.fraction();
      if (dice < lost) return true;
      if (dice < lost + doubled) link.send(message);
      else if (dice < lost + doubled + late) {
        clock.setTimer(random.fraction() * LONGEST_DELAY, () => link.send(message));
        return true;
      }
      return link.send(message);
    },
    receive: (handlers) => link.receive(handlers),
    close: () => link.close(),
  };
}
