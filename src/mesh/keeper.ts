import type { MsgpackLimits } from '../core/wire/msgpack-scan.ts';
import type { Log } from '../ports/log.ts';
import type { Store } from '../ports/store.ts';
import { decode, encode } from './codec.ts';

/**
 * The one owner of the state file. Each part of the mesh has a named section; any number of sections set in one turn of the event
 * loop go to disk in one write, and a write that is under way is followed by one more with all that came since.
 */
export interface Keeper {
  /** `check` turns unchecked data into T or throws with a message that names the field; `initial` is used when the section is absent. */
  section<T>(name: string, check: (data: unknown) => T, initial: T): Section<T>;
  /** Resolves when everything set so far is on disk. */
  flush(): Promise<void>;
}

export interface Section<T> {
  get(): T;
  /** Takes effect at once in memory; resolves when on disk. Whoever promises something to others awaits it first. */
  set(value: T): Promise<void>;
}

export interface OpenedKeeper extends Keeper {
  /** Where the state came from. After `previous` the last write is lost: `problem` says why, and the operator must be told. */
  readonly generation: 'none' | 'current' | 'previous';
  readonly problem: string | undefined;
}

export type KeeperErrorCode = 'damaged' | 'not-ours' | 'newer-format' | 'bad-section';

export class KeeperError extends Error {
  readonly code: KeeperErrorCode;
  constructor(code: KeeperErrorCode, message: string) {
    super(message);
    this.name = 'KeeperError';
    this.code = code;
  }
}

/** The state is a map { format, version, sections: name → msgpack bytes }. Versions before FORMAT_VERSION are read, later ones refused. */
const FORMAT = 'weft-state';
const FORMAT_VERSION = 1;

/**
 * The file is our own, so these only bound what a damaged disk can make us allocate. A section holds whatever others may make this
 * peer remember (REPLICA_LIMITS), signatures included: what can be written must be readable at the next start.
 */
export const FILE_LIMITS: MsgpackLimits = {
  depth: 4,
  items: 10_000,
  string: 1_024,
  binary: 1 << 30,
  key: 256,
};
const SECTION_LIMITS: MsgpackLimits = {
  depth: 16,
  items: 20_000_000,
  string: 1 << 20,
  binary: 16 << 20,
  key: 256,
};

/** Rejects with KeeperError when there is a state that cannot be used, or with what the store says. */
export async function openKeeper({ store, log }: { store: Store; log?: Log }): Promise<OpenedKeeper> {
  const stored = await store.read();
  if (stored.generation === 'damaged') {
    throw new KeeperError('damaged', `both generations of the state are damaged: ${stored.problem}`);
  }
  const sections = stored.generation === 'none' ? new Map() : readSections(stored.bytes);
  return {
    ...createKeeper(store, sections, log),
    generation: stored.generation,
    problem: stored.generation === 'previous' ? stored.problem : undefined,
  };
}

function readSections(bytes: Uint8Array): Map<string, Uint8Array> {
  const decoded = decode(bytes, FILE_LIMITS);
  const file = decoded.ok ? asObject(decoded.value) : undefined;
  if (file === undefined || file.format !== FORMAT) {
    throw new KeeperError('not-ours', 'the state file is not one of Weft');
  }
  if (typeof file.version !== 'number' || file.version > FORMAT_VERSION) {
    throw new KeeperError(
      'newer-format',
      `the state has format ${file.version}, this version of Weft reads up to ${FORMAT_VERSION}: upgrade Weft`,
    );
  }
  const sections = new Map<string, Uint8Array>();
  for (const [name, content] of Object.entries(asObject(file.sections) ?? {})) {
    if (!(content instanceof Uint8Array)) {
      throw new KeeperError('bad-section', `section ${name} of the state holds no bytes`);
    }
    sections.set(name, content);
  }
  return sections;
}

function asObject(value: unknown): Record<string, unknown> | undefined {
  const plain =
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
  return plain ? (value as Record<string, unknown>) : undefined;
}

/** `contents` also holds sections that nobody asks for, such as those of parts that were switched off: they are kept as they are. */
function createKeeper(store: Store, contents: Map<string, Uint8Array>, log: Log | undefined): Keeper {
  const opened = new Set<string>();
  /** Sections that changed since they were last encoded, with a way to get the value. */
  const dirty = new Map<string, () => unknown>();
  let unsaved = false;
  /** The write under way and the one that follows it; all who set something meanwhile share the latter. */
  let current: PromiseWithResolvers<void> | undefined;
  let next: PromiseWithResolvers<void> | undefined;

  async function write(): Promise<void> {
    unsaved = true;
    for (const [name, value] of dirty) {
      // Out of the set first: a value that cannot be encoded must not spoil every later write.
      dirty.delete(name);
      contents.set(name, encode(value()));
    }
    const sections = Object.fromEntries(contents);
    await store.write(encode({ format: FORMAT, version: FORMAT_VERSION, sections }));
    unsaved = false;
  }

  async function drain(): Promise<void> {
    while (next !== undefined) {
      current = next;
      next = undefined;
      try {
        await write();
        current.resolve();
      } catch (error) {
        log?.error('the state could not be written', { error: String(error) });
        current.reject(error);
      }
    }
    current = undefined;
  }

  function schedule(): Promise<void> {
    if (next === undefined) {
      next = Promise.withResolvers();
      // Who does not wait for the disk has not asked to hear of it either; the log has.
      next.promise.catch(() => {});
      if (current === undefined) {
        current = next;
        queueMicrotask(drain);
      }
    }
    return next.promise;
  }

  function section<T>(name: string, check: (data: unknown) => T, initial: T): Section<T> {
    if (opened.has(name)) throw new Error(`section ${name} has an owner already`);
    opened.add(name);
    const bytes = contents.get(name);
    let value = bytes === undefined ? initial : readSection(name, bytes, check);
    return {
      get: () => value,
      set(changed) {
        value = changed;
        dirty.set(name, () => value);
        return schedule();
      },
    };
  }

  async function flush(): Promise<void> {
    if (dirty.size > 0 || (unsaved && current === undefined)) return schedule();
    return current?.promise;
  }

  return { section, flush };
}

function readSection<T>(name: string, bytes: Uint8Array, check: (data: unknown) => T): T {
  const decoded = decode(bytes, SECTION_LIMITS);
  if (!decoded.ok) throw new KeeperError('bad-section', `section ${name} of the state: ${decoded.problem}`);
  try {
    return check(decoded.value);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new KeeperError('bad-section', `section ${name} of the state: ${problem}`);
  }
}
