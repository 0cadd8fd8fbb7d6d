import type {
  AttachRequest,
  DetachRequest,
  ExposeRequest,
  FoundRequest,
  InviteRequest,
  JoinRequest,
  TrustRequest,
} from '../control.ts';
import type { DnsAddRequest, DnsRemoveRequest, LookupRequest } from '../dns-control.ts';
import { ControlError } from '../errors.ts';
import type { CreateNetworkRequest, NetworkRequest, RenameNetworkRequest } from '../networks.ts';
import type { HandOverRequest, RecoverRequest, RemovePeerRequest } from '../removal.ts';
import {
  block,
  boolean,
  cidr,
  type Field,
  integer,
  ipv4,
  list,
  optional,
  type Schema,
  text,
} from './schema.ts';

/**
 * What each request may hold. Names end up as arguments of programs and as parts of paths, so their patterns are narrow and none
 * may begin with `-` or hold `/` or `..` where it is not a path.
 */

/** `ip netns` name, absolute path, or process id. */
const SANDBOX = /^(?!.*\/\.\.?(\/|$))(\/[\w./:@+-]{1,255}|[A-Za-z0-9_][\w.@+-]{0,63})$/;
/** dev_valid_name() of the kernel is wider; this is what no tool stumbles over. 15 = IFNAMSIZ - 1. */
const INTERFACE = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
/** What detach goes by: any of the above, an address, or the start of an id. */
const ENDPOINT = /^[A-Za-z0-9_/][\w./:@+-]{0,255}$/;
/** Longer than any token can be: sixteen addresses and certificates fit with room to spare. */
export const MAX_TOKEN = 8_192;

const name = text(NAME, 'a name of at most 64 letters, digits, dots, dashes and underscores');

const networkName = text(
  /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/,
  'the name of a network: at most 128 letters, digits, dots, dashes and underscores',
);
const MOST_RESERVED = 256;

/** Its own code, and never a word of the value: whatever was pasted may be a token with a slip in it. */
const token: Field<string> = {
  optional: false,
  read(value) {
    if (typeof value !== 'string' || value.length > MAX_TOKEN || !/^wf1_[A-Za-z0-9_-]{16,}$/.test(value)) {
      throw new ControlError('bad-token');
    }
    return value;
  },
};

export const foundBody: Schema<FoundRequest> = {
  range: optional(cidr),
  encryption: optional(boolean),
};

export const trustBody: Schema<TrustRequest> = { subnet: block };

export const joinBody: Schema<JoinRequest> = { token };

export const inviteBody: Schema<InviteRequest> = {
  ttl: optional(integer(60, 30 * 86_400)),
  uses: optional(integer(1, 10_000)),
};

export const attachBody: Schema<AttachRequest> = {
  sandbox: text(SANDBOX, 'the name of a network namespace, an absolute path to one, or a process id'),
  ip: optional(ipv4),
  interface: optional(
    text(INTERFACE, 'an interface name of at most 15 letters, digits, dots, dashes and underscores'),
  ),
  name: optional(name),
  network: optional(networkName),
};

export const detachBody: Schema<DetachRequest> = {
  endpoint: text(ENDPOINT, 'an endpoint as `weft ps` shows it: id, name, address or sandbox'),
};

/** Names and, to find their names, addresses. What cannot be a name in the end is told by whoever looks it up. */
const HOST_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,253}$/;
const hostName = text(HOST_NAME, 'a name of letters, digits, dots, dashes and underscores');

export const dnsAddBody: Schema<DnsAddRequest> = {
  name: hostName,
  address: ipv4,
  network: optional(networkName),
};

export const dnsRemoveBody: Schema<DnsRemoveRequest> = {
  name: hostName,
  address: optional(ipv4),
  network: optional(networkName),
};

export const dnsLookupBody: Schema<LookupRequest> = { name: hostName, network: optional(networkName) };

/** A nickname, an id, or the end of one. */
const peerName = text(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'a host as `weft peers` shows it: nickname or id');

export const handOverBody: Schema<HandOverRequest> = { from: optional(peerName), to: peerName };

export const removePeerBody: Schema<RemovePeerRequest> = { peer: peerName, yes: optional(boolean) };

/** Its own code, and never a word of the value. */
const rootKey: Field<string> = {
  optional: false,
  read(value) {
    if (typeof value === 'string' && /^wfr1_[A-Za-z0-9_-]{48}$/.test(value)) return value;
    throw new ControlError('bad-root-key');
  },
};

export const recoverBody: Schema<RecoverRequest> = {
  peer: peerName,
  key: optional(rootKey),
  force: optional(boolean),
};

export const exposeBody: Schema<ExposeRequest> = { ip: optional(ipv4), network: optional(networkName) };

export const createNetworkBody: Schema<CreateNetworkRequest> = {
  name: networkName,
  subnet: optional(cidr),
  internal: optional(boolean),
  gateway: optional(ipv4),
  reserved: optional(list(ipv4, MOST_RESERVED)),
  ipRange: optional(cidr),
};

export const networkBody: Schema<NetworkRequest> = { network: networkName };

export const renameNetworkBody: Schema<RenameNetworkRequest> = { network: networkName, name: networkName };
