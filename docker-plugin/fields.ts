import { parseIpv4, quote } from '../src/core/address.ts';
import type { EndpointId } from '../src/core/ids.ts';
import type { Json, JsonObject } from '../src/core/json.ts';
import { ENDPOINT_ID, STATION_MAC } from '../src/ports/host.ts';
import { DockerError } from './errors.ts';

/**
 * Readers of the fields of a call. Docker is trusted, but its ids become parts of link aliases and its texts part of messages, so each
 * has a form. Go's encoder writes null for an empty map or list and leaves fields out: both are the empty one here.
 */

const ID = /^[0-9A-Za-z]{1,64}$/;

export function textOf(body: JsonObject, name: string): string {
  const value = body[name];
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string' || value.length > 4_096) throw bad(name, 'text');
  return value;
}

export function mapOf(body: JsonObject, name: string): JsonObject {
  const value = body[name];
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw bad(name, 'a map');
  return value as JsonObject;
}

export function listOf(body: JsonObject, name: string): readonly Json[] {
  const value = body[name];
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw bad(name, 'a list');
  return value as readonly Json[];
}

/** Docker's id of a network or an endpoint: hexadecimal, or 25 letters and digits in a swarm. */
export function idOf(body: JsonObject, name: string): string {
  const value = textOf(body, name);
  if (!ID.test(value)) throw bad(name, 'an id');
  return value;
}

export function endpointOf(body: JsonObject): EndpointId {
  const value = idOf(body, 'EndpointID');
  if (!ENDPOINT_ID.test(value)) throw bad('EndpointID', 'an id');
  return value as EndpointId;
}

/** IPv4 text, with or without a prefix, as plain text; undefined when the field is empty. */
export function addressOf(body: JsonObject, name: string): string | undefined {
  const [text = ''] = textOf(body, name).split('/');
  if (text === '') return undefined;
  const parsed = parseIpv4(text);
  if (!parsed.ok) throw new DockerError('bad-call', parsed.message);
  return text;
}

/** Undefined when Docker leaves the choice to the driver. */
export function macOf(body: JsonObject): string | undefined {
  const text = textOf(body, 'MacAddress').toLowerCase();
  if (text === '') return undefined;
  if (!STATION_MAC.test(text)) {
    throw new DockerError('bad-call', `${quote(text)} cannot be a container's MAC address`);
  }
  return text;
}

function bad(name: string, what: string): DockerError {
  return new DockerError('bad-call', `the call of Docker has no ${name} that is ${what}`);
}
