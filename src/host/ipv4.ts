import { type Cidr, type Parsed, parseAddressWithPrefix, parseCidr } from '../core/address.ts';
import { HostError } from '../ports/host.ts';

/** An address with the prefix of its network, e.g. `10.32.0.5/12`; HostError `bad-request` for anything else. */
export function readAddress(text: string): Cidr {
  return accept(parseAddressWithPrefix(text));
}

/** A whole network, e.g. `10.32.0.0/12`. */
export function readNetwork(text: string): Cidr {
  return accept(parseCidr(text));
}

/** The destination of a route as `ip` writes it: `default`, an address, or a network. */
export function readDestination(text: string): Cidr {
  if (text === 'default') return readNetwork('0.0.0.0/0');
  return readNetwork(text.includes('/') ? text : `${text}/32`);
}

function accept<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) throw new HostError('bad-request', parsed.message);
  return parsed.value;
}
