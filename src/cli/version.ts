import { readFileSync } from 'node:fs';

/** Of this package; its package.json stands two folders up from here, in a checkout and in the built package alike. */
export function readVersion(): string {
  const path = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}
