/**
 * One life of a host for host-killed.test.ts: node host-life.ts HOST-PATH STATE-DIRECTORY SANDBOX [STEPS AT]; path '': where it runs. With STEPS,
 * a folder, each change that is asked of the kernel leaves an entry there, and the life ends after the AT-th: see `count`.
 */
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { concat } from '../../src/core/bytes.ts';
import type { EndpointId } from '../../src/core/ids.ts';
import { createLinuxHost } from '../../src/host/linux.ts';
import { readMessages, readRefusal, TYPES, viewOf } from '../../src/host/netlink-wire.ts';
import { silentLog } from './log.ts';

const [netns = '', stateDirectory = '', sandbox = '', steps, at] = process.argv.slice(2);
if (steps !== undefined) countChanges(steps, Number(at));
const where = netns === '' ? {} : { netns };
const host = createLinuxHost({ ...where, stateDirectory, log: silentLog });
await host.prepare({ device: 'weft0', range: '10.32.0.0/12', mtu: 1400 });
await host.plug({ endpoint: 'a' as EndpointId, sandbox, address: '10.32.0.5/12', mtu: 1400 });
await host.setHostAddresses([{ address: '10.32.0.9/12' }]);
await host.setHostAddresses([]);
await host.unplug('a' as EndpointId);

type Exchange = (network: number, requests: Uint8Array) => Promise<Uint8Array>;

/** Between two requests of one exchange a process can be killed, too: each is sent by itself. */
function countChanges(folder: string, last: number): void {
  const addon = createRequire(import.meta.url)('../../native/index.cjs') as { netlink: Exchange };
  const { netlink } = addon;
  addon.netlink = async (network, requests) => {
    const answers: Uint8Array[] = [];
    for (const request of split(requests)) {
      const answer = await netlink(network, request);
      answers.push(answer);
      if (!isQuestion(request) && count(folder) === last) process.kill(process.pid, 'SIGKILL');
      const ends = readMessages(answer).filter(({ type }) => type === TYPES.error);
      if (ends.some((end) => readRefusal(end) !== undefined)) break;
    }
    return concat(...answers);
  };
}

function split(requests: Uint8Array): readonly Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let from = 0; from < requests.length; ) {
    const end = from + viewOf(requests).getUint32(from, true);
    parts.push(requests.subarray(from, end));
    from = (end + 3) & ~3;
  }
  return parts;
}

/** RTM_GET… are every fourth. */
function isQuestion(request: Uint8Array): boolean {
  return viewOf(request).getUint16(4, true) % 4 === 2;
}

/** As the wrapper of nsenter does it, whose steps are counted with these. */
function count(folder: string): number {
  for (let step = 1; ; step++) {
    try {
      mkdirSync(join(folder, String(step)));
      return step;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}
