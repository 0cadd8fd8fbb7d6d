export type Json = string | number | boolean | null | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

export class JsonError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'JsonError';
  }
}

/** Nothing that comes in at a door is nested deeper. */
export const MAX_DEPTH = 8;

/**
 * Parses one JSON object from a body that was received whole. Depth and duplicate keys are checked on the text, before anything is
 * built; objects have no prototype, so a key such as `__proto__` is a key like any other. Throws JsonError.
 */
export function parseObject(text: string): JsonObject {
  checkText(text);
  let value: Json;
  try {
    value = JSON.parse(text, bare) as Json;
  } catch {
    throw new JsonError('The body is not valid JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new JsonError('The body is JSON, but not an object');
  }
  return value as JsonObject;
}

function bare(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.setPrototypeOf(value, null);
}

/** One pass over the text; what is no JSON at all is left for JSON.parse to find. */
function checkText(text: string): void {
  const open: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '{' || character === '[') {
      open.push(new Set());
      if (open.length > MAX_DEPTH) throw new JsonError(`The body is nested deeper than ${MAX_DEPTH}`);
    } else if (character === '}' || character === ']') {
      open.pop();
    } else if (character === '"') {
      const end = endOfString(text, at);
      if (isKey(text, end)) noteKey(open.at(-1), text.slice(at, end + 1));
      at = end;
    }
  }
}

/** Index of the closing quote, or of the last character when there is none. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '"') return at;
  }
  return text.length - 1;
}

function isKey(text: string, endQuote: number): boolean {
  let at = endQuote + 1;
  while (at < text.length && ' \t\r\n'.includes(text[at] ?? '')) at++;
  return text[at] === ':';
}

function noteKey(keys: Set<string> | undefined, literal: string): void {
  let key: string;
  try {
    key = String(JSON.parse(literal));
  } catch {
    throw new JsonError('The body is not valid JSON');
  }
  if (keys?.has(key)) throw new JsonError(`The body has the key ${JSON.stringify(key.slice(0, 32))} twice`);
  keys?.add(key);
}
