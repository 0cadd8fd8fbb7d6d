import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import * as system from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Store, Stored } from '../ports/store.ts';

/**
 * A value in a file, as long as the file system keeps what fsync has confirmed.
 *
 *   NAME            57 45 46 54 53 54 4f 31 ("WEFTSTO1") | length u64 BE | SHA-256 of the value | the value
 *   NAME.previous   the generation before, the same inode that NAME was
 *   NAME.new        a write that did not come to its end
 *
 * A write goes aside, is made durable, the current file gets its second name, the new one takes its place, and the folder is made
 * durable. At every point between, NAME is whole: the old value or the new one.
 */
const MAGIC = Buffer.from('WEFTSTO1', 'latin1');
const HEAD = MAGIC.length + 8 + 32;
/** Far above any state, so that a damaged length cannot ask for the whole memory. */
const MAX_VALUE = 1 << 30;

/** The calls that the store makes; a test gives its own to fail at any one. */
export type StoreFiles = Pick<
  typeof system,
  'chmod' | 'copyFile' | 'link' | 'mkdir' | 'open' | 'rename' | 'rm' | 'stat'
>;

export interface FileStoreOptions {
  /** Made with mode 0700 when missing. */
  readonly directory: string;
  readonly name: string;
  readonly files?: StoreFiles;
}

export class FileStoreError extends Error {
  readonly code: 'no-space' | 'not-permitted' | 'unsafe-directory' | 'failed';
  constructor(code: FileStoreError['code'], message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'FileStoreError';
    this.code = code;
  }
}

type Generation =
  | { readonly state: 'whole'; readonly bytes: Uint8Array }
  | { readonly state: 'missing' }
  | { readonly state: 'damaged'; readonly problem: string };

export function createFileStore({ directory: folder, name, files = system }: FileStoreOptions): Store {
  const directory = resolve(folder);
  const current = join(directory, name);
  const previous = `${current}.previous`;
  const aside = `${current}.new`;
  /** Whether NAME is known to be whole: only then may it replace the generation before. */
  let currentIsWhole: boolean | undefined;

  async function read(): Promise<Stored> {
    const newest = await readGeneration(files, current);
    currentIsWhole = newest.state === 'whole';
    if (newest.state === 'whole') return { generation: 'current', bytes: newest.bytes };
    const older = await readGeneration(files, previous);
    if (newest.state === 'missing' && older.state === 'missing') return { generation: 'none' };
    const problem = newest.state === 'missing' ? `${current} is missing` : newest.problem;
    if (older.state === 'whole') return { generation: 'previous', bytes: older.bytes, problem };
    const second = older.state === 'missing' ? `${previous} is missing` : older.problem;
    return { generation: 'damaged', problem: `${problem}; ${second}` };
  }

  async function write(bytes: Uint8Array): Promise<void> {
    try {
      await prepareDirectory(files, directory);
      if (currentIsWhole === undefined) await read();
      await writeAside(bytes);
      if (currentIsWhole) await keepPrevious();
      await files.rename(aside, current);
      currentIsWhole = true;
      await syncDirectory(files, directory);
    } catch (error) {
      throw explain(current, error);
    }
  }

  async function writeAside(bytes: Uint8Array): Promise<void> {
    await files.rm(aside, { force: true });
    // Exclusive, so that nobody's link in the folder is followed.
    const file = await files.open(aside, 'wx', 0o600);
    try {
      await file.writeFile(Buffer.concat([encodeHead(bytes), bytes]));
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async function keepPrevious(): Promise<void> {
    // A link cannot replace a name, so it is made aside as well; `previous` is never absent once it has been there.
    const second = `${previous}.new`;
    await files.rm(second, { force: true });
    try {
      await files.link(current, second);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP') throw error;
      // A file system without hard links.
      await files.copyFile(current, second, constants.COPYFILE_EXCL);
      await files.chmod(second, 0o600);
      await sync(files, second, 'r+');
    }
    await files.rename(second, previous);
  }

  return { read, write };
}

function encodeHead(bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(HEAD);
  MAGIC.copy(head);
  head.writeBigUInt64BE(BigInt(bytes.length), MAGIC.length);
  createHash('sha256')
    .update(bytes)
    .digest()
    .copy(head, MAGIC.length + 8);
  return head;
}

async function readGeneration(files: StoreFiles, path: string): Promise<Generation> {
  let content: Buffer;
  try {
    const file = await files.open(path, 'r');
    try {
      const { size } = await file.stat();
      if (size > MAX_VALUE + HEAD) return { state: 'damaged', problem: `${path} has ${size} bytes` };
      content = await file.readFile();
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { state: 'missing' };
    throw explain(path, error);
  }
  const problem = check(content);
  if (problem !== undefined) return { state: 'damaged', problem: `${path} ${problem}` };
  return { state: 'whole', bytes: new Uint8Array(content.subarray(HEAD)) };
}

/** What is wrong with a file's content. */
function check(content: Buffer): string | undefined {
  if (content.length === 0) return 'is empty';
  if (content.length < HEAD) return `is cut off after ${content.length} bytes`;
  if (!content.subarray(0, MAGIC.length).equals(MAGIC)) return 'does not begin like a state file';
  const expected = content.readBigUInt64BE(MAGIC.length);
  const length = content.length - HEAD;
  if (expected !== BigInt(length)) return `holds ${length} bytes instead of ${expected}`;
  const digest = createHash('sha256').update(content.subarray(HEAD)).digest();
  return digest.equals(content.subarray(MAGIC.length + 8, HEAD)) ? undefined : 'does not match its checksum';
}

async function prepareDirectory(files: StoreFiles, directory: string): Promise<void> {
  const made = await files.mkdir(directory, { recursive: true, mode: 0o700 });
  if (made !== undefined) {
    // Each new folder is an entry of the one above.
    for (let path = directory; path !== dirname(made); path = dirname(path)) {
      await syncDirectory(files, dirname(path));
    }
  }
  const { mode } = await files.stat(directory);
  if ((mode & 0o022) === 0) return;
  throw new FileStoreError(
    'unsafe-directory',
    `others can write to ${directory}, which holds private keys: chmod go-w ${directory}, or choose another`,
  );
}

async function syncDirectory(files: StoreFiles, directory: string): Promise<void> {
  await sync(files, directory, 'r');
}

async function sync(files: StoreFiles, path: string, flags: string): Promise<void> {
  const handle = await files.open(path, flags);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function explain(path: string, error: unknown): FileStoreError {
  if (error instanceof FileStoreError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new FileStoreError(
      'no-space',
      `no space left for ${path}: free some; the last state is kept`,
      error,
    );
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new FileStoreError(
      'not-permitted',
      `no permission for ${path}: run as root, or choose another folder`,
      error,
    );
  }
  return new FileStoreError('failed', `${path}: ${message}`, error);
}
