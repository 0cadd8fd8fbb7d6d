import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../ports/host.ts';

/**
 * Notes of what was made on this machine and does not show by itself whose it is: the TUN device, which can be marked only after it
 * is there. A note is on disk before the deed, so a crash in between leaves nothing behind that `restore` does not find.
 * Everything else carries our group, alias or protocol in the kernel; no sysctl but those of our own links is ever changed.
 */
export interface Ledger {
  /** Names of the devices that were, or were about to be, made. */
  devices(): Promise<readonly string[]>;
  note(device: string): Promise<void>;
  /** All that was noted is undone. */
  clear(): Promise<void>;
}

export function createLedger(stateDirectory: string): Ledger {
  const path = join(stateDirectory, 'made-on-this-machine');

  async function devices(): Promise<readonly string[]> {
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw new HostError('command-failed', `cannot read ${path}: ${error.message}`);
    });
    return text.split('\n').filter((line) => /^[\w.-]{1,15}$/.test(line));
  }

  async function write(lines: readonly string[]): Promise<void> {
    await mkdir(stateDirectory, { recursive: true, mode: 0o700 });
    // Not synced: what it tells of does not outlive a power cut either.
    await writeFile(`${path}.new`, `${lines.join('\n')}\n`, { mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  return {
    devices,
    async note(device) {
      const noted = await devices();
      if (!noted.includes(device)) await write([...noted, device]);
    },
    async clear() {
      await rm(path, { force: true });
    },
  };
}
