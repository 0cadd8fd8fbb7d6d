import type { PeerId } from '../core/ids.ts';

/**
 * The replicated state as the parts of the mesh see it: one map per author that only the author writes, signed, on every member.
 * Built by gossip.ts on core/replica.ts.
 */
export interface Records {
  /** Writes into this peer's own map. Resolves once it is on disk; only then is it sent to others and seen by `get` and `watch`. */
  put(key: string, value: unknown): Promise<void>;
  /** Several at once: on disk and in gossip all or none. `undefined` removes a key. */
  putAll(changes: ReadonlyMap<string, unknown>): Promise<void>;
  get(author: PeerId, key: string): unknown;
  /** All records whose key starts with `prefix`, of all authors; values are what the author wrote and unchecked by type. */
  entries(prefix: string): Iterable<RecordEntry>;
  /** Called for each change under `prefix` from then on, own ones too; `value` undefined = removed. Returns the way to stop. */
  watch(prefix: string, handler: (entry: RecordEntry) => void): () => void;
}

export interface RecordEntry {
  readonly author: PeerId;
  /** At most 128 bytes. First part names the kind: see KEY. */
  readonly key: string;
  readonly value: unknown;
}

/** Kinds of records, by key prefix. */
export const KEY = {
  /** `peer`: PeerRecord, one an author. */
  peer: 'peer',
  /** `links`: the peer ids that the author has open links with. */
  links: 'links',
  /** `member/<peer id>`: the certificate that the author issued. */
  member: 'member/',
  /** `removed/<peer id>`: tombstone by the removed peer's heir (or the root key). */
  removed: 'removed/',
  /** `ring/<start>-<last>`: ring entry that the author wrote. */
  ring: 'ring/',
  /** `heir`: the creator's heir, written once, by the creator only. */
  heir: 'heir',
} as const;

/** What a peer says of itself. */
export interface PeerRecord {
  readonly nickname: string;
  readonly version: string;
  /** `host:port` where its control plane listens; empty when it only dials. */
  readonly control: readonly string[];
  /** `host:port` where its data path receives. */
  readonly data: readonly string[];
  /** Random at each start of the daemon, 16 hex characters: tells a restart from a lost link. */
  readonly boot: string;
  /** Free addresses, for donors to be found by. */
  readonly free: number;
  /** Largest number of links that it accepts. */
  readonly degree: number;
}
