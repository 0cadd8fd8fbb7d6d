import type { EndpointId, PeerId } from '../core/ids.ts';
import { KEY, type Records } from './records.ts';

/**
 * Under which key each endpoint of this peer has its names. A key that was ever written stays in everybody's state, so keys are numbers and are
 * used again: a host has as many as it had endpoints with names at one time, however many come and go.
 */
export interface NameSlots {
  /** The key of the endpoint; the lowest free one when it has none. */
  take(endpoint: EndpointId): string;
  /** More than one where a record of an earlier life came back. */
  keysOf(endpoint: EndpointId): readonly string[];
  /** Others may have the keys of the endpoint once `work` is done, unless it has taken one again meanwhile. */
  releaseAfter(endpoint: EndpointId, work: Promise<void>): Promise<void>;
  endpoints(): readonly EndpointId[];
  close(): void;
}

export function createNameSlots(records: Records, self: PeerId): NameSlots {
  const holders = new Map<string, EndpointId>();
  const leaving = new Set<EndpointId>();

  function read(author: PeerId, key: string, value: unknown): void {
    const { endpoint } = (value ?? {}) as { readonly endpoint?: unknown };
    if (author === self && typeof endpoint === 'string') holders.set(key, endpoint as EndpointId);
  }

  function freeKey(): string {
    for (let number = 0; ; number++) {
      const key = `${KEY.name}${number}`;
      if (!holders.has(key)) return key;
    }
  }

  const keysOf = (endpoint: EndpointId) =>
    [...holders].flatMap(([key, holder]) => (holder === endpoint ? key : []));

  for (const { author, key, value } of records.entries(KEY.name)) read(author, key, value);
  const stop = records.watch(KEY.name, ({ author, key, value }) => read(author, key, value));

  return {
    take(endpoint) {
      leaving.delete(endpoint);
      const key = keysOf(endpoint)[0] ?? freeKey();
      holders.set(key, endpoint);
      return key;
    },
    keysOf,
    async releaseAfter(endpoint, work) {
      leaving.add(endpoint);
      await work;
      if (!leaving.delete(endpoint)) return;
      for (const key of keysOf(endpoint)) holders.delete(key);
    },
    endpoints: () => [...new Set(holders.values())],
    close: stop,
  };
}
