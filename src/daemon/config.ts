import { type Config, OPTIONS, type Option, type OptionName, toConfig } from './options.ts';

export const DEFAULT_CONFIG_FILE = '/etc/weft/weft.conf';
/** Variables with another meaning: see readConfig and background.ts. */
const NO_OPTIONS = ['WEFT_CONFIG', 'WEFT_READY_FD'];
/** No configuration has a reason to be larger. */
const MAX_FILE = 65_536;

/** One line that says what is wrong, and one that says what to do. */
export class ConfigError extends Error {
  readonly remedy: string;
  constructor(message: string, remedy: string) {
    super(message);
    this.name = 'ConfigError';
    this.remedy = remedy;
  }
}

export interface ConfigSources {
  /** Without the program's name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Undefined when there is no such file; throws when it cannot be read. */
  readonly readFile: (path: string) => string | undefined;
  readonly hostname: string;
}

export type Mode = 'foreground' | 'background' | 'clean';

export type Invocation =
  | { readonly kind: 'help' | 'version' }
  | {
      readonly kind: 'run';
      readonly config: Config;
      /** Stay, start in the background and return when ready, or only take away what a killed daemon left. */
      readonly mode: Mode;
      /** For the log: what was not understood and is no reason to stop. */
      readonly notes: readonly string[];
    };

type Values = Map<OptionName, string[]>;

/** Flags win over the environment, that wins over the file. Throws ConfigError; nothing is touched but `readFile`. */
export function readConfig(sources: ConfigSources): Invocation {
  const flags = readFlags(sources.argv);
  if (flags.kind !== 'run') return { kind: flags.kind };
  const fileName = flags.configFile ?? sources.env.WEFT_CONFIG;
  const fromFile = readConfigFile(fileName, sources.readFile);
  const { values: fromEnvironment, notes } = readEnvironment(sources.env);
  const values: Values = new Map([...fromFile, ...fromEnvironment, ...flags.values]);
  return {
    kind: 'run',
    mode: flags.mode,
    notes,
    config: toConfig(values, nicknameOf(sources.hostname)),
  };
}

/** A host name as a nickname: what does not fit is replaced. */
function nicknameOf(hostname: string): string {
  const name = hostname.replace(/[^A-Za-z0-9_.-]+/g, '-').replace(/^[^A-Za-z0-9]+/, '');
  return name.slice(0, 63) || 'host';
}

interface Flags {
  readonly kind: 'run' | 'help' | 'version';
  readonly values: Values;
  readonly configFile: string | undefined;
  readonly mode: Mode;
}

function readFlags(argv: readonly string[]): Flags {
  const values: Values = new Map();
  let configFile: string | undefined;
  let mode: Mode = 'foreground';
  for (let at = 0; at < argv.length; at++) {
    const [flag, attached] = cutFlag(argv[at] ?? '');
    if (flag === 'help' || flag === 'version') return { kind: flag, values, configFile, mode };
    if (flag === 'background' || flag === 'clean') {
      mode = flag;
      continue;
    }
    const option = OPTIONS.find((one) => one.name === flag);
    if (option === undefined && flag !== 'config') throw unknown(`--${flag}`, [...flagNames()]);
    const value = attached ?? argv[++at];
    if (value === undefined) throw new ConfigError(`--${flag} needs a value`, 'see `weftd --help`');
    if (option === undefined) configFile = value;
    else add(values, option, value, `--${flag}`);
  }
  return { kind: 'run', values, configFile, mode };
}

/** `--name=value` or `--name`; anything else is no flag. */
function cutFlag(argument: string): readonly [string, string | undefined] {
  const match = /^--([a-z-]+)(?:=(.*))?$/s.exec(argument) ?? (argument === '-h' ? ['-h', 'help'] : null);
  if (match?.[1] === undefined) {
    throw new ConfigError(
      `weftd takes no argument ${JSON.stringify(shorten(argument))}`,
      'see `weftd --help`',
    );
  }
  return [match[1], match[2]];
}

function* flagNames(): Iterable<string> {
  for (const option of OPTIONS) yield `--${option.name}`;
  yield* ['--config', '--background', '--clean', '--help', '--version'];
}

/** Lines of `key = value`; `#` begins a comment line. A repeated key is an error, but for lists. */
function readConfigFile(name: string | undefined, readFile: ConfigSources['readFile']): Values {
  const path = name ?? DEFAULT_CONFIG_FILE;
  let text: string | undefined;
  try {
    text = readFile(path);
  } catch (error) {
    throw new ConfigError(
      `${path} cannot be read: ${(error as Error).message}`,
      'correct its rights or its name',
    );
  }
  if (text === undefined) {
    if (name === undefined) return new Map();
    throw new ConfigError(
      `there is no file ${shorten(path)}`,
      'give the right name with --config or WEFT_CONFIG',
    );
  }
  if (text.length > MAX_FILE)
    throw new ConfigError(`${path} is larger than 64 KiB`, 'give a configuration file');
  const values: Values = new Map();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    readLine(values, line, `${path} line ${index + 1}`);
  }
  return values;
}

function readLine(values: Values, line: string, where: string): void {
  const match = /^\s*([^\s=]+)\s*=\s*(.*?)\s*$/.exec(line);
  const [, key, value] = match ?? [];
  if (key === undefined || value === undefined || value === '') {
    throw new ConfigError(
      `${where}: ${JSON.stringify(shorten(line))} is not \`key = value\``,
      'correct the line',
    );
  }
  const option = OPTIONS.find((one) => one.name === key);
  if (option === undefined)
    throw unknown(
      key,
      OPTIONS.map((one) => one.name),
      where,
    );
  if (values.has(option.name) && option.many !== true) {
    throw new ConfigError(`${where}: ${key} is there twice`, 'remove one of the lines');
  }
  add(values, option, value, `${where}: ${key}`);
}

/** An unknown WEFT_… variable may belong to somebody else's script, so it is a note and no error. */
function readEnvironment(env: ConfigSources['env']): { values: Values; notes: string[] } {
  const values: Values = new Map();
  const notes: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('WEFT_') || NO_OPTIONS.includes(name) || value === undefined || value === '')
      continue;
    const option = OPTIONS.find((one) => variableOf(one) === name);
    if (option === undefined) notes.push(unknown(name, OPTIONS.map(variableOf)).message);
    else add(values, option, value, name);
  }
  return { values, notes };
}

export function variableOf(option: Option): string {
  return `WEFT_${option.name.toUpperCase().replaceAll('-', '_')}`;
}

/** Checks and keeps. The last of several single values counts, as with every program's flags. */
function add(values: Values, option: Option, value: string, where: string): void {
  const parts = option.many === true ? value.split(',').map((part) => part.trim()) : [value];
  for (const part of parts) {
    const problem = option.problem(part);
    if (problem !== undefined) {
      throw new ConfigError(
        `${where} ${JSON.stringify(shorten(part))} must be ${problem}`,
        'see `weftd --help`',
      );
    }
  }
  values.set(option.name, option.many === true ? [...(values.get(option.name) ?? []), ...parts] : parts);
}

function unknown(name: string, known: readonly string[], where?: string): ConfigError {
  const shown = shorten(name);
  const near = nearest(shown, known);
  const hint = near === undefined ? '' : ` (did you mean ${near}?)`;
  return new ConfigError(
    `${where === undefined ? '' : `${where}: `}there is no option ${shown}${hint}`,
    'see `weftd --help`',
  );
}

/** The known word with the fewest edits between, when a slip of the fingers explains them. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word, candidate);
    if (distance < least) {
      best = candidate;
      least = distance;
    }
  }
  return best;
}

/** Levenshtein, one row at a time. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const same = left[i - 1] === right[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + same));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}

/** For messages: short, and nothing that moves a terminal's cursor or is a token. */
function shorten(text: string): string {
  const plain = text.replace(/[^\x20-\x7e]/g, '?').replace(/wf1_[A-Za-z0-9_-]+/g, 'wf1_…');
  return plain.length > 60 ? `${plain.slice(0, 60)}…` : plain;
}

export function helpText(): string {
  const rows = OPTIONS.map((option) => {
    const initial = option.initial === undefined ? '' : ` (default: ${option.initial})`;
    return `  ${`--${option.name} ${option.value}`.padEnd(26)} ${option.help}${initial}`;
  });
  return `Usage: weftd [options]

Runs the Weft daemon in the foreground. A host that is in a mesh resumes it; any other waits
for \`weft up\` or \`weft join TOKEN\`. On a machine without systemd, \`weft up\` starts it itself.

Options:
${rows.join('\n')}
  --config FILE              file of \`key = value\` lines, keys as above (default: ${DEFAULT_CONFIG_FILE})
  --background               start in the background, return when it listens; logs to DIR/weftd.log
  --clean                    take away what a killed daemon left on this machine, and end; \`weft down\` does it
  --help, --version

Each option is also a variable: WEFT_PORT, WEFT_LOG_LEVEL, … Options win over variables, variables over the file.
SIGTERM and SIGINT end the daemon and leave the network up for the next start; \`weft down\` takes it down.
`;
}
