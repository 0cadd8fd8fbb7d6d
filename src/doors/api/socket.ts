import { lstat, mkdir, unlink } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { ControlError } from '../errors.ts';

/** sun_path holds 108 bytes with its final zero (unix(7)). */
export const MAX_SOCKET_PATH = 107;

/**
 * Binds `server` to a unix socket that only its owner may open. Makes the folder (0700) when it is missing; a socket that a dead
 * daemon left is replaced, one that somebody listens on is not. Throws ControlError `socket-in-use` or `socket-unusable`.
 */
export async function listenOnSocket(server: Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    throw new ControlError(
      'socket-unusable',
      `The socket path is longer than ${MAX_SOCKET_PATH} bytes: ${path}`,
    );
  }
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await clearStale(path);
    await bind(server, path);
  } catch (error) {
    if (error instanceof ControlError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') throw new ControlError('socket-in-use', `Another daemon listens on ${path}`);
    throw new ControlError('socket-unusable', `The socket cannot be made: ${message}`);
  }
}

async function clearStale(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (!found.isSocket()) throw new ControlError('socket-unusable', `${path} is there and is not a socket`);
  if (await somebodyListens(path))
    throw new ControlError('socket-in-use', `Another daemon listens on ${path}`);
  await unlink(path);
}

/** Anything but a plain refusal counts as somebody: a socket is removed on certain knowledge only. */
function somebodyListens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}

function bind(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // bind(2) happens inside listen(), so the socket never exists with wider rights than these.
    const before = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.removeListener('error', reject);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}
