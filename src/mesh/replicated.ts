import type { Crypto, Identity } from '../core/crypto.ts';
import type { MeshId, PeerId } from '../core/ids.ts';
import { createReplica, type Entry, type Merged, type Replica } from '../core/replica.ts';
import {
  decodeDelta,
  type SignedDelta,
  signDelta,
  trustDelta,
  type VerifiedDelta,
  verifyDelta,
} from '../core/wire/delta.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import { decode, encode } from './codec.ts';
import type { Keeper, Section } from './keeper.ts';
import { createQuarantine, type Quarantined } from './quarantine.ts';
import type { RecordEntry, Records } from './records.ts';

/** Records with what gossip and joining need of them. */
export interface OpenRecords extends Records {
  readonly replica: Replica;
  /** Takes in what another peer wrote; watchers hear of it before it returns. */
  merge(delta: VerifiedDelta): Merged;
  /** Called with each own delta once it is on disk and visible here: time to send it. Returns the way to stop. */
  onWritten(handler: (delta: VerifiedDelta) => void): () => void;
  /** All records for somebody who has none, as plain data; undefined when they take more than `limit` bytes. */
  snapshot(limit: number): unknown;
  /** Takes in a snapshot (unchecked input); what is malformed or forged is left out. The number of deltas that were new. */
  absorb(snapshot: unknown): number;
  /** Why records were not taken, by author. */
  quarantined(): readonly Quarantined[];
  /** Counts a delta that was not taken. `author` undefined: it could not be read. */
  quarantine(author: PeerId | undefined, problem: string): void;
  /** Resolves when everything known is on disk. */
  flush(): Promise<void>;
  /** Stops the timer; what others wrote since the last flush is not saved. */
  close(): void;
}

export interface RecordsParts {
  readonly identity: Identity;
  readonly mesh: MeshId;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly keeper: Keeper;
  readonly log: Log;
  /** Empty; default one of its own. */
  readonly replica?: Replica;
}

/**
 * Others' records go to disk this long after a change, and longer the more there are, since all are written: a restart only has to fetch
 * what is newer.
 */
export const SAVE_DELAY = 5_000;
const SAVE_DELAY_EACH = 5;

interface Watcher {
  readonly prefix: string;
  readonly handler: (entry: RecordEntry) => void;
}

/** What entries hold, decoded when first asked for. Peers of one simulation share entries, and so this. */
const VALUES = new WeakMap<Entry, { readonly value: unknown }>();

/** Body and signature in turn. */
type Saved = readonly Uint8Array[];

export function createRecords(parts: RecordsParts): OpenRecords {
  const { identity, mesh, crypto, clock, keeper, log, replica = createReplica() } = parts;
  const self = identity.peer;
  const quarantine = createQuarantine();
  const ownSection = keeper.section<Saved>('records-own', checkSaved, []);
  const othersSection = keeper.section<Saved>('records-others', checkSaved, []);
  const watchers = new Set<Watcher>();
  const senders = new Set<(delta: VerifiedDelta) => void>();
  /** Own deltas on their way to disk. */
  const pending = new Set<VerifiedDelta>();
  /** Keys that this run wrote: see `merge`. */
  const written = new Map<string, Uint8Array | undefined>();
  let lastSeq = 0;
  let saving: Timer | undefined;

  function load(section: Section<Saved>, isExpected: (author: PeerId) => boolean): void {
    for (const signed of toSigned(section.get())) {
      const decoded = decodeDelta(crypto, signed);
      if (decoded.ok && isExpected(decoded.delta.author)) replica.merge(trustDelta(decoded.delta));
      else log.warn('left out a saved record', { problem: decoded.ok ? 'wrong author' : decoded.problem });
    }
  }

  function decodedOf(entry: Entry): unknown {
    if (entry.value === undefined) return undefined;
    let known = VALUES.get(entry);
    if (known === undefined) {
      const decoded = decode(entry.value);
      if (!decoded.ok) quarantine.add(entry.author, `${entry.key}: ${decoded.problem}`);
      known = { value: decoded.ok ? decoded.value : undefined };
      VALUES.set(entry, known);
    }
    return known.value;
  }

  function tell(changes: readonly Entry[]): void {
    for (const entry of changes) {
      const { author, key } = entry;
      for (const { prefix, handler } of [...watchers]) {
        if (!key.startsWith(prefix)) continue;
        try {
          handler({ author, key, value: decodedOf(entry) });
        } catch (error) {
          // One part's mistake must not keep the change from the others.
          log.error('a part failed on a record', { author, key, error: String(error) });
        }
      }
    }
  }

  async function putAll(changes: ReadonlyMap<string, unknown>): Promise<void> {
    const encoded = new Map<string, Uint8Array | undefined>();
    for (const [key, value] of changes) encoded.set(key, value === undefined ? undefined : encode(value));
    await writeAll(encoded);
  }

  async function writeAll(changes: ReadonlyMap<string, Uint8Array | undefined>): Promise<void> {
    const news = new Map([...changes].filter(([key, value]) => pending.size > 0 || isChange(key, value)));
    if (news.size === 0) return;
    const delta = signDelta({ crypto, identity, mesh, seq: lastSeq + 1, changes: news });
    lastSeq = delta.seq;
    pending.add(delta);
    try {
      await saveOwn();
    } catch (error) {
      // The seq stays used: nobody knows whether the bytes reached the disk.
      pending.delete(delta);
      void saveOwn().catch(() => {});
      throw error;
    }
    pending.delete(delta);
    // Meanwhile an earlier life's records came back: what is written now must be newer than those.
    if (replica.seq(self) >= delta.seq) return writeAll(news);
    const merged = replica.merge(delta);
    if (!merged.ok) throw new Error(`this host writes too many records: ${merged.problem}`);
    for (const [key, value] of news) written.set(key, value);
    tell(merged.changes);
    for (const send of [...senders]) send(delta);
  }

  function isChange(key: string, value: Uint8Array | undefined): boolean {
    const current = replica.get(self, key)?.value;
    if (current === undefined || value === undefined) return current !== value;
    return current.length !== value.length || current.some((byte, at) => byte !== value[at]);
  }

  function saveOwn(): Promise<void> {
    return ownSection.set([...replica.deltas(self), ...pending].flatMap(toSaved));
  }

  const saveDelay = () => SAVE_DELAY + SAVE_DELAY_EACH * replica.digest().deltas;

  function saveOthers(): Promise<void> {
    saving?.cancel();
    saving = undefined;
    const others = replica.authors().filter((author) => author !== self);
    return othersSection.set(others.flatMap((author) => replica.deltas(author).flatMap(toSaved)));
  }

  function merge(delta: VerifiedDelta): Merged {
    if (!replica.isNews(delta)) return { ok: true, changes: [] };
    const merged = replica.merge(delta);
    if (!merged.ok) return merged;
    if (delta.author === self) adopt(delta, merged.changes);
    // Nobody waits for it: what is lost here comes again from a neighbour.
    else saving ??= clock.setTimer(saveDelay(), () => void saveOthers().catch(() => {}));
    tell(merged.changes);
    return merged;
  }

  /**
   * Own records that this host does not know: its state was set back, by a damaged file or a restored machine. What an earlier life wrote
   * is taken, except where this one has written since.
   */
  function adopt(delta: VerifiedDelta, changes: readonly Entry[]): void {
    log.warn('own records came back from the mesh: this host has an older copy of its state', {
      seq: delta.seq,
      known: lastSeq,
    });
    lastSeq = Math.max(lastSeq, delta.seq);
    const again = new Map<string, Uint8Array | undefined>();
    for (const { key } of changes) if (written.has(key)) again.set(key, written.get(key));
    const saved = again.size > 0 ? writeAll(again) : saveOwn();
    saved.catch(() => {});
  }

  load(ownSection, (author) => author === self);
  load(othersSection, (author) => author !== self);
  lastSeq = replica.seq(self);

  return {
    replica,
    put: (key, value) => putAll(new Map([[key, value]])),
    putAll,
    async keep() {
      if (saving !== undefined) await saveOthers();
    },
    get(author, key) {
      const entry = replica.get(author, key);
      return entry === undefined ? undefined : decodedOf(entry);
    },
    *entries(prefix) {
      for (const entry of replica.entries(prefix)) {
        const value = decodedOf(entry);
        if (value !== undefined) yield { author: entry.author, key: entry.key, value };
      }
    },
    watch(prefix, handler) {
      const watcher = { prefix, handler };
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    merge,
    onWritten(handler) {
      senders.add(handler);
      return () => senders.delete(handler);
    },
    snapshot(limit) {
      const all = replica.authors().flatMap((author) => replica.deltas(author));
      const size = all.reduce((sum, { body }) => sum + body.length + 80, 0);
      return size > limit ? undefined : all.flatMap(toSaved);
    },
    absorb(snapshot) {
      let taken = 0;
      for (const signed of isSaved(snapshot) ? toSigned(snapshot) : []) {
        const decoded = decodeDelta(crypto, signed);
        if (!decoded.ok || !replica.isNews(decoded.delta)) continue;
        const verified = verifyDelta(crypto, mesh, decoded.delta);
        if (verified !== undefined && merge(verified).ok) taken++;
      }
      return taken;
    },
    quarantined: quarantine.list,
    quarantine: quarantine.add,
    async flush() {
      if (saving !== undefined) await saveOthers();
      await keeper.flush();
    },
    close() {
      saving?.cancel();
    },
  };
}

function toSaved({ body, signature }: VerifiedDelta): readonly Uint8Array[] {
  return [body, signature];
}

function toSigned(saved: Saved): readonly SignedDelta[] {
  const signed: SignedDelta[] = [];
  for (let at = 0; at + 1 < saved.length; at += 2) {
    signed.push({ body: saved[at] as Uint8Array, signature: saved[at + 1] as Uint8Array });
  }
  return signed;
}

function checkSaved(data: unknown): Saved {
  if (!isSaved(data)) throw new TypeError('the records are not a list of bytes');
  return data;
}

function isSaved(data: unknown): data is Saved {
  return Array.isArray(data) && data.every((item) => item instanceof Uint8Array);
}
