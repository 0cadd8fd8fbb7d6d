import { join } from 'node:path';
import type { Background } from './command.ts';
import type { Namespace } from './namespace.ts';
import { until } from './wait.ts';

const APP = [process.execPath, join(import.meta.dirname, 'app.ts')];

/** The namespace's IPv4 address on an interface, without prefix. */
export async function addressOf(namespace: Namespace, link = 'eth0'): Promise<string> {
  const { stdout } = await namespace.run(['ip', '-j', '-4', 'address', 'show', 'dev', link], { say: null });
  const [found] = JSON.parse(stdout) as { addr_info: { local: string; scope: string }[] }[];
  const address = found?.addr_info.find(({ scope }) => scope === 'global')?.local;
  if (address === undefined) throw new Error(`${link} of ${namespace.name} has no IPv4 address`);
  return address;
}

export interface PingResult {
  readonly sent: number;
  readonly received: number;
  /** Average round trip in milliseconds; NaN when nothing came back. */
  readonly average: number;
}

export interface PingOptions {
  readonly count?: number;
  /** Seconds between packets. */
  readonly interval?: number;
  /** Up to 16 bytes that fill the packet. */
  readonly pattern?: string;
  /** Bytes of payload. */
  readonly size?: number;
  /** Forbids fragments. */
  readonly whole?: boolean;
  readonly say?: string | null;
}

export async function ping(from: Namespace, to: string, options: PingOptions = {}): Promise<PingResult> {
  const { count = 3, interval = 0.1, pattern, size, whole, say } = options;
  const words = ['ping', '-q', '-c', `${count}`, '-i', `${interval}`, '-W', '1'];
  if (pattern !== undefined) words.push('-p', Buffer.from(pattern).toString('hex'));
  if (whole) words.push('-M', 'do');
  if (size !== undefined) words.push('-s', `${size}`);
  const { stdout } = await from.run([...words, to], { check: false, ...(say === undefined ? {} : { say }) });
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(stdout) ?? [];
  const [, average] = /= [\d.]+\/([\d.]+)\//.exec(stdout) ?? [];
  return { sent: Number(sent ?? 0), received: Number(received ?? 0), average: Number(average ?? Number.NaN) };
}

/** Resolves when one ping has come back; rejects after `timeout` ms. */
export async function reaches(from: Namespace, to: string, timeout = 10_000): Promise<void> {
  const once = async () => (await ping(from, to, { count: 1, say: null })).received === 1;
  await until(`${from.name} to reach ${to}`, once, timeout, 20);
}

export interface StreamOptions {
  readonly seconds?: number;
  readonly streams?: number;
  readonly reverse?: boolean;
}

export interface StreamResult {
  /** As the receiver saw it. */
  readonly bitsPerSecond: number;
  readonly bytes: number;
  /** Segments that were sent again. */
  readonly retransmits: number;
}

/** TCP from one namespace to another for so many seconds, default 1. */
export async function stream(
  from: Namespace,
  to: Namespace,
  address: string,
  { seconds = 1, streams = 1, reverse = false }: StreamOptions = {},
): Promise<StreamResult> {
  const server = to.start(['iperf3', '-s', '-1', '-B', address, '--forceflush'], { say: null });
  try {
    await until('iperf3 to listen', () => server.output().includes('listening'));
    const amount = ['-t', `${seconds}`, '-P', `${streams}`, ...(reverse ? ['-R'] : [])];
    const words = ['iperf3', '-c', address, ...amount];
    const { stdout } = await from.run([...words, '-J'], {
      say: words.join(' '),
      timeout: (seconds + 20) * 1_000,
      check: false,
    });
    const { error, end } = JSON.parse(stdout) as {
      error?: string;
      end?: {
        sum_received?: { bits_per_second: number; bytes: number };
        sum_sent?: { retransmits?: number };
      };
    };
    if (error !== undefined) throw new Error(`iperf3: ${error}`);
    return {
      bitsPerSecond: end?.sum_received?.bits_per_second ?? Number.NaN,
      bytes: end?.sum_received?.bytes ?? Number.NaN,
      retransmits: end?.sum_sent?.retransmits ?? 0,
    };
  } finally {
    await server.stop();
  }
}

/** Starts the echo server of app.ts; resolves when it listens. */
export async function serveEcho(namespace: Namespace, port: number): Promise<Background> {
  const server = namespace.start([...APP, 'serve', `${port}`], { say: `echo server on TCP port ${port}` });
  await until('the echo server to listen', () => server.output().includes('listening'));
  return server;
}

/** A connection to the echo server that sends a numbered line every 50 ms. */
export function talk(namespace: Namespace, address: string, port: number): Background {
  return namespace.start([...APP, 'talk', address, `${port}`], { say: `talk to ${address} port ${port}` });
}

/** Sends a text to the echo server and resolves to what came back. */
export async function say(
  namespace: Namespace,
  address: string,
  port: number,
  text: string,
): Promise<string> {
  const { stdout } = await namespace.run([...APP, 'say', address, `${port}`, text], {
    say: `send ${text.length} bytes of text to ${address} port ${port}`,
  });
  return stdout;
}

/** Sends bytes to the echo server; resolves to how many came back within 20 s. */
export async function pour(from: Namespace, address: string, port: number, bytes: number): Promise<number> {
  const { stdout } = await from.run(['timeout', '20', ...APP, 'pour', address, `${port}`, `${bytes}`], {
    say: `send ${bytes} bytes to ${address} port ${port} and have them back`,
  });
  return Number(stdout);
}

/** The number of the last line that came back whole to a talker. */
export function lastLine(talker: Background): number {
  return Number([...talker.output().matchAll(/^line (\d+)\n/gm)].at(-1)?.[1] ?? 0);
}
