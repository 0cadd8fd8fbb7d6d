import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Identity } from '../core/crypto.ts';
import { ControlError } from '../doors/errors.ts';
import { nodeCrypto } from '../host/crypto.ts';
import { createFileStore, FileStoreError } from '../host/file-store.ts';
import { systemRandom } from '../host/random.ts';
import { KeeperError, type OpenedKeeper, openKeeper } from '../mesh/keeper.ts';
import { type MembershipStateSection, openMembershipState } from '../mesh/membership-state.ts';
import type { Log } from '../ports/log.ts';

/** The state file, opened: who this host is and which mesh it is in. */
export interface Held {
  readonly keeper: OpenedKeeper;
  readonly identity: Identity;
  readonly membership: MembershipStateSection;
}

/** Rejects with ControlError `state-damaged` or `state-unwritable`. */
export async function openHeld(directory: string, log: Log): Promise<Held> {
  try {
    const keeper = await openKeeper({ store: createFileStore({ directory, name: 'state' }), log });
    if (keeper.problem !== undefined) {
      log.warn('the state file is damaged: using the generation before', { problem: keeper.problem });
    }
    const identity = await openIdentity(keeper);
    return { keeper, identity, membership: openMembershipState(keeper, { crypto: nodeCrypto, identity }) };
  } catch (error) {
    if (error instanceof KeeperError) throw new ControlError('state-damaged', error.message);
    if (error instanceof FileStoreError) throw new ControlError('state-unwritable', error.message);
    throw error;
  }
}

/** Moves the state to `removed-NAME` in its folder, and opens an empty one. */
export async function renewHeld(directory: string, name: string, log: Log): Promise<Held> {
  try {
    const place = join(directory, `removed-${name}`);
    await mkdir(place, { recursive: true, mode: 0o700 });
    for (const file of ['state.previous', 'state']) {
      // The current one last: what fails before it leaves the host what it was.
      await rename(join(directory, file), join(place, file)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
    }
  } catch (error) {
    throw new ControlError('state-unwritable', error instanceof Error ? error.message : String(error));
  }
  return openHeld(directory, log);
}

/** This host's key is made when it first starts. */
async function openIdentity(keeper: OpenedKeeper): Promise<Identity> {
  const section = keeper.section<Uint8Array | null>('identity', checkSeed, null);
  const seed = section.get() ?? systemRandom.bytes(32);
  if (section.get() === null) await section.set(seed);
  const publicKey = nodeCrypto.publicKey(seed);
  return { seed, publicKey, peer: nodeCrypto.peerId(publicKey) };
}

function checkSeed(data: unknown): Uint8Array | null {
  if (data === null || (data instanceof Uint8Array && data.length === 32)) return data;
  throw new TypeError('seed is not a key');
}
