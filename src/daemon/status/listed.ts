const MOST = 5;

/** The first few of them, for a line that people read. */
export function listed(names: readonly string[]): string {
  return `${names.slice(0, MOST).join(', ')}${names.length > MOST ? ', …' : ''}`;
}
