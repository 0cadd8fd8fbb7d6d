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
  /**
   * What others wrote goes to disk with whatever is written in this turn, not when there is time: for what rests on it when those who could
   * tell it again may be gone.
   */
  keep(): Promise<void>;
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
  /** `ring/<start>-<last>/<epoch>-<version>`: ring entry that the author wrote. Never removed: later entries are checked against it. */
  ring: 'ring/',
  /** `heir`: the creator's heir, written once, by the creator only. `heir/<n>`: the author's nth later one (core/succession.ts). */
  heir: 'heir',
  /** `handed/<peer id>`: to whom the author has handed its role as that peer's heir, written once (core/succession.ts). */
  handed: 'handed/',
  /** `network/<id>`: the author's version of a network: see mesh/objects.ts. */
  network: 'network/',
  /** `uses`: ids of the networks, other than `weft`, in which the author has addresses in use. */
  uses: 'uses',
  /** `name/<number>`: names of an endpoint of the author, see names.ts. Numbers are used again. */
  name: 'name/',
  /** `trust`: Declaration (core/path.ts), one an author. */
  trust: 'trust',
  /** `reach`: Reach (core/relay.ts), one an author. */
  reach: 'reach',
  /** `static/<network id>/<name>/<address>`: the author's version of a name given by hand, see static-names.ts. */
  static: 'static/',
  /** `fence/<peer id>/<part>`: the author's promise to take no more of a removed peer's entries than these (core/takeover.ts). */
  fence: 'fence/',
  /** `closed/<peer id>/<depth>/<part>`: what counts of a removed peer's entries, by who takes it over. */
  closed: 'closed/',
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
  /** Bytes of the largest inner packet that its device takes; absent: of a release that does not say. */
  readonly mtu?: number;
}

const MAX_LISTED = 64;

/** Reads a value that its author may have written in any way; undefined when it is no PeerRecord. */
export function readPeerRecord(value: unknown): PeerRecord | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { nickname, version, control, data, boot, free, degree, mtu } = value as Partial<PeerRecord>;
  if (!isText(nickname, 64) || !isText(version, 64) || !isText(boot, 16)) return undefined;
  if (!isTexts(control) || !isTexts(data) || !isCount(free) || !isCount(degree)) return undefined;
  const record = { nickname, version, control, data, boot, free, degree };
  return isCount(mtu) ? { ...record, mtu } : record;
}

/** Peer ids of a `links` record; what is no list of texts is an empty one. Longer ones are cut. */
export function readLinks(value: unknown): readonly PeerId[] {
  if (!Array.isArray(value)) return [];
  return value.slice(0, 2 * MAX_LISTED).filter((peer): peer is PeerId => isText(peer, 64));
}

function isText(value: unknown, most: number): value is string {
  return typeof value === 'string' && value.length <= most;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length <= MAX_LISTED && value.every((item) => isText(item, 255));
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
