import type { ExitCode } from './errors.ts';
import type { Io } from './io.ts';
import type { DaemonParts } from './start.ts';

/** What a command ends with: data that `--json` prints, and how the same data reads. */
export interface Answer {
  readonly data: object;
  readonly text: () => string;
  readonly exit?: ExitCode;
  /** Waited for once the answer is printed: the exit code of a daemon in the foreground. */
  readonly untilEnd?: Promise<number>;
}

/** Binds the data to its renderer, which sees nothing else. */
export function answer<T extends object>(data: T, render: (data: T) => string): Answer {
  return { data, text: () => render(data) };
}

export interface Context {
  readonly io: Io;
  readonly socket: string;
  readonly daemon: DaemonParts;
  readonly foreground: boolean;
}
