import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

export const ROOT = join(import.meta.dirname, '..', '..');

export interface SourceFile {
  /** Relative to the repository. */
  readonly path: string;
  readonly text: string;
  /** `text` with comments blanked and the contents of strings kept; lines stay where they were. */
  readonly code: string;
}

/** What .gitignore names as made, not written. */
const MADE = new Set(['.git', 'node_modules', 'dist', 'native/build', 'native/prebuilds']);

/** Files of the repository, relative to it. */
export function repositoryFiles(folder = ''): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (MADE.has(path) || /\.(log|tgz)$/.test(path)) return [];
    return entry.isDirectory() ? repositoryFiles(path) : [path];
  });
}

export function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** TypeScript files under `folder`. */
export function sources(folder: string): SourceFile[] {
  return repositoryFiles()
    .filter((path) => path.startsWith(`${folder}/`) && path.endsWith('.ts'))
    .map((path) => {
      const text = read(path);
      return { path, text, code: withoutComments(text) };
    });
}

const TOKENS = /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;

export function withoutComments(text: string): string {
  return text.replace(TOKENS, (token) => (token.startsWith('/') ? token.replace(/[^\n]/g, ' ') : token));
}

export interface Import {
  readonly specifier: string;
  /** `import type` or `export type`: gone at run time. */
  readonly typeOnly: boolean;
  /** For relative specifiers: the imported file relative to the repository. */
  readonly target?: string;
}

const STATIC =
  /^\s*(?:import|export)\s+(type\s)?[^'"`;]*?\sfrom\s+['"]([^'"]+)['"]|^\s*import\s+['"]([^'"]+)['"]/gm;
const DYNAMIC = /\bimport\(\s*['"`]([^'"`]+)['"`]|\brequire\(\s*['"`]([^'"`]+)['"`]/g;

export function importsOf(file: SourceFile): Import[] {
  const found: Import[] = [];
  const add = (specifier: string, typeOnly: boolean) => {
    if (!specifier.startsWith('.')) found.push({ specifier, typeOnly });
    else {
      const target = normalize(join(dirname(file.path), specifier));
      found.push({ specifier, typeOnly, target });
    }
  };
  for (const match of file.code.matchAll(STATIC)) add(match[2] ?? match[3] ?? '', match[1] !== undefined);
  for (const match of file.code.matchAll(DYNAMIC)) add(match[1] ?? match[2] ?? '', false);
  return found;
}

/** `path:line` for each match of `pattern` in the code of a file. */
export function places(file: SourceFile, pattern: RegExp): string[] {
  return [...file.code.matchAll(pattern)].map((match) => {
    const line = file.code.slice(0, match.index).split('\n').length;
    return `${file.path}:${line} ${match[0].trim()}`;
  });
}
