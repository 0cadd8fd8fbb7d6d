import { redact } from '../doors/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log, LogFields, LogLevel } from '../ports/log.ts';
import { formatTimestamp } from './timestamp.ts';

export const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/** Longer values are cut: a log line is for a person. Stacks of our own errors fit. */
const MAX_VALUE = 4_096;

/**
 * Lines of `time level message key=value …`, one per call, whatever the values hold: line breaks are escaped, join tokens struck out.
 * `write` gets the line with its line break.
 */
export function createLogger(parts: {
  readonly clock: Clock;
  readonly level: LogLevel;
  readonly write: (line: string) => void;
}): Log {
  const least = LOG_LEVELS.indexOf(parts.level);

  function at(level: LogLevel): (message: string, fields?: LogFields) => void {
    if (LOG_LEVELS.indexOf(level) < least) return () => {};
    return (message, fields = {}) => {
      const time = formatTimestamp(parts.clock.wall());
      parts.write(`${redact(`${time} ${level.padEnd(5)} ${plain(message)}${formatFields(fields)}`)}\n`);
    };
  }

  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function formatFields(fields: LogFields): string {
  let line = '';
  for (const [key, value] of Object.entries(fields)) {
    if (value !== undefined) line += ` ${plain(key)}=${formatValue(value)}`;
  }
  return line;
}

function formatValue(value: Exclude<LogFields[string], undefined>): string {
  const text = String(value).slice(0, MAX_VALUE);
  return /^[\w.:/@+,[\]-]+$/.test(text) ? text : plain(JSON.stringify(text));
}

/** No character that ends a line or moves a terminal's cursor gets through. */
function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => {
    return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
  });
}
