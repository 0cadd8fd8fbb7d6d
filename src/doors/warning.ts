/** One of severity `error` makes the host degraded. */
export interface Warning {
  /** Stable, kebab-case. */
  readonly code: string;
  readonly severity: 'info' | 'warning' | 'error';
  /** One line that says what is wrong. */
  readonly text: string;
  /** The command or step that puts it right. */
  readonly remedy: string;
}
