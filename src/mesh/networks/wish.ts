import { formatIpv4, type Parsed, parseCidr, parseIpv4, quote, type Range } from '../../core/address.ts';
import { DEFAULT_NETWORK } from '../../core/ids.ts';
import {
  isIdOfMadeNetwork,
  isSubnet,
  NETWORK_LIMITS,
  NETWORK_NAME,
  type NetworkObject,
} from '../../core/network.ts';
import { includes } from '../../core/ranges.ts';
import type { CreateNetwork, NetworkChange } from '../networks.ts';
import { cidrOf } from './book.ts';
import { NetworkError } from './errors.ts';

/** A checked request; without a subnet nothing in it may depend on one. */
export interface Wish
  extends Pick<NetworkObject, 'name' | 'internal' | 'gateway' | 'reserved' | 'automatic' | 'options'> {
  readonly subnet: Range | undefined;
}

/** Throws NetworkError `bad-network` or `subnet-outside`. */
export function readWish(request: CreateNetwork, range: Range): Wish {
  const subnet = request.subnet === undefined ? undefined : readSubnet(request.subnet, range);
  const inside = (text: string, what: string) => readInside(text, what, subnet);
  const { gateway, reserved = [], ipRange, options = {} } = request;
  checkCount(reserved);
  return {
    name: request.name === null ? null : checkName(request.name),
    subnet,
    internal: request.internal ?? false,
    gateway: gateway === undefined ? null : inside(gateway, 'gateway'),
    reserved: reserved.map((text) => inside(text, 'reserved address')),
    automatic: ipRange === undefined ? null : readPart(ipRange, subnet),
    options: checkOptions(options),
  };
}

/** Throws NetworkError `bad-network`. */
export function readChange(
  { internal, gateway, reserved = [] }: NetworkChange,
  subnet: Range,
): Partial<Pick<NetworkObject, 'internal' | 'gateway' | 'reserved'>> {
  checkCount(reserved);
  return {
    ...(internal === undefined ? {} : { internal }),
    ...(gateway === undefined ? {} : { gateway: readInside(gateway, 'gateway', subnet) }),
    ...(reserved.length === 0
      ? {}
      : { reserved: reserved.map((text) => readInside(text, 'reserved address', subnet)) }),
  };
}

function checkCount(reserved: readonly string[]): void {
  if (reserved.length > NETWORK_LIMITS.reserved) {
    throw bad(`a network has at most ${NETWORK_LIMITS.reserved} reserved addresses`);
  }
}

export function checkName(name: string): string {
  if (!NETWORK_NAME.test(name)) {
    throw bad(
      `${quote(name)} cannot be the name of a network: use letters, digits, dots, dashes and underscores`,
    );
  }
  if (name === DEFAULT_NETWORK || isIdOfMadeNetwork(name)) {
    throw bad(
      `${quote(name)} cannot be the name of a network: ${name === DEFAULT_NETWORK ? 'it is that of the first one' : 'it looks like an id'}`,
    );
  }
  return name;
}

function readSubnet(text: string, range: Range): Range {
  const { start, last } = read(parseCidr(text));
  if (!isSubnet({ start, last })) throw bad(`${text} is too small for a network: use a prefix of at most 30`);
  if (!includes(range, start) || !includes(range, last)) {
    throw new NetworkError('subnet-outside', `${text} is outside the range of the mesh, ${cidrOf(range)}`);
  }
  if (start === range.start && last === range.last) {
    throw new NetworkError(
      'subnet-taken',
      `${text} is the whole range of the mesh, which is the network weft`,
    );
  }
  return { start, last };
}

function readInside(text: string, what: string, subnet: Range | undefined): number {
  const address = read(parseIpv4(text));
  if (subnet === undefined) throw bad(`a ${what} needs a subnet: give it too`);
  if (!includes(subnet, address)) throw bad(`the ${what} ${text} is not in ${cidrOf(subnet)}`);
  if (address === subnet.start || address === subnet.last) {
    throw bad(
      `the ${what} cannot be ${formatIpv4(address)}: first and last address of a network are never used`,
    );
  }
  return address;
}

function readPart(text: string, subnet: Range | undefined): Range {
  const { start, last } = read(parseCidr(text));
  if (subnet === undefined) throw bad('an IP range needs a subnet: give it too');
  if (!includes(subnet, start) || !includes(subnet, last)) {
    throw bad(`the IP range ${text} is not in ${cidrOf(subnet)}`);
  }
  return { start, last };
}

function checkOptions(options: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const entries = Object.entries(options);
  const fits = ([key, value]: [string, string]) =>
    key.length <= NETWORK_LIMITS.key && value.length <= NETWORK_LIMITS.value && key !== '__proto__';
  if (entries.length > NETWORK_LIMITS.options || !entries.every(fits)) {
    throw bad(
      `a network has at most ${NETWORK_LIMITS.options} options of ${NETWORK_LIMITS.key} characters with values of ${NETWORK_LIMITS.value}`,
    );
  }
  return { ...options };
}

function read<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) throw bad(parsed.message);
  return parsed.value;
}

function bad(message: string): NetworkError {
  return new NetworkError('bad-network', message);
}
