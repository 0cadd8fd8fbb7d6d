import type { Problem } from '../doors/errors.ts';

/** Exit codes of weft. */
export const EXIT = { ok: 0, usage: 1, unreachable: 2, degraded: 3 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** What ends a command: one line that says what happened, and what to do about it. */
export class CliError extends Error {
  readonly remedy: string | undefined;
  readonly exit: ExitCode;
  constructor(message: string, options: { remedy?: string; exit?: ExitCode } = {}) {
    super(message);
    this.name = 'CliError';
    this.remedy = options.remedy;
    this.exit = options.exit ?? EXIT.usage;
  }
}

/** The daemon's own words. What the caller can put right is a usage error, the rest a degraded network. */
export class ApiError extends CliError {
  readonly problem: Problem;
  constructor(problem: Problem) {
    super(problem.detail, {
      remedy: problem.remedy,
      exit: problem.status >= 500 ? EXIT.degraded : EXIT.usage,
    });
    this.name = 'ApiError';
    this.problem = problem;
  }
}

export class UnreachableError extends CliError {
  /** Whether nobody is there at all, so that a daemon may be started. */
  readonly absent: boolean;
  constructor(message: string, remedy: string, absent = false) {
    super(message, { remedy, exit: EXIT.unreachable });
    this.name = 'UnreachableError';
    this.absent = absent;
  }
}

/** For stderr. Tokens are struck out whoever put them into the message. */
export function describeError(
  error: unknown,
  clean: (text: string) => string,
): { text: string; exit: ExitCode } {
  const known =
    error instanceof CliError
      ? error
      : new CliError(`this should not happen: ${String(error)}`, {
          remedy: 'please report it, with the command that you ran and what `weft version` says',
        });
  const message = known.message.replace(/^[A-Z](?=[a-z]* )/, (first) => first.toLowerCase());
  const lines = [`weft: ${clean(message)}`];
  if (known.remedy !== undefined) lines.push(`  → ${clean(known.remedy)}`);
  return { text: `${lines.join('\n')}\n`.replace(/(wf1|wfr1)_[A-Za-z0-9_-]+/g, '$1_…'), exit: known.exit };
}
