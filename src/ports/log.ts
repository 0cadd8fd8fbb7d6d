/** What the daemon tells its operator. The real one is daemon/logger.ts; tokens are struck out there, whoever logs them. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** Undefined fields are left out. */
export type LogFields = Readonly<Record<string, string | number | bigint | boolean | null | undefined>>;

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
