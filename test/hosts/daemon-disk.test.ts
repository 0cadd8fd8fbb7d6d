import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { createNamespaces, needsRoot } from './namespaces.ts';

const execute = promisify(execFile);
const WEFT = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');

/** `weft up` with its state on a file system of these options, filled up to all but `room` KiB. */
async function up(options: string, room: number | undefined): Promise<{ code: number; stderr: string }> {
  const namespaces = await createNamespaces();
  const folder = namespaces.stateDirectory;
  const host = namespaces.hostPath.replace('/run/netns/', '');
  const fill =
    room === undefined ? ':' : `dd if=/dev/zero of=${folder}/fill bs=1k count=${64 - room} 2>/dev/null`;
  const script = `mount -t tmpfs -o ${options} tmpfs ${folder} && ${fill}
    WEFT_STATE=${folder}/state WEFT_SOCKET=${folder}.sock ip netns exec ${host} ${process.execPath} ${WEFT} up`;
  try {
    await execute('unshare', ['--mount', 'sh', '-c', script]);
    return { code: 0, stderr: '' };
  } catch (error) {
    const { code, stderr } = error as { code: number; stderr: string };
    return { code, stderr };
  } finally {
    await namespaces.close();
  }
}

const stories = [
  ['a state folder that cannot be written', 'ro', undefined],
  ['a disk that is full', 'size=64k', 0],
  ['a disk that is full after the log was begun', 'size=64k', 12],
] as const;

for (const [title, options, room] of stories) {
  test(`${title} is named in one line, with what to do`, { skip: needsRoot, timeout: 30_000 }, async () => {
    const { code, stderr } = await up(options, room);
    assert.ok(code === 1 || code === 3, stderr);
    const lines = stderr.trim().split('\n');
    assert.equal(lines.length, 2, stderr);
    assert.match(lines[0] as string, /^weft: .*(space|cannot be written)/);
    assert.match(lines[1] as string, /^ {2}→ .*(room|free space)/);
  });
}
