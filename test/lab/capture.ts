import { open, readFile } from 'node:fs/promises';
import { execute } from './command.ts';
import type { Namespace } from './namespace.ts';
import { until } from './wait.ts';

/** Everything that passes the switch between the hosts, as a file of tcpdump. */
export interface Capture {
  /** Ends it and waits until the file is complete. */
  stop(): Promise<void>;
  /** Whether these bytes occur anywhere in what passed. */
  holds(text: string): Promise<boolean>;
  /** Packets that match tcpdump's filter; each passes two ports of the switch and counts twice. */
  count(filter: string): Promise<number>;
}

/** Resolves when the capture runs. `snap`: bytes kept of each packet, default all. */
export async function startCapture(switchboard: Namespace, file: string, snap = 0): Promise<Capture> {
  const options = ['-U', '-s', String(snap), '-B', '16384', '-Z', 'root', '-w', file];
  const tcpdump = switchboard.start(['tcpdump', '-i', 'any', '-nn', ...options]);
  await until('tcpdump to listen', () => tcpdump.output().includes('listening on'));
  return {
    async stop() {
      await until('the capture to hold its last packet', () => lastPacketArrived(switchboard, file));
      await tcpdump.stop('SIGINT');
    },
    holds: async (text) => (await readFile(file)).includes(text),
    async count(filter) {
      const { stdout } = await execute(['tcpdump', '-nn', '-r', file, '--count', filter], {
        timeout: 60_000,
      });
      return Number(/^(\d+) packet/m.exec(stdout)?.[1] ?? Number.NaN);
    },
  };
}

const LAST = 'end-of-capture!!';
const TAIL = 1 << 18;

/** The kernel hands packets over in blocks, up to a second late, and drops what it still holds when tcpdump ends. */
async function lastPacketArrived(switchboard: Namespace, file: string): Promise<boolean> {
  const pattern = Buffer.from(LAST).toString('hex');
  await switchboard.run(['ping', '-q', '-c', '1', '-p', pattern, '127.0.0.1'], { say: null });
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const tail = Buffer.alloc(Math.min(size, TAIL));
    await handle.read(tail, 0, tail.length, size - tail.length);
    return tail.includes(LAST);
  } finally {
    await handle.close();
  }
}
