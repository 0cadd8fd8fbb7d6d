import { watch } from 'node:fs';
import type { DockerHost } from '../lab/docker-host.ts';
import { hasEnded } from '../lab/host.ts';
import { until } from '../lab/wait.ts';
import { agrees, hasNoTraces } from './weft.ts';

/**
 * The life of a network with one container, again and again, and each time weftd is killed at a later one of the steps in which it writes its
 * state, and started anew at once. What Docker makes of it is an outcome like any other; then both must agree. Resolves to how often
 * weftd was killed.
 */
export async function killAtWrites(
  host: DockerHost,
  { every, checkEach }: { readonly every: number; readonly checkEach: boolean },
): Promise<number> {
  let kills = 0;
  for (let at = 1; await killedAt(host, at, `k${at}`); at += every) {
    kills += 1;
    if (checkEach) await agrees(host);
  }
  await agrees(host);
  await hasNoTraces(host, 90_000);
  return kills;
}

/** False when the story wrote less often than that. */
async function killedAt(host: DockerHost, at: number, name: string): Promise<boolean> {
  const pid = await until('weftd', () => host.daemon());
  let steps = 0;
  let revived: Promise<unknown> | undefined;
  const watcher = watch(host.stateFolder, (_, file) => {
    if (file?.startsWith('state') !== true || ++steps !== at) return;
    host.signal(pid, 'SIGKILL');
    revived = until('its end', () => hasEnded(pid), 30_000).then(() => host.weft(['up']));
    // Waited for below; until then an error of it is nobody's surprise.
    revived.catch(() => {});
  });
  try {
    const attempt = (...words: string[]) => host.docker(words, { check: false });
    await attempt('network', 'create', '-d', 'weft', '--ipam-driver', 'weft', name);
    await attempt('run', '-d', '--name', name, '--network', name, 'busybox', 'sleep', '100000');
    await attempt('rm', '-f', name);
    await attempt('network', 'rm', name);
  } finally {
    watcher.close();
    await revived;
  }
  return revived !== undefined;
}
