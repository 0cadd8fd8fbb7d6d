import { type ErrorEntry, TABLE } from './error-table.ts';

export type ErrorCode = keyof typeof TABLE;
export const ERRORS: Readonly<Record<ErrorCode, ErrorEntry>> = TABLE;

/** An error with a code of the table. `message` says what happened, without the remedy; the table's title when left out. */
export class ControlError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message?: string) {
    super(message ?? ERRORS[code].title);
    this.name = 'ControlError';
    this.code = code;
  }
}

/** The body of an error (RFC 9457), plus the code and the remedy. */
export interface Problem {
  readonly type: string;
  readonly code: ErrorCode;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly remedy: string;
}

/** Codes that mean something else in the class they come from than the table's entry of the same name. */
const ALIASES: Readonly<Record<string, ErrorCode>> = {
  'DialError/timeout': 'dial-timeout',
  'DialError/bad-address': 'bad-peer-address',
  'SpaceError/timeout': 'space-timeout',
  'RequestError/timeout': 'dial-timeout',
  'RequestError/no-route': 'unreachable',
  'RequestError/refused': 'unreachable',
  'RequestError/closed': 'unreachable',
  'SpaceError/no-witness': 'owner-unreachable',
  'SpaceError/bad-grant': 'bad-secret',
  'SpaceError/closed': 'stopping',
  'MembershipError/not-heir': 'heir-unreachable',
  'RemovalError/wrong-root': 'bad-root-key',
  'ListenError/in-use': 'port-in-use',
  'ListenError/bad-address': 'listen-address',
  'ListenError/not-local': 'listen-address',
  'ListenError/not-permitted': 'not-root',
  'DatapathError/port-taken': 'port-in-use',
  'DatapathError/address-missing': 'listen-address',
  'DatapathError/not-permitted': 'not-root',
  'DatapathError/device-busy': 'device-taken',
  'FileStoreError/no-space': 'state-unwritable',
  'FileStoreError/not-permitted': 'state-unwritable',
  'FileStoreError/unsafe-directory': 'state-unwritable',
  'FileStoreError/failed': 'state-unwritable',
  'Error/EADDRINUSE': 'port-in-use',
  'Error/ENOSPC': 'state-unwritable',
  'Error/EROFS': 'state-unwritable',
};

/** The code of any thrown thing: its `code` or `reason` where the table has it, else `internal`. */
export function codeOf(error: unknown): ErrorCode {
  if (!(error instanceof Error)) return 'internal';
  const { code, reason } = error as { code?: unknown; reason?: unknown };
  const given = typeof code === 'string' ? code : reason;
  if (typeof given !== 'string') return 'internal';
  const qualified = `${error.name}/${given}`;
  if (Object.hasOwn(ALIASES, qualified)) return ALIASES[qualified] ?? 'internal';
  return Object.hasOwn(ERRORS, given) ? (given as ErrorCode) : 'internal';
}

/** Never holds a stack or, for an error that is not in the table, its text: that belongs into the log. */
export function toProblem(error: unknown): Problem {
  const code = codeOf(error);
  const { status, title, remedy } = ERRORS[code];
  const detail = code === 'internal' ? title : redact((error as Error).message) || title;
  return { type: `urn:weft:error:${code}`, code, title, status, detail, remedy };
}

/** Replaces join tokens and root keys in any text that leaves the process. */
export function redact(text: string): string {
  return text.replace(/(wf1|wfr1)_[A-Za-z0-9_-]+/g, '$1_…');
}
