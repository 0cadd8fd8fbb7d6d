import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { execute } from '../lab/command.ts';
import type { Namespace } from '../lab/namespace.ts';
import { until } from '../lab/wait.ts';

const SOURCE = join(import.meta.dirname, 'udp-load.cc');
const FOLDER = join(import.meta.dirname, '..', '..', 'native', 'build', 'bench');
const PORT = '5999';

/** The built program, udp-load.cc says how to call it; built when its source has changed. */
export async function program(): Promise<string> {
  const version = createHash('sha256').update(readFileSync(SOURCE)).digest('hex').slice(0, 12);
  const file = join(FOLDER, `udp-load-${version}`);
  if (existsSync(file)) return file;
  mkdirSync(FOLDER, { recursive: true });
  const aside = `${file}.${process.pid}`;
  await execute(['g++', '-std=c++20', '-O2', '-Wall', '-Wextra', '-Werror', '-o', aside, SOURCE]);
  renameSync(aside, file);
  return file;
}

export interface PacketRate {
  /** Packets a second: the highest rate with less than 1 % lost, and what arrives of a flood. */
  readonly lossless: number;
  readonly flooded: number;
}

const ON_ONE_CORE = ['taskset', '--cpu-list', '0'];

/** `size`: bytes of UDP payload. */
export async function packetRate(
  from: Namespace,
  to: Namespace,
  address: string,
  size: number,
): Promise<PacketRate> {
  const found = await withSink(to, address, (tool) =>
    from.run([tool, 'search', address, PORT, `${size}`], { say: null, timeout: 60_000 }),
  );
  const { pps, flood_recv } = JSON.parse(found.stdout) as { pps: number; flood_recv: number };
  return { lossless: pps, flooded: flood_recv };
}

/**
 * One packet at a time, there and back: trips a second. Both ends are on one core: else what counts is whether the kernel happens to wake them there, which
 * makes it four times as fast.
 */
export async function tripRate(
  from: Namespace,
  to: Namespace,
  address: string,
  count: number,
): Promise<number> {
  const trips = (tool: string) =>
    from.run([...ON_ONE_CORE, tool, 'trips', address, PORT, '64', `${count}`], {
      say: null,
      timeout: 60_000,
    });
  const found = await withSink(to, address, trips, ON_ONE_CORE);
  const { average } = JSON.parse(found.stdout) as { average: number };
  return 1e6 / average;
}

async function withSink<T>(
  to: Namespace,
  address: string,
  body: (tool: string) => Promise<T>,
  before: readonly string[] = [],
): Promise<T> {
  const tool = await program();
  const sink = to.start([...before, tool, 'sink', address, PORT], { say: null });
  try {
    await until('the packet sink', () => {
      if (!sink.running()) throw new Error(sink.output());
      return sink.output().includes('listening');
    });
    return await body(tool);
  } finally {
    await sink.stop();
  }
}
