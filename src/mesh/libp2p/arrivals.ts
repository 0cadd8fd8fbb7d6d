import { sourceOf } from './limiter.ts';

/** A raw connection as this part needs it. */
export interface Arrival {
  readonly remoteAddress: string;
  /** Cuts it. */
  abort(error: Error): void;
}

/** Connections that have not proved a door yet. */
export interface Arrivals<T> {
  enter(connection: T, arrival: Arrival): void;
  /** It has proved a door, or is closed. */
  leave(connection: T): void;
}

/**
 * Room for so many strangers. One more pushes out the oldest of the source that has most: who opens connections and says nothing
 * competes with itself, and a source with a single connection is safe until there are as many sources as places.
 */
export function createArrivals<T>(places: number): Arrivals<T> {
  const sources = new Map<string, Map<T, Arrival>>();
  const sourceOfConnection = new Map<T, string>();

  function leave(connection: T): void {
    const source = sourceOfConnection.get(connection);
    if (source === undefined) return;
    sourceOfConnection.delete(connection);
    const waiting = sources.get(source);
    waiting?.delete(connection);
    if (waiting?.size === 0) sources.delete(source);
  }

  function pushOut(): void {
    let most = new Map<T, Arrival>();
    for (const waiting of sources.values()) if (waiting.size > most.size) most = waiting;
    const [oldest] = most;
    if (oldest === undefined) return;
    const [connection, arrival] = oldest;
    leave(connection);
    arrival.abort(new Error('others want to come in'));
  }

  return {
    enter(connection, arrival) {
      if (sourceOfConnection.size >= places) pushOut();
      const source = sourceOf(arrival.remoteAddress);
      const waiting = sources.get(source) ?? new Map<T, Arrival>();
      sources.set(source, waiting.set(connection, arrival));
      sourceOfConnection.set(connection, source);
    },
    leave,
  };
}
