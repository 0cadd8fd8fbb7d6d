import { quote } from '../core/address.ts';
import { DEFAULT_NETWORK, type EndpointId, type NetworkId } from '../core/ids.ts';
import { ENDPOINT_ID, INTERFACE_NAME, RESERVED_INTERFACES } from '../ports/host.ts';
import type { Random } from '../ports/random.ts';
import { type AttachRequest, EndpointError } from './endpoint.ts';
import type { NetworkNames } from './parts.ts';
import type { EndpointRecord } from './records.ts';

/** Names of endpoints become host names. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/** Checked here as well as at the API, because names come from Docker and CNI too. */
export function checkRequest(request: AttachRequest): void {
  const { id, name, interface: link } = request;
  if (id !== undefined && !ENDPOINT_ID.test(id)) throw bad(id, 'the id of an endpoint');
  if (name !== undefined && !NAME.test(name)) throw bad(name, 'the name of an endpoint');
  if (link !== undefined && (!INTERFACE_NAME.test(link) || RESERVED_INTERFACES.includes(link))) {
    throw bad(link, 'the name of an interface');
  }
}

/** The network that a request means by its name or id. */
export function networkOf(text: string | undefined, networks: NetworkNames): NetworkId {
  const network = networks.get(text ?? DEFAULT_NETWORK);
  if (network !== undefined) return network.id;
  throw new EndpointError('unknown-network', `there is no network ${quote(text ?? DEFAULT_NETWORK)}`);
}

function bad(text: string, what: string): EndpointError {
  return new EndpointError('bad-request', `${quote(text)} cannot be ${what}`);
}

/** Twelve bytes: no two endpoints of a host meet by chance. */
export function randomId(random: Random): EndpointId {
  const hex = [...random.bytes(12)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex as EndpointId;
}

/** Shorter starts of an id are more often a slip than meant. */
const SHORTEST_START = 4;

/** The attached endpoint that a text means: its id or the start of one, its name, its address, or its sandbox as given or as path. */
export function resolve(records: readonly EndpointRecord[], text: string): EndpointRecord {
  const exact = records.find(({ id }) => id === text);
  if (exact !== undefined) return exact;
  const matches = records.filter(({ id, name, address, sandbox }) => {
    const start = text.length >= SHORTEST_START && id.startsWith(text);
    return start || [name, address, sandbox?.given, sandbox?.path].includes(text);
  });
  const [only, ...more] = matches;
  if (only === undefined)
    throw new EndpointError('unknown-endpoint', `no endpoint here is called ${quote(text)}`);
  if (more.length === 0) return only;
  const candidates = matches
    .map((record) => `${record.id} (${record.address ?? 'no address yet'})`)
    .join(', ');
  throw new EndpointError('ambiguous-endpoint', `${quote(text)} means several endpoints: ${candidates}`);
}
