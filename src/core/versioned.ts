import { compareStamps, nextStamp, readStamp, type Stamp } from './hybrid-clock.ts';
import type { PeerId } from './ids.ts';

/**
 * An object that any peer may write, on maps that only their author writes: each author has a record of the object, and the greatest of
 * them by (stamp, author) is what the object is. The same set of records gives the same object on every peer.
 */
export interface Version<T> {
  readonly author: PeerId;
  readonly at: Stamp;
  /** Such a version stays, because an older one may still be on its way. */
  readonly removed: boolean;
  /** Of a removed object, what it was; undefined for one that was removed before it was told of. */
  readonly value: T | undefined;
}

/** How a version is written as a record; `value` is null where a version has none. */
export interface VersionRecord {
  readonly at: Stamp;
  readonly removed: boolean;
  readonly value: unknown;
}

export function compareVersions(a: Version<unknown>, b: Version<unknown>): number {
  return compareStamps(a.at, b.at) || (a.author < b.author ? -1 : a.author > b.author ? 1 : 0);
}

export function latest<T>(versions: Iterable<Version<T>>): Version<T> | undefined {
  let found: Version<T> | undefined;
  for (const version of versions) {
    if (found === undefined || compareVersions(version, found) > 0) found = version;
  }
  return found;
}

/** The record that supersedes everything up to `seen`. */
export function writeVersion(wall: number, seen: Stamp, removed: boolean, value: unknown): VersionRecord {
  return { at: nextStamp(wall, seen), removed, value: value ?? null };
}

/** Unchecked data as a version; `read` checks the value and answers undefined for what is none. Undefined for what is malformed. */
export function readVersion<T>(
  author: PeerId,
  data: unknown,
  read: (value: unknown) => T | undefined,
): Version<T> | undefined {
  if (typeof data !== 'object' || data === null) return undefined;
  const { at: stamp, removed, value: raw } = data as { readonly [K in keyof VersionRecord]?: unknown };
  const at = readStamp(stamp);
  if (at === undefined || typeof removed !== 'boolean') return undefined;
  if (raw === null && removed) return { author, at, removed, value: undefined };
  const value = read(raw);
  return value === undefined ? undefined : { author, at, removed, value };
}
