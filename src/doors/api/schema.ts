import { type Parsed, parseCidr, parseIpv4 } from '../../core/address.ts';
import { parseBlock } from '../../core/blocks.ts';
import type { JsonObject } from '../../core/json.ts';
import { ControlError, type ErrorCode } from '../errors.ts';

/** A field of a body: turns the unchecked value into T, or throws a sentence that says what the field must be. */
export interface Field<T> {
  readonly optional: boolean;
  read(value: unknown): T;
}

export type Schema<T> = { readonly [Key in keyof T]-?: Field<Exclude<T[Key], undefined>> };

/** Rejects with `bad-request` and the name of the field: unknown, missing, or not of its form. Optional fields that are missing stay so. */
export function check<T extends object>(schema: Schema<T>, body: JsonObject): T {
  for (const key of Object.keys(body)) {
    if (!Object.hasOwn(schema, key)) {
      throw new ControlError('bad-request', `There is no field ${JSON.stringify(key.slice(0, 32))} here`);
    }
  }
  const result: Partial<T> = {};
  for (const key of Object.keys(schema) as (keyof T & string)[]) {
    const field = schema[key];
    const value = body[key];
    if (value === undefined) {
      if (!field.optional) throw new ControlError('bad-request', `The field ${key} is missing`);
      continue;
    }
    result[key] = readField(key, field, value) as T[typeof key];
  }
  return result as T;
}

function readField<T>(key: string, field: Field<T>, value: unknown): T {
  try {
    return field.read(value);
  } catch (error) {
    if (error instanceof ControlError) throw error;
    throw new ControlError('bad-request', `${key} must be ${(error as Error).message}`);
  }
}

export function optional<T>(field: Field<T>): Field<T> {
  return { ...field, optional: true };
}

/** Text that matches `pattern`; `form` completes the sentence "… must be". */
export function text(pattern: RegExp, form: string): Field<string> {
  return {
    optional: false,
    read(value) {
      if (typeof value !== 'string' || !pattern.test(value)) throw new Error(form);
      return value;
    },
  };
}

export function integer(least: number, most: number): Field<number> {
  return {
    optional: false,
    read(value) {
      if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
        throw new Error(`a whole number from ${least} to ${most}`);
      }
      return value;
    },
  };
}

export const boolean: Field<boolean> = {
  optional: false,
  read(value) {
    if (typeof value !== 'boolean') throw new Error('true or false');
    return value;
  },
};

export function list<T>(field: Field<T>, most: number): Field<readonly T[]> {
  return {
    optional: false,
    read(value) {
      if (!Array.isArray(value) || value.length > most) throw new Error(`a list of at most ${most}`);
      return value.map((item) => field.read(item));
    },
  };
}

/** Text that one of core's strict parsers takes; the refusal has `code` and the parser's words. */
function parsed(code: ErrorCode, parse: (value: string) => Parsed<unknown>): Field<string> {
  return {
    optional: false,
    read(value) {
      const result = parse(typeof value === 'string' ? value : '');
      if (!result.ok) throw new ControlError(code, result.message);
      return value as string;
    },
  };
}

export const ipv4 = parsed('bad-address', parseIpv4);
export const cidr = parsed('bad-request', parseCidr);
/** Of either family. */
export const block = parsed('bad-request', parseBlock);
