import { type ParseArgsConfig, parseArgs } from 'node:util';

/** What a script was told. With --help prints `help` and ends it; when `config` does not know an argument, ends it with a line and code 2. */
export function readArguments<T extends ParseArgsConfig>(
  help: string,
  config: T,
): ReturnType<typeof parseArgs<T>> {
  if (process.argv.slice(2).includes('--help')) {
    process.stdout.write(help);
    process.exit(0);
  }
  return orEnd(() => parseArgs(config));
}

/** The number that stands behind `flag`. */
export function wholeNumber(
  flag: string,
  text: string,
  { least = 1, most = Number.MAX_SAFE_INTEGER } = {},
): number {
  return orEnd(() => {
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
    const range = most === Number.MAX_SAFE_INTEGER ? `from ${least} on` : `from ${least} to ${most}`;
    throw new TypeError(`${flag} takes a whole number ${range}, not ${text}`);
  });
}

/** What is wrong with the arguments is for their writer: no stack. */
export function orEnd<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\nSee --help.\n`);
    process.exit(2);
  }
}
