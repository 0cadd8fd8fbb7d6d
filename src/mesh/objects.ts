import { compareStamps, hasRoom, isFar, NO_STAMP, nextStamp, type Stamp } from '../core/hybrid-clock.ts';
import type { PeerId } from '../core/ids.ts';
import { isPeerText } from '../core/ring-entry.ts';
import { compareVersions, latest, readVersion, type Version, writeVersion } from '../core/versioned.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Keeper } from './keeper.ts';
import type { Membership } from './membership.ts';
import type { RecordEntry, Records } from './records.ts';

/**
 * Replicated objects of one kind that every member may write: the last writer wins (core/versioned.ts). A member that takes the last of all
 * stamps wins for as long as it is a member: once it is removed, no stamp of the far future counts for that object, whoever wrote it, and
 * what was written meanwhile does.
 */
export interface Objects<T> {
  get(id: string): T | undefined;
  /** Known to be removed, or never to come. */
  isRemoved(id: string): boolean;
  /** What it is, or what it was before it was removed, as far as that is known. */
  last(id: string): T | undefined;
  /** What anybody who wrote it has it for. */
  versions(id: string): readonly T[];
  /** All that are there; the same map as long as nothing changes. */
  all(): ReadonlyMap<string, T>;
  /** A write later than every one that is known here. Resolves when it is on disk; only then is it seen and sent. */
  put(id: string, value: T): Promise<void>;
  remove(id: string): Promise<void>;
  /** The stamp that a write of a new object would have. */
  now(): Stamp;
  /** Called after each change. Returns the way to stop. */
  watch(handler: (id: string) => void): () => void;
  close(): void;
}

export interface ObjectsParts<T> {
  readonly records: Records;
  readonly clock: Pick<Clock, 'wall'>;
  readonly log: Log;
  readonly keeper: Keeper;
  readonly membership: Pick<Membership, 'isRemoved' | 'watch'>;
  /** Of the records' keys, with its slash: `network/`. */
  readonly prefix: string;
  /** Undefined for what is no T. */
  readonly read: (value: unknown) => T | undefined;
}

export function createObjects<T>(parts: ObjectsParts<T>): Objects<T> {
  const { records, clock, log, keeper, membership, prefix, read } = parts;
  const versions = new Map<string, Map<PeerId, Version<T>>>();
  const winners = new Map<string, Version<T>>();
  const watchers = new Set<(id: string) => void>();
  /** Of own writes that may be on their way to disk: the next one is later still. */
  const issued = new Map<string, Stamp>();
  /**
   * The winners, for a start that nobody else survived: records of others go to disk late, but whatever a part of this peer writes because
   * of an object goes there together with it.
   */
  const saved = keeper.section<readonly RecordEntry[]>(`objects/${prefix}`, checkSaved, []);
  let all: ReadonlyMap<string, T> | undefined;

  function take({ author, key, value }: RecordEntry): boolean {
    const id = key.slice(prefix.length);
    const known = versions.get(id) ?? new Map<PeerId, Version<T>>();
    const version = value === undefined ? undefined : readVersion(author, value, read);
    if (value !== undefined && version === undefined)
      log.warn('left out a malformed record', { author, key });
    if (version === undefined) known.delete(author);
    else if (isNews(version, known.get(author))) known.set(author, version);
    if (known.size === 0) versions.delete(id);
    else versions.set(id, known);
    return elect(id);
  }

  /** The versions that compete; where all are of the far future, these. */
  function counted(id: string): readonly Version<T>[] {
    const known = [...(versions.get(id)?.values() ?? [])];
    const near = known.filter(({ at }) => !isFar(at));
    return near.length > 0 && isRid(id) ? near : known;
  }

  /** Of somebody who took a stamp of the far future. */
  function isRid(id: string): boolean {
    const known = [...(versions.get(id)?.values() ?? [])];
    return known.some(({ at, author }) => isFar(at) && membership.isRemoved(author));
  }

  /** True when another version wins than before. */
  function elect(id: string): boolean {
    const before = winners.get(id);
    const winner = latest(counted(id));
    if (winner === before) return false;
    if (winner === undefined) winners.delete(id);
    else winners.set(id, winner);
    all = undefined;
    return true;
  }

  function save(): void {
    const entries = [...winners].map(([id, { author, at, removed, value = null }]) => {
      return { author, key: prefix + id, value: { at, removed, value } };
    });
    saved.set(entries).catch(() => {});
  }

  /** What a write is to be later than. Where the far future does not count, or is used up, all that is nearer: it counts when that is over. */
  function before(id: string, stamps: readonly Stamp[]): Stamp {
    const last = (some: readonly Stamp[]) => [NO_STAMP, ...some].sort(compareStamps).at(-1) ?? NO_STAMP;
    const all = last(stamps);
    return hasRoom(all) && !isRid(id) ? all : last(stamps.filter((stamp) => !isFar(stamp)));
  }

  async function write(id: string, removed: boolean, value: T | undefined): Promise<void> {
    const stamps = [...(versions.get(id)?.values() ?? [])].map(({ at }) => at);
    const own = issued.get(id);
    const record = writeVersion(
      clock.wall(),
      before(id, own === undefined ? stamps : [...stamps, own]),
      removed,
      value,
    );
    issued.set(id, record.at);
    await records.put(prefix + id, record);
  }

  /** A removal need not say what it removes: then it is what others have it for. */
  function last(id: string): T | undefined {
    const winner = winners.get(id);
    if (winner === undefined || winner.value !== undefined) return winner?.value;
    const valued = [...(versions.get(id)?.values() ?? [])].filter(({ value }) => value !== undefined);
    return latest(valued)?.value;
  }

  const isRemoved = (id: string) => winners.get(id)?.removed === true;

  for (const record of [...saved.get(), ...records.entries(prefix)]) take(record);
  const stop = records.watch(prefix, (record) => {
    if (take(record)) tell([record.key.slice(prefix.length)]);
  });
  const stopMembers = membership.watch(() =>
    tell([...versions.keys()].filter((id) => isRid(id) && elect(id))),
  );

  function tell(ids: readonly string[]): void {
    if (ids.length === 0) return;
    save();
    for (const id of ids) for (const handler of [...watchers]) handler(id);
  }

  return {
    get: (id) => (isRemoved(id) ? undefined : last(id)),
    isRemoved,
    last,
    versions: (id) => [...(versions.get(id)?.values() ?? [])].flatMap(({ value }) => value ?? []),
    all() {
      all ??= new Map(
        [...winners].flatMap(([id, { removed, value }]) =>
          removed || value === undefined ? [] : [[id, value] as const],
        ),
      );
      return all;
    },
    put: (id, value) => write(id, false, value),
    remove: (id) => write(id, true, last(id)),
    now: () => nextStamp(clock.wall(), NO_STAMP),
    watch(handler) {
      watchers.add(handler);
      return () => watchers.delete(handler);
    },
    close() {
      stop();
      stopMembers();
      watchers.clear();
    },
  };
}

/** What was saved may be younger than what the author's record says after a start: others' records are saved late. From the far future there is a way back. */
function isNews(version: Version<unknown>, known: Version<unknown> | undefined): boolean {
  return known === undefined || isFar(known.at) || compareVersions(version, known) >= 0;
}

/** Values are checked as those of records are. */
function checkSaved(data: unknown): readonly RecordEntry[] {
  if (!Array.isArray(data)) throw new TypeError('the objects are not a list');
  return data.map((item: unknown) => {
    const { author, key, value } = (item ?? {}) as { readonly [K in keyof RecordEntry]?: unknown };
    if (!isPeerText(author) || typeof key !== 'string') throw new TypeError('an object has no author or key');
    return { author, key, value };
  });
}
