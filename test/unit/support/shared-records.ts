import type { PeerId } from '../../../src/core/ids.ts';
import { decode, encode } from '../../../src/mesh/codec.ts';
import type { RecordEntry, Records } from '../../../src/mesh/records.ts';

/** Replicas of the records of a few peers that agree when told to: `sync` brings everybody's maps to everybody. */
export interface SharedRecords {
  of(peer: PeerId): Records;
  sync(): void;
}

export function createSharedRecords(): SharedRecords {
  const replicas = new Map<PeerId, Replica>();
  return {
    of(peer) {
      const replica = createReplica(peer);
      replicas.set(peer, replica);
      return replica.records;
    },
    sync() {
      for (const [author, { maps }] of replicas) {
        const own = maps.get(author) ?? new Map<string, Uint8Array>();
        for (const [peer, replica] of replicas) if (peer !== author) replica.take(author, own);
      }
    },
  };
}

interface Replica {
  readonly maps: Map<PeerId, Map<string, Uint8Array>>;
  readonly records: Records;
  take(author: PeerId, map: ReadonlyMap<string, Uint8Array>): void;
}

function createReplica(self: PeerId): Replica {
  const maps = new Map<PeerId, Map<string, Uint8Array>>([[self, new Map()]]);
  const watchers = new Set<{ prefix: string; handler: (entry: RecordEntry) => void }>();

  function tell(author: PeerId, key: string, value: unknown): void {
    for (const { prefix, handler } of [...watchers]) {
      if (key.startsWith(prefix)) handler({ author, key, value });
    }
  }

  async function putAll(changes: ReadonlyMap<string, unknown>): Promise<void> {
    await null;
    for (const [key, value] of changes) {
      if (value === undefined) maps.get(self)?.delete(key);
      else maps.get(self)?.set(key, encode(value));
    }
    for (const [key, value] of changes) tell(self, key, value);
  }

  return {
    maps,
    records: {
      put: (key, value) => putAll(new Map([[key, value]])),
      putAll,
      keep: async () => {},
      get: (author, key) => open(maps.get(author)?.get(key)),
      *entries(prefix) {
        for (const [author, map] of maps) {
          for (const [key, value] of map)
            if (key.startsWith(prefix)) yield { author, key, value: open(value) };
        }
      },
      watch(prefix, handler) {
        const watcher = { prefix, handler };
        watchers.add(watcher);
        return () => watchers.delete(watcher);
      },
    },
    take(author, map) {
      const known = maps.get(author) ?? new Map<string, Uint8Array>();
      maps.set(author, known);
      for (const [key, value] of map) {
        const before = known.get(key);
        if (before !== undefined && Buffer.compare(before, value) === 0) continue;
        known.set(key, value);
        tell(author, key, open(value));
      }
    },
  };
}

function open(bytes: Uint8Array | undefined): unknown {
  const decoded = bytes === undefined ? undefined : decode(bytes);
  return decoded?.ok ? decoded.value : undefined;
}
