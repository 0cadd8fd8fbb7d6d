import { readFileSync } from 'node:fs';
import { CliError } from './errors.ts';
import type { Io } from './io.ts';

/** Far more than a token has; what is longer is some other file. */
const MAX_INPUT = 16_384;

/**
 * The token from where the command line says: an argument, `-` for standard input, or a file. Whole pasted lines are fine.
 * The text of what is no token is never repeated: it may be one with a slip in it.
 */
export async function readToken(
  argument: string | undefined,
  file: string | undefined,
  io: Io,
): Promise<string> {
  if (argument !== undefined && file !== undefined) {
    throw new CliError('the token is given twice', {
      remedy: 'give it as an argument or with --token-file, not both',
    });
  }
  if (argument === undefined && file === undefined) {
    throw new CliError('a token is missing', {
      remedy: 'run `weft invite` on a host of the mesh and paste the line that it prints',
    });
  }
  const text =
    file !== undefined
      ? readTokenFile(file)
      : argument === '-'
        ? await io.stdin(MAX_INPUT)
        : (argument ?? '');
  const word = text.trim().replace(/^(?:[#$]\s*)?(?:sudo\s+)?weft\s+join\s+/, '');
  // A terminal or a mail may have broken the line.
  const token = word.replace(/[\r\n]\s*/g, '');
  if (!/^wf[0-9]+_[A-Za-z0-9_-]+$/.test(token) || text.length > MAX_INPUT) {
    throw new CliError('this is not a join token', {
      remedy: 'paste the whole word that `weft invite` printed; it starts with wf1_',
    });
  }
  return token;
}

function readTokenFile(path: string): string {
  try {
    return readFileSync(path, { encoding: 'utf8', flag: 'r' }).slice(0, MAX_INPUT + 1);
  } catch (error) {
    throw new CliError(`the token file cannot be read: ${(error as Error).message}`, {
      remedy: 'give the right name with --token-file, or `-` to read standard input',
    });
  }
}
