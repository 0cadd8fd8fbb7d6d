import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Series, series } from './statistics.ts';

/** What every part of the benchmark is told. */
export interface Context {
  /** Runs of each measurement. */
  readonly rounds: number;
  /** Length of each stream. */
  readonly seconds: number;
  /** Only to see that it works. */
  readonly quick: boolean;
  /** Underlays, systems and tests of the part `tunnels`. */
  readonly under: readonly string[];
  readonly systems: readonly string[];
  readonly tests: readonly string[];
  /** Sizes of the meshes that the part `sim` simulates. */
  readonly peers: readonly number[];
  progress(text: string): void;
  /** Writes one file of the report. */
  save(name: string, content: string): void;
}

/** One part of `npm run bench`: measures, prints its table and writes its files. */
export type Part = (context: Context) => Promise<void>;

export function saver(folder: string): Context['save'] {
  return (name, content) => {
    writeFileSync(join(folder, name), content);
    console.error(`bench        written: ${join(folder, name)}`);
  };
}

/** Runs a measurement as often as the context says. */
export async function repeated(
  { rounds, progress }: Context,
  what: string,
  unit: string,
  measure: () => Promise<number>,
): Promise<Series> {
  const runs: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    runs.push(await measure());
    progress(`${what}, run ${round} of ${rounds}: ${runs.at(-1)?.toFixed(2)} ${unit}`);
  }
  return series(runs);
}

/** UTC, to the minute. */
export const today = (): string => new Date().toISOString().slice(0, 16);
