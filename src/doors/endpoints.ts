import type { EndpointStatus } from './control.ts';

const SHORTEST_ID = 4;

/** Every endpoint that `reference` may mean: see DetachRequest. An exact match of one kind hides those of the next. */
export function findEndpoints(
  endpoints: readonly EndpointStatus[],
  reference: string,
): readonly EndpointStatus[] {
  const kinds: ((endpoint: EndpointStatus) => boolean)[] = [
    (endpoint) => endpoint.id === reference,
    (endpoint) => endpoint.name === reference,
    (endpoint) => endpoint.address === reference,
    (endpoint) => endpoint.sandbox === reference,
    (endpoint) => reference.length >= SHORTEST_ID && endpoint.id.startsWith(reference),
  ];
  for (const matches of kinds) {
    const found = endpoints.filter(matches);
    if (found.length > 0) return found;
  }
  return [];
}
